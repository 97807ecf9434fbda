//! Identity roles. `admin` implies `manager`, `manager` implies `member`, `member` implies `reader`.

use model::{Caller, Error, Kind, Result, RoleId};
use store::row;

use crate::Cloud;
use crate::list::{self, Page};

/// Roles that hextet's own rules name: they cannot go.
pub(crate) const BUILT_IN: [&str; 5] = ["admin", "manager", "member", "reader", "service"];

impl Cloud {
    /// A role.
    pub fn get_role(&self, caller: &Caller, id: &str) -> Result<row::Role> {
        let role = self.store().read(|tx| tx.get(&id))?;
        list::seen(caller.is_admin(), role, Kind::Role, id)
    }

    /// All roles.
    pub fn list_roles(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Role>> {
        caller.require_admin()?;
        self.store()
            .read(|tx| list::run(tx, &page.query::<row::Role>()?))
    }

    /// A new role.
    pub fn create_role(&self, caller: &Caller, name: &str, description: &str) -> Result<row::Role> {
        caller.require_admin()?;
        list::check_required_name("name", name)?;
        let role = row::Role {
            id: RoleId::random(),
            name: name.to_owned(),
            description: description.to_owned(),
        };
        self.store().write(|tx| tx.insert(&role))?;
        Ok(role)
    }

    /// Changes what is given.
    pub fn update_role(
        &self,
        caller: &Caller,
        id: &str,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<row::Role> {
        caller.require_admin()?;
        let role = self.store().write(|tx| {
            let mut role: row::Role = tx.get(&id)?;
            if let Some(name) = &name {
                list::check_required_name("name", name)?;
                if BUILT_IN.contains(&role.name.as_str()) && *name != role.name {
                    return Err(Error::Forbidden(format!(
                        "the role {} is hextet's own and keeps its name",
                        role.name
                    )));
                }
                role.name.clone_from(name);
            }
            if let Some(description) = &description {
                role.description.clone_from(description);
            }
            tx.update(&role)?;
            Ok(role)
        })?;
        self.identity_changed();
        Ok(role)
    }

    /// Removes a role with its assignments.
    pub fn delete_role(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            let role: row::Role = tx.get(&id)?;
            if BUILT_IN.contains(&role.name.as_str()) {
                return Err(Error::Forbidden(format!(
                    "the role {} is hextet's own and cannot be deleted",
                    role.name
                )));
            }
            tx.delete::<row::Role>(&id).map(drop)
        })?;
        self.identity_changed();
        Ok(())
    }
}
