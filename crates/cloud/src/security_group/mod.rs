//! Security groups and their rules. What no rule allows is dropped.

mod check;
mod rule;

use std::collections::{HashMap, HashSet};

use model::{Caller, Error, Kind, ProjectId, Result, Scope, SecurityGroupId, ServerId};
use store::{Field, Json, OfGroup, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::rbac::{self, Of};
use crate::token::owner_of;
use crate::{Cloud, now_ms, server};

pub use rule::{NewRule, RULE_REVISION, normal as normal_prefix};

use rule::{open_rule, touch_members, touch_remote};

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
    pub stateful: Option<bool>,
}

/// A security group with its rules.
#[derive(Clone, Debug)]
pub struct SecurityGroupView {
    pub group: row::SecurityGroup,
    pub rules: Vec<row::Rule>,
    /// Whether a policy shares it with who looks.
    pub shared: bool,
}

impl Cloud {
    /// A security group the caller may see.
    pub fn get_security_group(
        &self,
        caller: &Caller,
        id: &SecurityGroupId,
    ) -> Result<SecurityGroupView> {
        self.store()
            .read(|tx| view(tx, caller, visible(tx, caller, id)?))
    }

    /// The security groups the caller may see. A project's default group is made when it is first
    /// looked for.
    pub fn list_security_groups(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Vec<SecurityGroupView>> {
        let query = rbac::page_query::<row::SecurityGroup>(page, caller, Of::Itself)?;
        let Scope::Project(project) = &caller.scope else {
            return self.store().read(|tx| listed(tx, caller, &query));
        };
        let is_default =
            |v: &SecurityGroupView| v.group.name == "default" && v.group.project_id == *project;
        // Asked in the same transaction: another may make it right after.
        let (found, complete) = self.store().read(|tx| {
            let found = listed(tx, caller, &query)?;
            let complete = found.iter().any(is_default) || find_default(tx, project)?.is_some();
            Ok((found, complete))
        })?;
        if complete {
            return Ok(found);
        }
        self.store().write(|tx| default_of(tx, project).map(drop))?;
        self.store().read(|tx| listed(tx, caller, &query))
    }

    /// The security groups of a server's ports.
    pub fn server_security_groups(
        &self,
        caller: &Caller,
        id: &ServerId,
    ) -> Result<Vec<SecurityGroupView>> {
        let condition = "t.id IN (SELECT m.security_group_id FROM membership m JOIN port p ON p.id = m.port_id WHERE p.device_id = ? AND substr(p.device_owner, 1, 8) = 'compute:')";
        let query = Query::all().matching(condition, vec![id.to_value()]);
        self.store().read(|tx| {
            server::visible(tx, caller, id)?;
            listed(tx, caller, &query)
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
        let project = owner_of(caller, new.project.as_ref())?;
        self.store().write(|tx| {
            default_of(tx, &project)?;
            quota::check(tx, &project, Resource::SecurityGroup, 1)?;
            let mut group = insert(tx, &project, &new.name, &new.description)?;
            group.stateful = new.stateful.unwrap_or(true);
            tx.update(&group)?;
            view(tx, caller, group)
        })
    }

    /// Changes what is given.
    ///
    /// # Errors
    /// `Conflict` for `stateful` while a port has it.
    pub fn update_security_group(
        &self,
        caller: &Caller,
        id: &SecurityGroupId,
        update: &SecurityGroupUpdate,
    ) -> Result<SecurityGroupView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut group = owned(tx, caller, id)?;
            caller.check_revision(group.revision)?;
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
            let stateful = update.stateful.unwrap_or(group.stateful);
            if stateful != group.stateful {
                check_unused(tx, id)?;
                group.stateful = stateful;
            }
            group.revision += 1;
            group.updated_ms = now_ms();
            tx.update(&group)?;
            // Guests read its name in their metadata.
            touch_members(tx, id)?;
            view(tx, caller, group)
        })
    }

    /// Removes a security group with its rules.
    ///
    /// # Errors
    /// `Conflict` while a port has it, or for a project's default group (an administrator may).
    pub fn delete_security_group(&self, caller: &Caller, id: &SecurityGroupId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let group = owned(tx, caller, id)?;
            caller.check_revision(group.revision)?;
            if group.name == "default" && !caller.is_admin() {
                return Err(Error::conflict(
                    "Insufficient rights for removing default security group.",
                ));
            }
            check_unused(tx, id)?;
            // Rules of other groups that name this one match nobody from now on.
            for rule in tx.list::<row::Rule>(&Query::equal("remote_group_id", id.to_value()))? {
                touch_members(tx, &rule.security_group_id)?;
                tx.delete::<row::Rule>(&rule.id)?;
            }
            for rule in tx.list::<row::Rule>(&Query::equal("security_group_id", id.to_value()))? {
                touch_remote(tx, &rule)?;
            }
            rbac::forget(tx, id)?;
            tx.delete::<row::SecurityGroup>(id).map(drop)
        })
    }

    /// Makes a project's default group unless it is there.
    fn make_default_group(&self, project: &ProjectId) -> Result<()> {
        let found = self.store().read(|tx| find_default(tx, project))?;
        match found {
            Some(_) => Ok(()),
            None => self.store().write(|tx| default_of(tx, project).map(drop)),
        }
    }
}

/// A group the caller may see.
pub(crate) fn visible(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &SecurityGroupId,
) -> Result<row::SecurityGroup> {
    rbac::visible(tx, caller, id, Of::Itself)
}

/// A group the caller may change.
pub(crate) fn owned(
    tx: &Tx<'_>,
    caller: &Caller,
    id: &SecurityGroupId,
) -> Result<row::SecurityGroup> {
    let group = visible(tx, caller, id)?;
    match caller.sees(&group.project_id) {
        true => Ok(group),
        false => Err(Error::Forbidden(format!(
            "security group {id} belongs to another project"
        ))),
    }
}

/// The groups with these ids.
pub(crate) fn of_ids(tx: &Tx<'_>, ids: &[SecurityGroupId]) -> Result<Vec<row::SecurityGroup>> {
    tx.list(&Query::all().one_of("id", ids.iter().map(Field::to_value).collect()))
}

/// Whether one port can have these groups.
///
/// # Errors
/// `Conflict` when some are stateful and others are not.
pub(crate) fn check_kind(groups: &[row::SecurityGroup]) -> Result<()> {
    match groups
        .windows(2)
        .any(|two| two[0].stateful != two[1].stateful)
    {
        false => Ok(()),
        true => Err(Error::conflict(
            "Cannot apply both stateful and stateless security groups on the same port at the same time.",
        )),
    }
}

fn check_unused(tx: &Tx<'_>, id: &SecurityGroupId) -> Result<()> {
    match tx.exists::<row::Membership>(Query::equal("security_group_id", id.to_value()))? {
        false => Ok(()),
        true => Err(Error::conflict(format!("Security Group {id} in use."))),
    }
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

/// A list of groups with their rules, in two statements.
fn listed(tx: &Tx<'_>, caller: &Caller, query: &Query) -> Result<Vec<SecurityGroupView>> {
    let groups: Vec<row::SecurityGroup> = list::run(tx, query)?;
    views(tx, caller, groups)
}

pub(crate) fn view(
    tx: &Tx<'_>,
    caller: &Caller,
    group: row::SecurityGroup,
) -> Result<SecurityGroupView> {
    let mut views = views(tx, caller, vec![group])?;
    views
        .pop()
        .ok_or_else(|| Error::internal("reading a security group", "it vanished"))
}

fn views(
    tx: &Tx<'_>,
    caller: &Caller,
    groups: Vec<row::SecurityGroup>,
) -> Result<Vec<SecurityGroupView>> {
    let mut rules: HashMap<SecurityGroupId, Vec<row::Rule>> = HashMap::new();
    let mut shared = HashSet::new();
    for part in tx.of_groups(groups.iter().map(|g| &g.id))? {
        match part {
            OfGroup::Rule(rule) => rules.entry(rule.security_group_id).or_default().push(*rule),
            OfGroup::Shared(group, target) if rbac::is_target(caller, &target) => {
                shared.insert(group);
            }
            OfGroup::Shared(..) => {}
        }
    }
    let join = |group: row::SecurityGroup| SecurityGroupView {
        rules: rules.remove(&group.id).unwrap_or_default(),
        shared: shared.contains(&group.id),
        group,
    };
    Ok(groups.into_iter().map(join).collect())
}
