//! Address scopes: within one no address is there twice, so routers route there without translation.
//!
//! A scope has subnet pools, and what they give carries it: all subnets of a family on one network are of one scope, or
//! of none.

use model::{AddressScopeId, Caller, Error, NetworkId, ProjectId, Result, Scopes};
use store::{Field, OfNetwork, Query, Tx, row};

use crate::list::{self, Page};
use crate::rbac::{self, Of, Shown};
use crate::token::owner_of;
use crate::{Cloud, subnet};

/// A scope to make.
#[derive(Clone, Debug)]
pub struct NewAddressScope {
    pub project: Option<ProjectId>,
    pub name: String,
    /// 4 or 6.
    pub version: u32,
    pub shared: bool,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct AddressScopeUpdate {
    pub name: Option<String>,
    pub shared: Option<bool>,
}

impl Cloud {
    /// A scope the caller may see.
    pub fn get_address_scope(
        &self,
        caller: &Caller,
        id: &AddressScopeId,
    ) -> Result<Shown<row::AddressScope>> {
        self.store()
            .read(|tx| rbac::shown_one(tx, caller, visible(tx, caller, id)?))
    }

    /// The scopes the caller may see.
    pub fn list_address_scopes(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Vec<Shown<row::AddressScope>>> {
        let query = rbac::page_query::<row::AddressScope>(page, caller, Of::Itself)?;
        self.store().read(|tx| {
            let scopes = list::run(tx, &query)?;
            rbac::shown(tx, caller, scopes)
        })
    }

    /// A new scope.
    pub fn create_address_scope(
        &self,
        caller: &Caller,
        new: &NewAddressScope,
    ) -> Result<Shown<row::AddressScope>> {
        caller.require_member()?;
        list::check_name("name", &new.name)?;
        check_sharing(caller, new.shared)?;
        if ![4, 6].contains(&new.version) {
            return Err(Error::invalid(format!(
                "ip_version must be 4 or 6, not {}",
                new.version
            )));
        }
        let scope = row::AddressScope {
            id: AddressScopeId::random(),
            project_id: owner_of(caller, new.project.as_ref())?,
            name: new.name.clone(),
            version: new.version,
        };
        self.store().write(|tx| {
            tx.insert(&scope)?;
            let (project, kind) = (&scope.project_id, rbac::ADDRESS_SCOPE);
            rbac::set_for_everybody(tx, project, kind, &scope.id, rbac::SHARED, new.shared)?;
            rbac::shown_one(tx, caller, scope.clone())
        })
    }

    /// Changes what is given. One that is shared with all stays so.
    pub fn update_address_scope(
        &self,
        caller: &Caller,
        id: &AddressScopeId,
        update: &AddressScopeUpdate,
    ) -> Result<Shown<row::AddressScope>> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut scope = owned(tx, caller, id)?;
            check_sharing(caller, update.shared.is_some())?;
            if update.shared == Some(false) && rbac::everybodys(tx, id, rbac::SHARED)? {
                return Err(Error::invalid(format!(
                    "Unable to update address scope {id} : Shared address scope can't be unshared"
                )));
            }
            if let Some(name) = &update.name {
                list::check_name("name", name)?;
                scope.name.clone_from(name);
            }
            if update.shared == Some(true) {
                let (project, kind) = (&scope.project_id, rbac::ADDRESS_SCOPE);
                rbac::set_for_everybody(tx, project, kind, id, rbac::SHARED, true)?;
            }
            tx.update(&scope)?;
            rbac::shown_one(tx, caller, scope)
        })
    }

    /// Removes a scope.
    ///
    /// # Errors
    /// `Conflict` while a subnet pool is in it.
    pub fn delete_address_scope(&self, caller: &Caller, id: &AddressScopeId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            owned(tx, caller, id)?;
            if tx.exists::<row::SubnetPool>(Query::equal("address_scope_id", id.to_value()))? {
                return Err(Error::conflict(format!(
                    "Unable to complete operation on address scope {id}. There are one or more subnet pools in use on the address scope"
                )));
            }
            rbac::forget(tx, id)?;
            tx.delete::<row::AddressScope>(id).map(drop)
        })
    }
}

fn visible(tx: &Tx<'_>, caller: &Caller, id: &AddressScopeId) -> Result<row::AddressScope> {
    rbac::visible(tx, caller, id, Of::Itself)
}

fn owned(tx: &Tx<'_>, caller: &Caller, id: &AddressScopeId) -> Result<row::AddressScope> {
    let scope = visible(tx, caller, id)?;
    match caller.sees(&scope.project_id) {
        true => Ok(scope),
        false => Err(Error::Forbidden(format!(
            "address scope {id} belongs to another project"
        ))),
    }
}

fn check_sharing(caller: &Caller, asked: bool) -> Result<()> {
    match asked && !caller.is_admin() {
        true => Err(Error::Forbidden(
            "only an administrator can share an address scope with all projects".into(),
        )),
        false => Ok(()),
    }
}

/// Whether a pool can be in the scope that it names.
///
/// # Errors
/// `NotFound` for a scope the caller may not see, `Invalid` for one of the other family, `Conflict` when another of its
/// pools has some of the prefixes.
pub(crate) fn check_pool(tx: &Tx<'_>, caller: &Caller, pool: &row::SubnetPool) -> Result<()> {
    let Some(id) = &pool.address_scope_id else {
        return Ok(());
    };
    let scope = visible(tx, caller, id)?;
    if scope.version != pool.version {
        return Err(Error::invalid(format!(
            "Illegal subnetpool association: subnetpool {} cannot associate with address scope {id} because the address scope is of IPv{}",
            pool.id, scope.version
        )));
    }
    let others: Vec<row::SubnetPool> = tx.list(&Query::equal("address_scope_id", id.to_value()))?;
    let meets = |other: &row::SubnetPool| {
        let theirs = &other.prefixes.0;
        let mut mine = pool.prefixes.0.iter();
        mine.any(|p| theirs.iter().any(|t| t.contains(p) || p.contains(t)))
    };
    match others
        .iter()
        .find(|other| other.id != pool.id && meets(other))
    {
        Some(_) => Err(Error::conflict(format!(
            "Failed to associate address scope: subnetpools within address scope {id} must have unique prefixes"
        ))),
        None => Ok(()),
    }
}

/// The scopes of a network, which are those of its subnets.
pub(crate) fn scopes(tx: &Tx<'_>, network: &NetworkId) -> Result<Scopes> {
    let mut scopes = Scopes::default();
    for part in tx.of_networks([network].into_iter())? {
        match part {
            OfNetwork::Scope(_, 4, id) => scopes.v4 = Some(id),
            OfNetwork::Scope(_, _, id) => scopes.v6 = Some(id),
            _ => {}
        }
    }
    Ok(scopes)
}

/// # Errors
/// `Invalid` when the subnets of a family on a network are not all of one scope, or all of none.
pub(crate) fn check_network(tx: &Tx<'_>, network: &NetworkId) -> Result<()> {
    let subnets: Vec<row::Subnet> = tx.list(&Query::equal("network_id", network.to_value()))?;
    let pools = subnets.iter().filter_map(|s| s.subnet_pool_id);
    let pools = Query::all().one_of("id", pools.map(|id| id.to_value()).collect());
    let pools: Vec<row::SubnetPool> = tx.list(&pools)?;
    let scope = |subnet: &row::Subnet| {
        let pool = pools.iter().find(|p| Some(p.id) == subnet.subnet_pool_id);
        pool.and_then(|p| p.address_scope_id)
    };
    for v4 in [true, false] {
        let of_family: Vec<_> = subnets
            .iter()
            .filter(|s| s.prefix.is_ipv4() == v4)
            .collect();
        if of_family
            .windows(2)
            .any(|two| scope(two[0]) != scope(two[1]))
        {
            return Err(Error::invalid(format!(
                "Subnets hosted on the same network must participate in the same address scope: those of network {network} would not"
            )));
        }
    }
    Ok(())
}

/// The scope of a pool is another, so that of the networks with its subnets is, too.
///
/// # Errors
/// `Invalid` as for [`check_network`].
pub(crate) fn follow_pool(tx: &mut Tx<'_>, pool: &row::SubnetPool) -> Result<()> {
    let given: Vec<row::Subnet> = tx.list(&Query::equal("subnet_pool_id", pool.id.to_value()))?;
    let mut networks: Vec<NetworkId> = given.iter().map(|s| s.network_id).collect();
    networks.sort();
    networks.dedup();
    for network in &networks {
        check_network(tx, network)?;
        subnet::touch_routers(tx, network)?;
    }
    Ok(())
}
