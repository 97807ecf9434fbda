//! Which user holds which role on what.

use model::{Caller, DomainId, Error, Kind, ProjectId, Result, RoleId, UserId};
use store::{Field, OfAssignment, Query, Tx, Value, row};

use crate::Cloud;

/// What a role is held on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Project(ProjectId),
    Domain(DomainId),
    System,
}

impl Target {
    fn columns(&self) -> (&'static str, &str) {
        match self {
            Target::Project(id) => ("project", id.as_str()),
            Target::Domain(id) => ("domain", id.as_str()),
            Target::System => ("system", "all"),
        }
    }
}

impl Cloud {
    /// Gives a user a role; it may hold it already.
    pub fn assign(
        &self,
        caller: &Caller,
        role: &RoleId,
        user: &UserId,
        target: &Target,
    ) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            check(tx, role, user, target)?;
            let assignment = assignment(role, user, target);
            match tx.find::<row::Assignment>(Value::Text(assignment.id.clone()))? {
                Some(_) => Ok(()),
                None => tx.insert(&assignment),
            }
        })?;
        self.identity_changed();
        Ok(())
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// `NotFound` when the user does not hold it.
    pub fn unassign(
        &self,
        caller: &Caller,
        role: &RoleId,
        user: &UserId,
        target: &Target,
    ) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            check(tx, role, user, target)?;
            match tx.delete::<row::Assignment>(&assignment(role, user, target).id)? {
                true => Ok(()),
                false => Err(Error::not_found(Kind::Role, role)),
            }
        })?;
        self.identity_changed();
        Ok(())
    }

    /// Whether a user holds a role.
    pub fn assigned(
        &self,
        caller: &Caller,
        role: &RoleId,
        user: &UserId,
        target: &Target,
    ) -> Result<()> {
        caller.require_admin()?;
        self.store().read(|tx| {
            let id = assignment(role, user, target).id;
            match tx.find::<row::Assignment>(Value::Text(id))? {
                Some(_) => Ok(()),
                None => Err(Error::not_found(Kind::Role, role)),
            }
        })
    }

    /// The roles a user holds on a target.
    pub fn roles_on(
        &self,
        caller: &Caller,
        user: &UserId,
        target: &Target,
    ) -> Result<Vec<row::Role>> {
        caller.require_admin()?;
        let (kind, id) = target.columns();
        self.store().read(|tx| {
            let condition = "t.id IN (SELECT a.role_id FROM assignment a WHERE a.user_id = ? AND a.target_kind = ? AND a.target_id = ?)";
            let arguments = [user.as_str(), kind, id].map(|t| Value::Text(t.to_owned()));
            tx.list(&Query::all().matching(condition, arguments.to_vec()))
        })
    }

    /// The domains on which the caller has a role.
    pub fn own_domains(&self, caller: &Caller) -> Result<Vec<row::Domain>> {
        self.store().read(|tx| {
            let condition = "t.id IN (SELECT a.target_id FROM assignment a WHERE a.user_id = ? AND a.target_kind = 'domain')";
            tx.list(&Query::all().matching(condition, vec![caller.user.to_value()]))
        })
    }

    /// Assignments, filtered by what is given. One's own, or anyone's for an administrator.
    pub fn list_assignments(
        &self,
        caller: &Caller,
        user: Option<&str>,
        role: Option<&str>,
        target: Option<&Target>,
    ) -> Result<Vec<OfAssignment>> {
        if user != Some(caller.user.as_str()) {
            caller.require_admin()?;
        }
        let text = |t: &str| Value::Text(t.to_owned());
        let mut filters = Vec::new();
        filters.extend(user.map(|user| ("user_id", text(user))));
        filters.extend(role.map(|role| ("role_id", text(role))));
        if let Some((kind, id)) = target.map(Target::columns) {
            filters.extend([("target_kind", text(kind)), ("target_id", text(id))]);
        }
        self.store().read(|tx| tx.assignments(filters))
    }
}

fn check(tx: &Tx<'_>, role: &RoleId, user: &UserId, target: &Target) -> Result<()> {
    tx.get::<row::Role>(role)?;
    tx.get::<row::User>(user)?;
    match target {
        Target::Project(id) => tx.get::<row::Project>(id).map(drop),
        Target::Domain(id) => tx.get::<row::Domain>(id).map(drop),
        Target::System => Ok(()),
    }
}

pub(crate) fn assignment(role: &RoleId, user: &UserId, target: &Target) -> row::Assignment {
    let (kind, id) = target.columns();
    row::Assignment {
        id: format!("{role}/{user}/{kind}/{id}"),
        role_id: role.clone(),
        user_id: user.clone(),
        target_kind: kind.to_owned(),
        target_id: id.to_owned(),
    }
}
