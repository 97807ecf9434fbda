//! QoS policies: how fast ports send and receive, and how what they send is marked.
//!
//! Administrators make policies and their rules; a project uses those that are its own or shared with it. `rule` has the
//! rules, `bound` what has a policy and what follows for a port.

mod bound;
mod rule;

use std::collections::{HashMap, HashSet};

use model::{Caller, Error, Kind, ProjectId, QosPolicyId, Result};
use store::{Field, Json, OfQosPolicy, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::rbac::{self, Of};
use crate::token::owner_of;
use crate::{Cloud, now_ms};

pub(crate) use bound::{chosen, default_of, of_port, touch_network};
pub use rule::{DSCP_MARKS, NewQosRule, QosRuleKind, QosRuleUpdate};

/// A policy to make.
#[derive(Clone, Debug, Default)]
pub struct NewQosPolicy {
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    pub shared: bool,
    pub is_default: bool,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct QosPolicyUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub shared: Option<bool>,
    pub is_default: Option<bool>,
}

/// A policy with what belongs to it.
#[derive(Clone, Debug)]
pub struct QosPolicyView {
    pub policy: row::QosPolicy,
    pub rules: Vec<row::QosRule>,
    /// Whether a policy of another kind (RBAC) shares it with who looks.
    pub shared: bool,
}

impl Cloud {
    /// A policy the caller may see.
    pub fn get_qos_policy(&self, caller: &Caller, id: &QosPolicyId) -> Result<QosPolicyView> {
        self.store()
            .read(|tx| view(tx, caller, visible(tx, caller, id)?))
    }

    /// The policies the caller may see.
    pub fn list_qos_policies(&self, caller: &Caller, page: &Page) -> Result<Vec<QosPolicyView>> {
        let query = rbac::page_query::<row::QosPolicy>(page, caller, Of::Itself)?;
        self.store().read(|tx| {
            let policies = list::run(tx, &query)?;
            views(tx, caller, policies)
        })
    }

    /// A new policy, without rules.
    ///
    /// # Errors
    /// `Conflict` for a second default of a project.
    pub fn create_qos_policy(&self, caller: &Caller, new: &NewQosPolicy) -> Result<QosPolicyView> {
        let named = new.project.as_ref().map_or("", ProjectId::as_str);
        list::check_name("project_id", named)?;
        let now = now_ms();
        let policy = row::QosPolicy {
            id: QosPolicyId::random(),
            project_id: owner_of(caller, new.project.as_ref())?,
            name: new.name.clone(),
            description: new.description.clone(),
            is_default: new.is_default,
            tags: Json::default(),
            revision: 1,
            created_ms: now,
            updated_ms: now,
        };
        check(&policy)?;
        caller.require_admin()?;
        self.store().write(|tx| {
            check_default(tx, &policy)?;
            tx.insert(&policy)?;
            share(tx, &policy, new.shared)?;
            view(tx, caller, policy.clone())
        })
    }

    /// Changes what is given.
    ///
    /// # Errors
    /// `Conflict` when it is to be shared no more and another project uses it, or for a second default.
    pub fn update_qos_policy(
        &self,
        caller: &Caller,
        id: &QosPolicyId,
        update: &QosPolicyUpdate,
    ) -> Result<QosPolicyView> {
        for (what, text) in [("name", &update.name), ("description", &update.description)] {
            list::check_name(what, text.as_deref().unwrap_or_default())?;
        }
        self.store().write(|tx| {
            let mut policy = changeable(tx, caller, id)?;
            caller.check_revision(policy.revision)?;
            policy.name = update.name.clone().unwrap_or(policy.name);
            policy.description = update.description.clone().unwrap_or(policy.description);
            policy.is_default = update.is_default.unwrap_or(policy.is_default);
            policy.revision += 1;
            policy.updated_ms = now_ms();
            check_default(tx, &policy)?;
            tx.update(&policy)?;
            if let Some(shared) = update.shared {
                share(tx, &policy, shared)?;
            }
            view(tx, caller, policy)
        })
    }

    /// Removes a policy with its rules.
    ///
    /// # Errors
    /// `InUse` while a network or a port has it.
    pub fn delete_qos_policy(&self, caller: &Caller, id: &QosPolicyId) -> Result<()> {
        self.store().write(|tx| {
            caller.check_revision(changeable(tx, caller, id)?.revision)?;
            bound::check_unused(tx, id)?;
            rbac::forget(tx, id)?;
            tx.delete::<row::QosPolicy>(id).map(drop)
        })
    }
}

/// A policy the caller may see, and thereby use.
pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &QosPolicyId) -> Result<row::QosPolicy> {
    rbac::visible(tx, caller, id, Of::Itself)
}

/// A policy that the caller may change: administrators do.
pub(crate) fn changeable(tx: &Tx<'_>, caller: &Caller, id: &QosPolicyId) -> Result<row::QosPolicy> {
    let policy = visible(tx, caller, id)?;
    caller.require_admin()?;
    Ok(policy)
}

fn view(tx: &Tx<'_>, caller: &Caller, policy: row::QosPolicy) -> Result<QosPolicyView> {
    let id = policy.id;
    let mut views = views(tx, caller, vec![policy])?;
    views
        .pop()
        .ok_or_else(|| Error::not_found(Kind::QosPolicy, id))
}

/// Joins policies with what belongs to them, in one statement however many there are.
fn views(
    tx: &Tx<'_>,
    caller: &Caller,
    policies: Vec<row::QosPolicy>,
) -> Result<Vec<QosPolicyView>> {
    let mut rules: HashMap<QosPolicyId, Vec<row::QosRule>> = HashMap::new();
    let mut shared = HashSet::new();
    for part in tx.of_qos_policies(policies.iter().map(|p| &p.id))? {
        match part {
            OfQosPolicy::Rule(rule) => rules.entry(rule.qos_policy_id).or_default().push(rule),
            OfQosPolicy::Shared(policy, target) if rbac::is_target(caller, &target) => {
                shared.insert(policy);
            }
            OfQosPolicy::Shared(..) => {}
        }
    }
    let order = |rule: &row::QosRule| (rule.kind.clone(), rule.direction.clone());
    rules
        .values_mut()
        .for_each(|of_policy| of_policy.sort_by_key(order));
    let join = |policy: row::QosPolicy| QosPolicyView {
        rules: rules.remove(&policy.id).unwrap_or_default(),
        shared: shared.contains(&policy.id),
        policy,
    };
    Ok(policies.into_iter().map(join).collect())
}

fn share(tx: &mut Tx<'_>, policy: &row::QosPolicy, shared: bool) -> Result<()> {
    let (project, id) = (&policy.project_id, &policy.id);
    rbac::set_for_everybody(tx, project, rbac::QOS_POLICY, id, rbac::SHARED, shared)
}

/// # Errors
/// `Conflict` when the project has another default.
fn check_default(tx: &Tx<'_>, policy: &row::QosPolicy) -> Result<()> {
    let default = default_of(tx, &policy.project_id)?;
    match policy.is_default && default.is_some_and(|id| id != policy.id) {
        true => Err(Error::conflict(format!(
            "A default QoS policy exists for project {}.",
            policy.project_id
        ))),
        false => Ok(()),
    }
}

fn check(policy: &row::QosPolicy) -> Result<()> {
    list::check_name("name", &policy.name)?;
    list::check_name("description", &policy.description)
}

/// The rules of a policy.
fn rules_of(tx: &Tx<'_>, policy: &QosPolicyId) -> Result<Vec<row::QosRule>> {
    tx.list(&Query::equal("qos_policy_id", policy.to_value()))
}

/// Yes, as a column holds it.
fn yes() -> Value {
    Value::Integer(1)
}
