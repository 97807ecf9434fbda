//! Address groups: prefixes that rules of security groups name together.

use std::collections::BTreeSet;

use ipnet::IpNet;
use model::{AddressGroupId, Caller, Error, Key, Kind, ProjectId, Result};
use store::{Field, Json, Query, Tx, row};

use crate::list::{self, Page};
use crate::rbac::{self, Of, Shown};
use crate::token::owner_of;
use crate::{Cloud, now_ms};

/// Prefixes of one group: each change of one is told to nodes with all the others.
const MAX_ADDRESSES: usize = 1024;

/// A group to make.
#[derive(Clone, Debug, Default)]
pub struct NewAddressGroup {
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    pub addresses: Vec<IpNet>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct AddressGroupUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
}

impl Cloud {
    /// A group the caller may see.
    pub fn get_address_group(
        &self,
        caller: &Caller,
        id: &AddressGroupId,
    ) -> Result<Shown<row::AddressGroup>> {
        self.store()
            .read(|tx| rbac::shown_one(tx, caller, visible(tx, caller, id)?))
    }

    /// The groups the caller may see.
    pub fn list_address_groups(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Vec<Shown<row::AddressGroup>>> {
        let query = rbac::page_query::<row::AddressGroup>(page, caller, Of::Itself)?;
        self.store().read(|tx| {
            let groups = list::run(tx, &query)?;
            rbac::shown(tx, caller, groups)
        })
    }

    /// A new group.
    pub fn create_address_group(
        &self,
        caller: &Caller,
        new: &NewAddressGroup,
    ) -> Result<Shown<row::AddressGroup>> {
        caller.require_member()?;
        let now = now_ms();
        let group = row::AddressGroup {
            id: AddressGroupId::random(),
            project_id: owner_of(caller, new.project.as_ref())?,
            name: new.name.clone(),
            description: new.description.clone(),
            addresses: Json(normal(&new.addresses)?.into_iter().collect()),
            revision: 1,
            created_ms: now,
            updated_ms: now,
        };
        check(&group)?;
        self.store().write(|tx| {
            tx.insert(&group)?;
            rbac::shown_one(tx, caller, group.clone())
        })
    }

    /// Changes what is given.
    pub fn update_address_group(
        &self,
        caller: &Caller,
        id: &AddressGroupId,
        update: &AddressGroupUpdate,
    ) -> Result<Shown<row::AddressGroup>> {
        self.change_address_group(caller, id, |_, group| {
            if let Some(name) = &update.name {
                group.name.clone_from(name);
            }
            if let Some(description) = &update.description {
                group.description.clone_from(description);
            }
            Ok(())
        })
    }

    /// Puts prefixes into a group. What rules that name it allow is so at once.
    ///
    /// # Errors
    /// `Invalid` for one that is there.
    pub fn add_addresses(
        &self,
        caller: &Caller,
        id: &AddressGroupId,
        addresses: &[IpNet],
    ) -> Result<Shown<row::AddressGroup>> {
        self.change_address_group(caller, id, |tx, group| {
            let mut all: BTreeSet<IpNet> = group.addresses.0.iter().copied().collect();
            for new in normal(addresses)? {
                if !all.insert(new) {
                    return Err(Error::invalid(format!(
                        "Address group {id} has address {new} already."
                    )));
                }
            }
            group.addresses.0 = all.into_iter().collect();
            tx.touch(Key::AddressGroup(*id))
        })
    }

    /// Takes prefixes out of a group. What only they allowed ends.
    ///
    /// # Errors
    /// `NotFound` for one that is not there.
    pub fn remove_addresses(
        &self,
        caller: &Caller,
        id: &AddressGroupId,
        addresses: &[IpNet],
    ) -> Result<Shown<row::AddressGroup>> {
        self.change_address_group(caller, id, |tx, group| {
            for gone in normal(addresses)? {
                let place = group.addresses.0.iter().position(|a| *a == gone);
                let missing =
                    || Error::not_found(Kind::AddressGroup, format!("{id} with address {gone}"));
                group.addresses.0.remove(place.ok_or_else(missing)?);
            }
            tx.touch(Key::AddressGroup(*id))
        })
    }

    /// Removes a group.
    ///
    /// # Errors
    /// `Conflict` while a rule names it.
    pub fn delete_address_group(&self, caller: &Caller, id: &AddressGroupId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            caller.check_revision(owned(tx, caller, id)?.revision)?;
            if tx.exists::<row::Rule>(Query::equal("remote_address_group_id", id.to_value()))? {
                return Err(Error::conflict(format!(
                    "Address group {id} is in use on one or more security group rules."
                )));
            }
            rbac::forget(tx, id)?;
            tx.delete::<row::AddressGroup>(id).map(drop)
        })
    }

    fn change_address_group(
        &self,
        caller: &Caller,
        id: &AddressGroupId,
        change: impl Fn(&mut Tx<'_>, &mut row::AddressGroup) -> Result<()>,
    ) -> Result<Shown<row::AddressGroup>> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut group = owned(tx, caller, id)?;
            caller.check_revision(group.revision)?;
            change(tx, &mut group)?;
            group.revision += 1;
            group.updated_ms = now_ms();
            check(&group)?;
            tx.update(&group)?;
            rbac::shown_one(tx, caller, group)
        })
    }
}

/// A group the caller may see.
pub(crate) fn visible(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &AddressGroupId,
) -> Result<row::AddressGroup> {
    rbac::visible(tx, caller, id, Of::Itself)
}

fn owned(tx: &Tx<'_>, caller: &Caller, id: &AddressGroupId) -> Result<row::AddressGroup> {
    let group = visible(tx, caller, id)?;
    match caller.sees(&group.project_id) {
        true => Ok(group),
        false => Err(Error::Forbidden(format!(
            "address group {id} belongs to another project"
        ))),
    }
}

/// Prefixes as a group holds them: without what comes after their length, each once.
fn normal(addresses: &[IpNet]) -> Result<BTreeSet<IpNet>> {
    let mapped =
        |net: &&IpNet| matches!(net, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some());
    match addresses.iter().find(mapped) {
        Some(net) => Err(Error::invalid(format!(
            "'{net}' is not a valid IP subnet: write it as IPv4"
        ))),
        None => Ok(addresses.iter().map(IpNet::trunc).collect()),
    }
}

fn check(group: &row::AddressGroup) -> Result<()> {
    list::check_name("name", &group.name)?;
    list::check_name("description", &group.description)?;
    match group.addresses.0.len() > MAX_ADDRESSES {
        true => Err(Error::invalid(format!(
            "an address group takes at most {MAX_ADDRESSES} addresses"
        ))),
        false => Ok(()),
    }
}
