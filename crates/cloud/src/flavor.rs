//! Flavors.

use model::{Caller, Error, FlavorId, Kind, Result};
use store::{Json, Query, Value, row};

use crate::Cloud;
use crate::list::{self, Page};

/// A flavor to make.
#[derive(Clone, Debug)]
pub struct NewFlavor {
    /// `None` or `auto`: hextet chooses.
    pub id: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub vcpus: u32,
    pub ram_mib: u32,
    pub disk_gib: u32,
    pub public: bool,
}

impl Cloud {
    /// A flavor.
    pub fn get_flavor(&self, caller: &Caller, id: &str) -> Result<row::Flavor> {
        let flavor: row::Flavor = self.store().read(|tx| tx.get(&id))?;
        list::seen(flavor.public || caller.is_admin(), flavor, Kind::Flavor, id)
    }

    /// The flavors the caller may use, in the order in which they grow. `public`: `None` for both
    /// kinds, which only an administrator sees.
    pub fn list_flavors(
        &self,
        caller: &Caller,
        page: &Page,
        public: Option<bool>,
    ) -> Result<Vec<row::Flavor>> {
        self.store().read(|tx| {
            let mut query = page.query::<row::Flavor>()?;
            if !caller.is_admin() {
                query = query.seen_by("public", Value::Integer(1));
            } else if let Some(public) = public {
                query = query.and("public", Value::Integer(i64::from(public)));
            }
            list::run(tx, &query)
        })
    }

    /// A new flavor.
    pub fn create_flavor(&self, caller: &Caller, new: &NewFlavor) -> Result<row::Flavor> {
        caller.require_admin()?;
        list::check_required_name("name", &new.name)?;
        let id = match new.id.as_deref() {
            None | Some("auto" | "") => FlavorId(model::ServerId::random().to_string()),
            Some(id) => FlavorId::from(id.to_owned()),
        };
        check_flavor(id.as_str(), new)?;
        let flavor = row::Flavor {
            id,
            name: new.name.clone(),
            description: new.description.clone(),
            vcpus: new.vcpus,
            ram_mib: new.ram_mib,
            disk_gib: new.disk_gib,
            public: new.public,
            extra_specs: Json::default(),
        };
        self.store().write(|tx| tx.insert(&flavor))?;
        Ok(flavor)
    }

    /// Removes a flavor. Servers made of it keep their copy.
    pub fn delete_flavor(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require_admin()?;
        self.store()
            .write(|tx| match tx.delete::<row::Flavor>(&id)? {
                true => Ok(()),
                false => Err(Error::not_found(Kind::Flavor, id)),
            })
    }

    /// Sets extra specs beside those that are there.
    pub fn set_extra_specs(
        &self,
        caller: &Caller,
        id: &str,
        specs: &row::Metadata,
    ) -> Result<row::Flavor> {
        caller.require_admin()?;
        for (key, value) in specs {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_:. ".contains(c);
            if key.is_empty() || key.len() > 255 || !key.chars().all(known) {
                return Err(Error::invalid(format!(
                    "extra spec '{key}': a key has 1 to 255 of the characters A-Z, a-z, 0-9, '-', '_', ':', '.' and space"
                )));
            }
            list::check_name("an extra spec's value", value)?;
        }
        self.store().write(|tx| {
            let mut flavor: row::Flavor = tx.get(&id)?;
            flavor.extra_specs.0.extend(specs.clone());
            tx.update(&flavor)?;
            Ok(flavor)
        })
    }

    /// Removes one extra spec.
    pub fn delete_extra_spec(&self, caller: &Caller, id: &str, key: &str) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            let mut flavor: row::Flavor = tx.get(&id)?;
            flavor
                .extra_specs
                .0
                .remove(key)
                .ok_or_else(|| Error::not_found(Kind::Path, key))?;
            tx.update(&flavor)
        })
    }
}

/// The id stands in paths, and the numbers in clients' 32-bit integers.
fn check_flavor(id: &str, new: &NewFlavor) -> Result<()> {
    const MOST: u32 = i32::MAX as u32;
    let known = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    list::check_required_name("id", id)?;
    if !id.chars().all(known) || id.trim() != id {
        return Err(Error::invalid(format!(
            "flavor id '{id}' must hold only A-Z, a-z, 0-9, '.', '_', '-' and space"
        )));
    }
    match [new.vcpus, new.ram_mib, new.disk_gib]
        .iter()
        .all(|n| *n <= MOST)
    {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "vcpus, ram and disk can be at most {MOST}"
        ))),
    }
}

/// The flavor a server request names.
pub(crate) fn usable(tx: &store::Tx<'_>, caller: &Caller, id: &str) -> Result<row::Flavor> {
    let found = tx
        .list::<row::Flavor>(&Query::equal("id", Value::Text(id.to_owned())))?
        .pop();
    found
        .filter(|f| f.public || caller.is_admin())
        .ok_or_else(|| Error::invalid(format!("Flavor {id} could not be found.")))
}
