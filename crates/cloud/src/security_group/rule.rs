//! Rules of security groups.

use ipnet::IpNet;
use model::{AddressGroupId, Caller, Error, Key, PortId, Result, RuleId, Scope, SecurityGroupId};
use store::{Field, Query, Tx, row};

use super::check::check_rule;
use super::{owned, visible};
use crate::list::{self, Page, revise};
use crate::quota::{self, Resource};
use crate::rbac::{self, Of};
use crate::{Cloud, address_group, now_ms, port};

/// Rules are never changed, so all have the same.
pub const RULE_REVISION: u64 = 0;

/// A rule to make.
#[derive(Clone, Debug)]
pub struct NewRule {
    pub group: SecurityGroupId,
    pub description: String,
    pub direction: String,
    pub ethertype: String,
    pub protocol: Option<String>,
    /// Of ICMP its type, and below its code.
    pub port_range_min: Option<i64>,
    pub port_range_max: Option<i64>,
    pub remote_ip_prefix: Option<String>,
    pub remote_group: Option<SecurityGroupId>,
    pub remote_address_group: Option<AddressGroupId>,
}

impl Cloud {
    /// A rule of a group the caller may see.
    pub fn get_rule(&self, caller: &Caller, id: &RuleId) -> Result<row::Rule> {
        self.store()
            .read(|tx| rbac::visible(tx, caller, id, Of::SecurityGroup))
    }

    /// The rules the caller may see.
    pub fn list_rules(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Rule>> {
        if let Scope::Project(project) = &caller.scope {
            self.make_default_group(project)?;
        }
        let query = rbac::seen_by(page.query::<row::Rule>()?, caller, Of::SecurityGroup);
        self.store().read(|tx| list::run(tx, &query))
    }

    /// A new rule. Every port of the group hears of it.
    pub fn create_rule(&self, caller: &Caller, new: &NewRule) -> Result<row::Rule> {
        caller.require_member()?;
        self.store().write(|tx| {
            let group = owned(tx, caller, &new.group)?;
            if let Some(remote) = &new.remote_group {
                visible(tx, caller, remote)?;
            }
            if let Some(remote) = &new.remote_address_group {
                address_group::visible(tx, caller, remote)?;
            }
            let rule = check_rule(new, &group.project_id)?;
            let of_group: Vec<row::Rule> =
                tx.list(&Query::equal("security_group_id", group.id.to_value()))?;
            if let Some(same) = of_group.iter().find(|r| matches_same(r, &rule)) {
                return Err(Error::conflict(format!(
                    "Security group rule already exists. Rule id is {}.",
                    same.id
                )));
            }
            quota::check(tx, &group.project_id, Resource::SecurityGroupRule, 1)?;
            tx.insert(&rule)?;
            touch_remote(tx, &rule)?;
            touch_members(tx, &group.id)?;
            revise::<row::SecurityGroup>(tx, &group.id)?;
            Ok(rule)
        })
    }

    /// Removes a rule.
    pub fn delete_rule(&self, caller: &Caller, id: &RuleId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let rule: row::Rule = rbac::visible(tx, caller, id, Of::SecurityGroup)?;
            owned(tx, caller, &rule.security_group_id)?;
            caller.check_revision(RULE_REVISION)?;
            tx.delete::<row::Rule>(id)?;
            revise::<row::SecurityGroup>(tx, &rule.security_group_id)?;
            touch_remote(tx, &rule)?;
            touch_members(tx, &rule.security_group_id)
        })
    }
}

/// Every port of a group hears of a change in its rules.
pub(super) fn touch_members(tx: &mut Tx<'_>, id: &SecurityGroupId) -> Result<()> {
    let members: Vec<row::Membership> =
        tx.list(&Query::equal("security_group_id", id.to_value()))?;
    let ports: Vec<PortId> = members.into_iter().map(|m| m.port_id).collect();
    ports.iter().try_for_each(|id| port::touch(tx, id))
}

/// The address group a rule names is told to nodes while a rule names it.
pub(super) fn touch_remote(tx: &mut Tx<'_>, rule: &row::Rule) -> Result<()> {
    match rule.remote_address_group_id {
        Some(remote) => tx.touch(Key::AddressGroup(remote)),
        None => Ok(()),
    }
}

/// A rule that all passes in a direction.
pub(super) fn open_rule(group: &row::SecurityGroup, direction: &str, ethertype: &str) -> row::Rule {
    row::Rule {
        id: RuleId::random(),
        security_group_id: group.id,
        project_id: group.project_id.clone(),
        description: String::new(),
        direction: direction.to_owned(),
        ethertype: ethertype.to_owned(),
        protocol: None,
        port_range_min: None,
        port_range_max: None,
        remote_ip_prefix: None,
        remote_group_id: None,
        created_ms: now_ms(),
        remote_address_group_id: None,
    }
}

/// A prefix as it stands, whatever host it was named by.
pub fn normal(prefix: &str) -> String {
    let net = prefix.parse::<IpNet>();
    net.map_or_else(|_| prefix.to_owned(), |net| net.trunc().to_string())
}

fn matches_same(a: &row::Rule, b: &row::Rule) -> bool {
    let facts = |r: &row::Rule| {
        let r = r.clone();
        (
            r.direction,
            r.ethertype,
            r.protocol,
            r.port_range_min,
            r.port_range_max,
            r.remote_ip_prefix.as_deref().map(normal),
            r.remote_group_id,
            r.remote_address_group_id,
        )
    };
    facts(a) == facts(b)
}
