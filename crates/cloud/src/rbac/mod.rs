//! RBAC policies: what of one project's others may see and use.
//!
//! That a network, a subnet pool or a security group is there for somebody else is always a policy's doing: `shared` and
//! `router:external` of a network stand for the policies with everybody as their target.

mod access;
mod object;

use model::{Caller, Error, Kind, ProjectId, RbacPolicyId, Result};
use store::{Field, Query, Tx, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, network};

pub use access::Shown;
pub(crate) use access::{Of, is_shared, is_target, page_query, seen_by, shown, shown_one, visible};
pub(crate) use object::{ADDRESS_SCOPE, NETWORK, QOS_POLICY, SUBNET_POOL};

use object::{Object, check_users};

/// The target that stands for all projects.
pub(crate) const EVERYBODY: &str = "*";
pub(crate) const SHARED: &str = "access_as_shared";
pub(crate) const EXTERNAL: &str = "access_as_external";

/// A policy to make.
#[derive(Clone, Debug)]
pub struct NewRbacPolicy {
    pub project: Option<ProjectId>,
    /// `network`, `subnetpool`, `security_group`, `address_group`, `address_scope` or `qos_policy`.
    pub object_type: String,
    pub object_id: String,
    /// `access_as_shared`, or of a network `access_as_external` too.
    pub action: String,
    /// A project, or `*` for all.
    pub target: String,
}

impl Cloud {
    /// A policy of the caller's project.
    pub fn get_rbac_policy(&self, caller: &Caller, id: &RbacPolicyId) -> Result<row::RbacPolicy> {
        self.store().read(|tx| find(tx, caller, id))
    }

    /// The policies of the caller's project; an administrator's list has all.
    pub fn list_rbac_policies(&self, caller: &Caller, page: &Page) -> Result<Vec<row::RbacPolicy>> {
        let query = list::owned(page.query::<row::RbacPolicy>()?, caller, true);
        self.store().read(|tx| list::run(tx, &query))
    }

    /// A new policy. A network that is to be external for somebody is so from now on.
    ///
    /// # Errors
    /// `Conflict` when there is the same already.
    pub fn create_rbac_policy(
        &self,
        caller: &Caller,
        new: &NewRbacPolicy,
    ) -> Result<row::RbacPolicy> {
        caller.require_member()?;
        check_target(caller, &new.target)?;
        let project = owner_of(caller, new.project.as_ref())?;
        self.store().write(|tx| {
            let object = Object::named(tx, caller, &new.object_type, &new.object_id)?;
            object.check_owner(caller)?;
            object.check_action(&new.action)?;
            quota::check(tx, &project, Resource::RbacPolicy, 1)?;
            let policy = row::RbacPolicy {
                id: RbacPolicyId::random(),
                project_id: project.clone(),
                object_type: new.object_type.clone(),
                object_id: object.id,
                target: new.target.clone(),
                action: new.action.clone(),
            };
            insert(tx, &policy)?;
            changed(tx, &policy)?;
            Ok(policy)
        })
    }

    /// Gives a policy another target.
    ///
    /// # Errors
    /// `Conflict` while the old target uses what it is of.
    pub fn update_rbac_policy(
        &self,
        caller: &Caller,
        id: &RbacPolicyId,
        target: Option<&str>,
    ) -> Result<row::RbacPolicy> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut policy = find(tx, caller, id)?;
            let Some(target) = target.filter(|target| *target != policy.target) else {
                return Ok(policy);
            };
            check_target(caller, target)?;
            let before = std::mem::replace(&mut policy.target, target.to_owned());
            tx.update(&policy).map_err(there_already)?;
            check_users(tx, &policy, &before)?;
            changed(tx, &policy)?;
            Ok(policy)
        })
    }

    /// Removes a policy. A network that is external for nobody any more is no external one.
    ///
    /// # Errors
    /// `Conflict` while somebody uses what it is of and could not without it.
    pub fn delete_rbac_policy(&self, caller: &Caller, id: &RbacPolicyId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let policy = find(tx, caller, id)?;
            tx.delete::<row::RbacPolicy>(id)?;
            check_users(tx, &policy, &policy.target)?;
            changed(tx, &policy)
        })
    }
}

/// Makes a thing everybody's, or no longer everybody's.
///
/// # Errors
/// `Conflict` while somebody uses it who could not any more.
pub(crate) fn set_for_everybody(
    tx: &mut Tx<'_>,
    project: &ProjectId,
    object_type: &str,
    id: &impl ToString,
    action: &str,
    wanted: bool,
) -> Result<()> {
    let everybodys = of(id, action).and("target", EVERYBODY.to_owned().to_value());
    let there: Option<row::RbacPolicy> = tx.list(&everybodys)?.pop();
    match (there, wanted) {
        (None, true) => insert(
            tx,
            &row::RbacPolicy {
                id: RbacPolicyId::random(),
                project_id: project.clone(),
                object_type: object_type.to_owned(),
                object_id: id.to_string(),
                target: EVERYBODY.to_owned(),
                action: action.to_owned(),
            },
        ),
        (Some(policy), false) => {
            tx.delete::<row::RbacPolicy>(&policy.id)?;
            check_users(tx, &policy, EVERYBODY)
        }
        _ => Ok(()),
    }
}

/// Whether anybody is allowed an action on a thing.
pub(crate) fn any(tx: &Tx<'_>, id: &impl ToString, action: &str) -> Result<bool> {
    tx.exists::<row::RbacPolicy>(of(id, action))
}

/// Whether everybody is.
pub(crate) fn everybodys(tx: &Tx<'_>, id: &impl ToString, action: &str) -> Result<bool> {
    tx.exists::<row::RbacPolicy>(of(id, action).and("target", EVERYBODY.to_owned().to_value()))
}

/// Takes an action on a thing from all.
pub(crate) fn remove_all(tx: &mut Tx<'_>, id: &impl ToString, action: &str) -> Result<()> {
    for policy in tx.list::<row::RbacPolicy>(&of(id, action))? {
        tx.delete::<row::RbacPolicy>(&policy.id)?;
    }
    Ok(())
}

fn of(id: &impl ToString, action: &str) -> Query {
    Query::equal("object_id", id.to_string().to_value()).and("action", action.to_owned().to_value())
}

/// Removes the policies of a thing that goes.
pub(crate) fn forget(tx: &mut Tx<'_>, id: &impl ToString) -> Result<()> {
    tx.delete_where::<row::RbacPolicy>("object_id", id)
        .map(drop)
}

fn insert(tx: &mut Tx<'_>, policy: &row::RbacPolicy) -> Result<()> {
    tx.insert(policy).map_err(there_already)
}

fn there_already(e: Error) -> Error {
    match e {
        Error::Conflict(_) => Error::conflict("An RBAC policy already exists with those values."),
        e => e,
    }
}

/// What a change of policies brings for the network it is of.
fn changed(tx: &mut Tx<'_>, policy: &row::RbacPolicy) -> Result<()> {
    match policy.object_type == NETWORK {
        true => network::follow_policies(tx, &policy.object_id),
        false => Ok(()),
    }
}

fn find(tx: &Tx<'_>, caller: &Caller, id: &RbacPolicyId) -> Result<row::RbacPolicy> {
    let policy: row::RbacPolicy = tx.get(id)?;
    list::seen(
        caller.sees(&policy.project_id),
        policy,
        Kind::RbacPolicy,
        id,
    )
}

/// # Errors
/// `Invalid` for what is no target, `Forbidden` for everybody as one unless an administrator asks.
fn check_target(caller: &Caller, target: &str) -> Result<()> {
    list::check_required_name("target_tenant", target)?;
    match target == EVERYBODY && !caller.is_admin() {
        true => Err(Error::Forbidden(
            "only an administrator can share something with all projects".into(),
        )),
        false => Ok(()),
    }
}
