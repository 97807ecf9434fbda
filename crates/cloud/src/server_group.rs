//! Server groups: servers that are to share a node, or not to.

use model::{Caller, Error, Kind, Result, ServerGroupId, ServerId};
use store::{Field, Query, Tx, row};

use crate::list::{self, Page};
use crate::place::{Group, Policy};
use crate::quota::{self, Resource};
use crate::{Cloud, now_ms};

/// A server group with its servers.
#[derive(Clone, Debug)]
pub struct ServerGroupView {
    pub group: row::ServerGroup,
    pub members: Vec<ServerId>,
}

impl Cloud {
    /// A server group the caller may see.
    pub fn get_server_group(&self, caller: &Caller, id: &ServerGroupId) -> Result<ServerGroupView> {
        self.store().read(|tx| {
            let group = visible(tx, caller, id)?;
            let members = members(tx, id)?;
            Ok(ServerGroupView { group, members })
        })
    }

    /// The project's server groups; of all projects only when an administrator asks for them.
    /// The page begins after as many groups as `offset` says.
    pub fn list_server_groups(
        &self,
        caller: &Caller,
        page: &Page,
        offset: u32,
        all_projects: bool,
    ) -> Result<Vec<ServerGroupView>> {
        let mut query = page.query::<row::ServerGroup>()?;
        query.limit = query.limit.map(|limit| limit + u64::from(offset));
        let query = list::owned(query, caller, all_projects);
        self.store().read(|tx| {
            let mut groups: Vec<row::ServerGroup> = list::run(tx, &query)?;
            groups.drain(..groups.len().min(offset as usize));
            let ids = groups.iter().map(|g| g.id.to_value()).collect();
            let servers: Vec<row::Member> = tx.list(&Query::all().one_of("group_id", ids))?;
            let of = |group: row::ServerGroup| {
                let theirs = servers.iter().filter(|s| s.group_id == Some(group.id));
                let members = theirs.map(|s| s.id).collect();
                ServerGroupView { group, members }
            };
            Ok(groups.into_iter().map(of).collect())
        })
    }

    /// A new server group.
    pub fn create_server_group(
        &self,
        caller: &Caller,
        name: &str,
        policy: Policy,
    ) -> Result<ServerGroupView> {
        caller.require_member()?;
        list::check_required_name("name", name)?;
        let group = row::ServerGroup {
            id: ServerGroupId::random(),
            project_id: caller.project()?.clone(),
            user_id: caller.user.clone(),
            name: name.to_owned(),
            policy: policy.name().to_owned(),
            created_ms: now_ms(),
        };
        self.store().write(|tx| {
            quota::check(tx, &group.project_id, Resource::ServerGroups, 1)?;
            tx.insert(&group)
        })?;
        let members = Vec::new();
        Ok(ServerGroupView { group, members })
    }

    /// Removes a server group. Its servers stay where they are.
    pub fn delete_server_group(&self, caller: &Caller, id: &ServerGroupId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            visible(tx, caller, id)?;
            tx.delete::<row::ServerGroup>(id).map(drop)
        })
    }
}

/// The group a new server of the caller's is to join, once its project's quota allows one more.
///
/// # Errors
/// `Invalid` when there is none; `OverQuota`.
pub(crate) fn joined(tx: &Tx<'_>, caller: &Caller, id: &ServerGroupId) -> Result<Group> {
    let none = |_| Error::invalid(format!("Instance group {id} could not be found."));
    let group = visible(tx, caller, id).map_err(none)?;
    let members = members(tx, id)?;
    let many = members.len() as u64;
    quota::check_used(tx, &group.project_id, Resource::ServerGroupMembers, many, 1)?;
    let corrupt = || Error::internal("reading a server group", group.policy.clone());
    let policy = Policy::named(&group.policy).ok_or_else(corrupt)?;
    Ok(Group { policy, members })
}

fn members(tx: &Tx<'_>, id: &ServerGroupId) -> Result<Vec<ServerId>> {
    let servers: Vec<row::Member> = tx.list(&Query::equal("group_id", id.to_value()))?;
    Ok(servers.into_iter().map(|s| s.id).collect())
}

fn visible(tx: &Tx<'_>, caller: &Caller, id: &ServerGroupId) -> Result<row::ServerGroup> {
    let group: row::ServerGroup = tx.get(id)?;
    list::seen(caller.sees(&group.project_id), group, Kind::ServerGroup, id)
}
