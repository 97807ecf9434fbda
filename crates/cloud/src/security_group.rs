//! Security groups and their rules. What no rule allows is dropped.

use ipnet::IpNet;
use model::{
    AddressGroupId, Caller, Error, Key, Kind, PortId, ProjectId, Result, RuleId, Scope,
    SecurityGroupId,
};
use store::{Field, Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, now_ms, port};

/// A security group to make.
#[derive(Clone, Debug)]
pub struct NewSecurityGroup {
    pub name: String,
    pub description: String,
    pub project: Option<ProjectId>,
    pub stateful: Option<bool>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct SecurityGroupUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
}

/// A rule to make.
#[derive(Clone, Debug)]
pub struct NewRule {
    pub group: SecurityGroupId,
    pub description: String,
    pub direction: String,
    pub ethertype: String,
    pub protocol: Option<String>,
    pub port_range_min: Option<u32>,
    pub port_range_max: Option<u32>,
    pub remote_ip_prefix: Option<String>,
    pub remote_group: Option<SecurityGroupId>,
}

/// A security group with its rules.
#[derive(Clone, Debug)]
pub struct SecurityGroupView {
    pub group: row::SecurityGroup,
    pub rules: Vec<row::Rule>,
}

impl Cloud {
    /// A security group the caller may see.
    pub fn get_security_group(
        &self,
        caller: &Caller,
        id: &SecurityGroupId,
    ) -> Result<SecurityGroupView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The security groups the caller may see. A project's default group is made when it is first
    /// looked for.
    pub fn list_security_groups(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Vec<SecurityGroupView>> {
        if let Scope::Project(project) = &caller.scope {
            self.ensure_default_group(project)?;
        }
        let query = scoped(caller, page.query::<row::SecurityGroup>()?);
        self.store().read(|tx| {
            let groups: Vec<row::SecurityGroup> = list::run(tx, &query)?;
            let ids = groups.iter().map(|g| g.id.to_value()).collect();
            let rules: Vec<row::Rule> = tx.list(&Query::all().one_of("security_group_id", ids))?;
            let of = |g: &row::SecurityGroup| {
                rules
                    .iter()
                    .filter(|r| r.security_group_id == g.id)
                    .cloned()
                    .collect()
            };
            Ok(groups
                .into_iter()
                .map(|g| SecurityGroupView {
                    rules: of(&g),
                    group: g,
                })
                .collect())
        })
    }

    /// A new security group: all may leave, nothing may come in.
    pub fn create_security_group(
        &self,
        caller: &Caller,
        new: &NewSecurityGroup,
    ) -> Result<SecurityGroupView> {
        caller.require_member()?;
        list::check_name("name", &new.name)?;
        list::check_name("description", &new.description)?;
        if new.name.eq_ignore_ascii_case("default") {
            return Err(Error::conflict("Default security group already exists."));
        }
        if new.stateful == Some(false) {
            return Err(Error::invalid(
                "stateless security groups are not available: leave stateful out, or true",
            ));
        }
        let project = owner_of(caller, new.project.as_ref())?;
        self.store().write(|tx| {
            default_of(tx, &project)?;
            quota::check(tx, &project, Resource::SecurityGroup, 1)?;
            let group = insert(tx, &project, &new.name, &new.description)?;
            view(tx, group)
        })
    }

    /// Changes what is given.
    pub fn update_security_group(
        &self,
        caller: &Caller,
        id: &SecurityGroupId,
        update: &SecurityGroupUpdate,
    ) -> Result<SecurityGroupView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut group = visible(tx, caller, id)?;
            if let Some(name) = &update.name {
                list::check_name("name", name)?;
                let renamed = *name != group.name;
                if renamed && (group.name == "default" || name == "default") {
                    return Err(Error::conflict(
                        "The default security group keeps its name, and no other may take it.",
                    ));
                }
                group.name.clone_from(name);
            }
            if let Some(description) = &update.description {
                list::check_name("description", description)?;
                group.description.clone_from(description);
            }
            group.revision += 1;
            group.updated_ms = now_ms();
            tx.update(&group)?;
            view(tx, group)
        })
    }

    /// Removes a security group with its rules.
    ///
    /// # Errors
    /// `Conflict` while a port has it, or for a project's default group (an administrator may).
    pub fn delete_security_group(&self, caller: &Caller, id: &SecurityGroupId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let group = visible(tx, caller, id)?;
            if group.name == "default" && !caller.is_admin() {
                return Err(Error::conflict(
                    "Insufficient rights for removing default security group.",
                ));
            }
            if tx.exists::<row::Membership>(Query::equal("security_group_id", id.to_value()))? {
                return Err(Error::conflict(format!("Security Group {id} in use.")));
            }
            // Rules of other groups that name this one match nobody from now on.
            for rule in tx.list::<row::Rule>(&Query::equal("remote_group_id", id.to_value()))? {
                touch_members(tx, &rule.security_group_id)?;
                tx.delete::<row::Rule>(&rule.id)?;
            }
            for rule in tx.list::<row::Rule>(&Query::equal("security_group_id", id.to_value()))? {
                touch_remote(tx, &rule)?;
            }
            tx.touch(Key::AddressGroup(AddressGroupId(id.0)))?;
            tx.delete::<row::SecurityGroup>(id).map(drop)
        })
    }

    /// A rule of a group the caller may see.
    pub fn get_rule(&self, caller: &Caller, id: &RuleId) -> Result<row::Rule> {
        let rule: row::Rule = self.store().read(|tx| tx.get(id))?;
        list::seen(
            caller.sees(&rule.project_id),
            rule,
            Kind::SecurityGroupRule,
            id,
        )
    }

    /// The rules the caller may see.
    pub fn list_rules(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Rule>> {
        if let Scope::Project(project) = &caller.scope {
            self.ensure_default_group(project)?;
        }
        let query = scoped(caller, page.query::<row::Rule>()?);
        self.store().read(|tx| list::run(tx, &query))
    }

    /// A new rule. Every port of the group hears of it.
    pub fn create_rule(&self, caller: &Caller, new: &NewRule) -> Result<row::Rule> {
        caller.require_member()?;
        self.store().write(|tx| {
            let group = visible(tx, caller, &new.group)?;
            if let Some(remote) = &new.remote_group {
                visible(tx, caller, remote)?;
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
            Ok(rule)
        })
    }

    /// Removes a rule.
    pub fn delete_rule(&self, caller: &Caller, id: &RuleId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let rule: row::Rule = tx.get(id)?;
            let rule = list::seen(
                caller.sees(&rule.project_id),
                rule,
                Kind::SecurityGroupRule,
                id,
            )?;
            tx.delete::<row::Rule>(id)?;
            touch_remote(tx, &rule)?;
            touch_members(tx, &rule.security_group_id)
        })
    }

    fn ensure_default_group(&self, project: &ProjectId) -> Result<()> {
        let there = self.store().read(|tx| find_default(tx, project))?.is_some();
        match there {
            true => Ok(()),
            false => self.store().write(|tx| default_of(tx, project).map(drop)),
        }
    }
}

/// A group the caller may see.
pub(crate) fn visible(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &SecurityGroupId,
) -> Result<row::SecurityGroup> {
    let group: row::SecurityGroup = tx.get(id)?;
    list::seen(
        caller.sees(&group.project_id),
        group,
        Kind::SecurityGroup,
        id,
    )
}

/// A group by id or by its name in the caller's project.
///
/// # Errors
/// `Invalid` when there is none, or when the name stands for several.
pub(crate) fn by_name_or_id(
    tx: &mut Tx<'_>,
    caller: &Caller,
    text: &str,
) -> Result<SecurityGroupId> {
    let project = caller.project()?.clone();
    if text == "default" {
        return Ok(default_of(tx, &project)?.id);
    }
    if let Ok(id) = text.parse()
        && visible(tx, caller, &id).is_ok()
    {
        return Ok(id);
    }
    let query =
        Query::equal("project_id", project.to_value()).and("name", Value::Text(text.to_owned()));
    let mut found: Vec<row::SecurityGroup> = tx.list(&query)?;
    match (found.pop(), found.is_empty()) {
        (Some(group), true) => Ok(group.id),
        (Some(_), false) => Err(Error::conflict(format!(
            "Multiple security groups found matching '{text}'. Use an ID to be more specific."
        ))),
        (None, _) => Err(Error::invalid(format!(
            "Unable to find security_group with name or id '{text}'"
        ))),
    }
}

/// The same, for a request that names a group to act on it.
///
/// # Errors
/// `NotFound` when there is none.
pub(crate) fn named(tx: &mut Tx<'_>, caller: &Caller, text: &str) -> Result<SecurityGroupId> {
    by_name_or_id(tx, caller, text).map_err(|e| match e {
        Error::Invalid(_) => Error::not_found(Kind::SecurityGroup, text),
        e => e,
    })
}

/// The project's default group, made if it is not there.
pub(crate) fn default_of(tx: &mut Tx<'_>, project: &ProjectId) -> Result<row::SecurityGroup> {
    if let Some(group) = find_default(tx, project)? {
        return Ok(group);
    }
    let group = insert(tx, project, "default", "Default security group")?;
    for ethertype in ["IPv4", "IPv6"] {
        let mut rule = open_rule(&group, "ingress", ethertype);
        rule.remote_group_id = Some(group.id);
        tx.insert(&rule)?;
    }
    Ok(group)
}

/// Every port of a group hears of a change in its rules.
fn touch_members(tx: &mut Tx<'_>, id: &SecurityGroupId) -> Result<()> {
    let members: Vec<row::Membership> =
        tx.list(&Query::equal("security_group_id", id.to_value()))?;
    let ports: Vec<PortId> = members.into_iter().map(|m| m.port_id).collect();
    ports.iter().try_for_each(|id| port::touch(tx, id))
}

/// The group a rule names is told to nodes while a rule names it.
fn touch_remote(tx: &mut Tx<'_>, rule: &row::Rule) -> Result<()> {
    match rule.remote_group_id {
        Some(remote) => tx.touch(Key::AddressGroup(AddressGroupId(remote.0))),
        None => Ok(()),
    }
}

fn find_default(tx: &Tx<'_>, project: &ProjectId) -> Result<Option<row::SecurityGroup>> {
    let query =
        Query::equal("project_id", project.to_value()).and("name", Value::Text("default".into()));
    Ok(tx.list(&query)?.pop())
}

fn insert(
    tx: &mut Tx<'_>,
    project: &ProjectId,
    name: &str,
    description: &str,
) -> Result<row::SecurityGroup> {
    let now = now_ms();
    let group = row::SecurityGroup {
        id: SecurityGroupId::random(),
        project_id: project.clone(),
        name: name.to_owned(),
        description: description.to_owned(),
        stateful: true,
        tags: Json(Vec::new()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
    };
    tx.insert(&group)?;
    for ethertype in ["IPv4", "IPv6"] {
        tx.insert(&open_rule(&group, "egress", ethertype))?;
    }
    Ok(group)
}

fn open_rule(group: &row::SecurityGroup, direction: &str, ethertype: &str) -> row::Rule {
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
    }
}

fn view(tx: &Tx<'_>, group: row::SecurityGroup) -> Result<SecurityGroupView> {
    let rules = tx.list(&Query::equal("security_group_id", group.id.to_value()))?;
    Ok(SecurityGroupView { group, rules })
}

fn scoped(caller: &Caller, query: Query) -> Query {
    match &caller.scope {
        _ if caller.is_admin() => query,
        Scope::Project(project) => query.seen_by("project_id", project.to_value()),
        _ => query.seen_by("project_id", Value::Null),
    }
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
            r.remote_ip_prefix,
            r.remote_group_id,
        )
    };
    facts(a) == facts(b)
}

/// The protocols a rule may name, by the network API's words; numbers are taken too.
const PROTOCOLS: [&str; 12] = [
    "tcp",
    "udp",
    "icmp",
    "icmpv6",
    "ipv6-icmp",
    "sctp",
    "dccp",
    "udplite",
    "ah",
    "esp",
    "gre",
    "vrrp",
];

fn check_rule(new: &NewRule, project: &ProjectId) -> Result<row::Rule> {
    list::check_name("description", &new.description)?;
    if !["ingress", "egress"].contains(&new.direction.as_str()) {
        return Err(Error::invalid(format!(
            "direction must be ingress or egress, not '{}'",
            new.direction
        )));
    }
    let ethertype = match new.ethertype.to_ascii_lowercase().as_str() {
        "ipv6" => "IPv6",
        "ipv4" => "IPv4",
        _ => {
            return Err(Error::invalid(format!(
                "ethertype must be IPv6 or IPv4, not '{}'",
                new.ethertype
            )));
        }
    };
    let protocol = normal_protocol(new.protocol.as_deref(), ethertype)?;
    if new.remote_ip_prefix.is_some() && new.remote_group.is_some() {
        return Err(Error::invalid(
            "Only remote_ip_prefix or remote_group_id may be provided.",
        ));
    }
    check_range(protocol.as_deref(), new)?;
    Ok(row::Rule {
        id: RuleId::random(),
        security_group_id: new.group,
        project_id: project.clone(),
        description: new.description.clone(),
        direction: new.direction.clone(),
        ethertype: ethertype.to_owned(),
        protocol,
        port_range_min: new.port_range_min,
        port_range_max: new.port_range_max,
        remote_ip_prefix: new
            .remote_ip_prefix
            .as_deref()
            .map(|p| check_prefix(p, ethertype))
            .transpose()?,
        remote_group_id: new.remote_group,
        created_ms: now_ms(),
    })
}

/// ICMP for IPv6 has several names; one is kept.
fn normal_protocol(protocol: Option<&str>, ethertype: &str) -> Result<Option<String>> {
    let Some(text) = protocol
        .map(str::to_ascii_lowercase)
        .filter(|p| !matches!(p.as_str(), "" | "any" | "0"))
    else {
        return Ok(None);
    };
    let known = PROTOCOLS.contains(&text.as_str()) || text.parse::<u8>().is_ok();
    if !known {
        return Err(Error::invalid(format!(
            "protocol '{text}' is not supported: use {} or a number from 0 to 255",
            PROTOCOLS.join(", ")
        )));
    }
    let icmpv6 = matches!(text.as_str(), "icmpv6" | "ipv6-icmp" | "58");
    match (ethertype, text.as_str()) {
        ("IPv6", "icmp" | "1") => Ok(Some("ipv6-icmp".into())),
        ("IPv6", _) if icmpv6 => Ok(Some("ipv6-icmp".into())),
        ("IPv4", _) if icmpv6 => Err(Error::invalid(format!(
            "Invalid ethertype IPv4 for protocol {text}."
        ))),
        _ => Ok(Some(text)),
    }
}

fn check_range(protocol: Option<&str>, new: &NewRule) -> Result<()> {
    let (min, max) = (new.port_range_min, new.port_range_max);
    if min.is_none() && max.is_none() {
        return Ok(());
    }
    match protocol {
        Some("icmp" | "ipv6-icmp") => {
            if min.is_none() {
                return Err(Error::invalid(
                    "ICMP code (port-range-max) is provided but ICMP type (port-range-min) is missing.",
                ));
            }
            if let Some(value) = min.into_iter().chain(max).find(|v| *v > 255) {
                return Err(Error::invalid(format!(
                    "Invalid value for ICMP type or code: {value}. It must be 0 to 255."
                )));
            }
            Ok(())
        }
        Some("tcp" | "udp" | "sctp" | "dccp" | "udplite" | "6" | "17" | "132" | "33" | "136") => {
            match (min, max) {
                (Some(min), Some(max))
                    if min <= max && (1..=65_535).contains(&min) && max <= 65_535 =>
                {
                    Ok(())
                }
                _ => Err(Error::invalid(
                    "For TCP/UDP protocols, port_range_min must be <= port_range_max, both from 1 to 65535",
                )),
            }
        }
        _ => Err(Error::invalid(
            "Must also specify protocol if port range is given.",
        )),
    }
}

fn check_prefix(text: &str, ethertype: &str) -> Result<String> {
    let wrong = || {
        Error::invalid(format!(
            "'{text}' is not a valid {ethertype} prefix for remote_ip_prefix"
        ))
    };
    let net: IpNet = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<std::net::IpAddr>().map_err(|_| wrong())?),
    };
    if matches!(net, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
        return Err(wrong());
    }
    match (net, ethertype) {
        (IpNet::V6(_), "IPv6") | (IpNet::V4(_), "IPv4") => Ok(net.trunc().to_string()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(edit: impl FnOnce(&mut NewRule)) -> Result<row::Rule> {
        let mut new = NewRule {
            group: SecurityGroupId::random(),
            description: String::new(),
            direction: "ingress".into(),
            ethertype: "IPv6".into(),
            protocol: Some("tcp".into()),
            port_range_min: Some(22),
            port_range_max: Some(22),
            remote_ip_prefix: None,
            remote_group: None,
        };
        edit(&mut new);
        check_rule(&new, &"p".into())
    }

    #[test]
    fn rules_are_checked_and_made_normal() {
        assert_eq!(rule(|_| ()).unwrap().protocol.as_deref(), Some("tcp"));
        let icmp = rule(|r| {
            (r.protocol, r.port_range_min, r.port_range_max) = (Some("icmp".into()), None, None)
        })
        .unwrap();
        assert_eq!(icmp.protocol.as_deref(), Some("ipv6-icmp"));
        let bare = rule(|r| r.remote_ip_prefix = Some("2001:db8::1".into())).unwrap();
        assert_eq!(bare.remote_ip_prefix.as_deref(), Some("2001:db8::1/128"));
    }

    #[test]
    fn wrong_rules_are_refused() {
        assert!(rule(|r| r.direction = "sideways".into()).is_err());
        assert!(rule(|r| r.ethertype = "IPv5".into()).is_err());
        assert!(rule(|r| r.port_range_max = Some(21)).is_err());
        assert!(rule(|r| r.port_range_max = Some(70_000)).is_err());
        assert!(rule(|r| r.protocol = None).is_err());
        assert!(rule(|r| r.protocol = Some("carrier-pigeon".into())).is_err());
        assert!(rule(|r| r.remote_ip_prefix = Some("192.0.2.0/24".into())).is_err());
    }
}
