//! Identity projects.

use model::{Caller, DomainId, Error, Kind, ProjectId, Result, UserId};
use store::{Field, Json, Query, row};

use crate::Cloud;
use crate::list::{self, Page};

/// A project to make.
#[derive(Clone, Debug)]
pub struct NewProject {
    pub name: String,
    pub domain: Option<DomainId>,
    pub description: String,
    pub enabled: bool,
    pub tags: Vec<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct ProjectUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub tags: Option<Vec<String>>,
}

impl Cloud {
    /// A project: the caller's own, or any for an administrator.
    pub fn get_project(&self, caller: &Caller, id: &str) -> Result<row::Project> {
        let project: row::Project = self.store().read(|tx| tx.get(&id))?;
        list::seen(caller.sees(&project.id), project, Kind::Project, id)
    }

    /// All projects.
    pub fn list_projects(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Project>> {
        caller.require_admin()?;
        self.store()
            .read(|tx| list::run(tx, &page.query::<row::Project>()?))
    }

    /// The projects in which a user has a role; its own, or any user's for an administrator.
    pub fn projects_of(&self, caller: &Caller, user: &UserId) -> Result<Vec<row::Project>> {
        if *user != caller.user {
            caller.require_admin()?;
        }
        self.store().read(|tx| {
            let condition = "t.id IN (SELECT a.target_id FROM assignment a WHERE a.user_id = ? AND a.target_kind = 'project')";
            tx.list(&Query::all().matching(condition, vec![user.to_value()]))
        })
    }

    /// A new project.
    pub fn create_project(&self, caller: &Caller, new: &NewProject) -> Result<row::Project> {
        caller.require_admin()?;
        check_project_name(&new.name)?;
        list::check_tags(&new.tags)?;
        let domain = new.domain.clone().unwrap_or_else(|| "default".into());
        let project = row::Project {
            id: ProjectId::random(),
            name: new.name.clone(),
            description: new.description.clone(),
            enabled: new.enabled,
            parent_id: domain.0.clone(),
            domain_id: domain,
            tags: Json(new.tags.clone()),
        };
        self.store().write(|tx| {
            tx.get::<row::Domain>(&project.domain_id)?;
            tx.insert(&project)
        })?;
        Ok(project)
    }

    /// Changes what is given.
    pub fn update_project(
        &self,
        caller: &Caller,
        id: &str,
        update: &ProjectUpdate,
    ) -> Result<row::Project> {
        caller.require_admin()?;
        let project = self.store().write(|tx| {
            let mut project: row::Project = tx.get(&id)?;
            if let Some(name) = &update.name {
                check_project_name(name)?;
                project.name.clone_from(name);
            }
            if let Some(description) = &update.description {
                project.description.clone_from(description);
            }
            if let Some(tags) = &update.tags {
                list::check_tags(tags)?;
                project.tags.0.clone_from(tags);
            }
            project.enabled = update.enabled.unwrap_or(project.enabled);
            tx.update(&project)?;
            Ok(project)
        })?;
        self.identity_changed();
        Ok(project)
    }

    /// Removes a project with its role assignments and its default security group. What else it
    /// owns must be gone first, so that nothing is left without an owner.
    pub fn delete_project(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            let project: row::Project = tx.get(&id)?;
            let of_it = || Query::equal("project_id", project.id.to_value());
            let left = [
                ("servers", tx.exists::<row::Server>(of_it())?),
                ("server groups", tx.exists::<row::ServerGroup>(of_it())?),
                ("volumes", tx.exists::<row::Volume>(of_it())?),
                ("trunks", tx.exists::<row::Trunk>(of_it())?),
                ("ports", tx.exists::<row::Port>(of_it())?),
                ("floating IPs", tx.exists::<row::FloatingIp>(of_it())?),
                ("routers", tx.exists::<row::Router>(of_it())?),
                ("subnets", tx.exists::<row::Subnet>(of_it())?),
                ("subnet pools", tx.exists::<row::SubnetPool>(of_it())?),
                ("address groups", tx.exists::<row::AddressGroup>(of_it())?),
                ("address scopes", tx.exists::<row::AddressScope>(of_it())?),
                ("QoS policies", tx.exists::<row::QosPolicy>(of_it())?),
                ("networks", tx.exists::<row::Network>(of_it())?),
                (
                    "images",
                    tx.exists::<row::Image>(Query::equal("owner", project.id.to_value()))?,
                ),
            ];
            if let Some((what, _)) = left.iter().find(|(_, there)| *there) {
                return Err(Error::conflict(format!(
                    "the project still owns {what}: delete them first"
                )));
            }
            tx.delete_where::<row::SecurityGroup>("project_id", &project.id)?;
            tx.delete_where::<row::Assignment>("target_id", &project.id)?;
            tx.delete_where::<row::Quota>("owner", &project.id)?;
            tx.delete::<row::Project>(&project.id).map(drop)
        })?;
        self.identity_changed();
        Ok(())
    }
}

fn check_project_name(name: &str) -> Result<()> {
    match name.chars().count() > 64 {
        true => Err(Error::invalid(
            "name is too long: at most 64 characters are allowed",
        )),
        false => list::check_required_name("name", name),
    }
}
