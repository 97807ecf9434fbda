//! Quotas: how much of each thing a project may have.
//!
//! A limit is looked for in four places, the first that has one wins: what was set for the project,
//! what was set for all projects by the API (the quota class `default`), `[quota]` of the settings,
//! and [`Resource::built_in`]. The first three are rows of one table, so that a rule needs nothing
//! but its transaction. What is used is counted in the transaction that takes more: two requests
//! cannot both take the last one.

mod check;
mod resource;

use std::collections::{BTreeMap, BTreeSet};

use model::{Caller, Error, Kind, ProjectId, Result};
use store::{Field, Query, Tx, Value, row};

use crate::Cloud;

pub(crate) use check::{check, check_all, check_used};
pub use resource::{Resource, Service};

use check::{exceeds, in_force};

/// The limit that is none.
pub const UNLIMITED: i64 = -1;

/// Whose limits stand in a row: not only projects have some.
const DEFAULT_CLASS: &str = "class/default";
const SETTINGS: &str = "settings";

/// Limits of several things, in a fixed order.
pub type Limits = Vec<(Resource, i64)>;

/// A project's limit of one thing, and what it has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub resource: Resource,
    /// -1: no limit.
    pub limit: i64,
    pub used: u64,
}

/// What becomes of a limit below what is used already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    Refuse,
    Allow,
}

fn key(owner: &str, resource: Resource) -> String {
    format!("{owner}/{}", resource.name())
}

impl Cloud {
    /// A project's limits of some services, with what it has. One's own, or an administrator's look.
    ///
    /// # Errors
    /// `NotFound` for a project that is not there, or not the caller's.
    pub fn quotas(
        &self,
        caller: &Caller,
        project: &ProjectId,
        services: &[Service],
    ) -> Result<Vec<Quota>> {
        self.store().read(|tx| {
            visible(tx, caller, project)?;
            let limits = check::limits(tx, project, of_all(services))?;
            check::used(tx, project, limits)
        })
    }

    /// The limits that a project has for which none were set.
    pub fn default_quotas(&self, services: &[Service]) -> Result<Limits> {
        let rows = self
            .store()
            .read(|tx| rows_of(tx, &[DEFAULT_CLASS, SETTINGS]))?;
        let limit = |r: Resource| (r, in_force(DEFAULT_CLASS, &rows, r));
        Ok(of_all(services).map(limit).collect())
    }

    /// The projects for which a limit of a service was set, with all their limits.
    pub fn projects_with_quotas(
        &self,
        caller: &Caller,
        service: Service,
    ) -> Result<Vec<(ProjectId, Limits)>> {
        caller.require_admin()?;
        let rows: Vec<row::Quota> = self.store().read(|tx| tx.list(&Query::all()))?;
        let set = |r: &&row::Quota| {
            Resource::named(&r.resource).is_some_and(|r| r.service() == service)
                && r.owner != SETTINGS
                && r.owner != DEFAULT_CLASS
        };
        let owners: BTreeSet<&String> = rows.iter().filter(set).map(|r| &r.owner).collect();
        let of = |owner: &String| {
            let limit = |r: Resource| (r, in_force(owner, &rows, r));
            let limits = Resource::of(service).map(limit).collect();
            (ProjectId(owner.clone()), limits)
        };
        Ok(owners.into_iter().map(of).collect())
    }

    /// Sets a project's limits: all that are given, or none.
    ///
    /// # Errors
    /// `Invalid` for a limit below -1, `Conflict` for one below what is used, if that is refused.
    pub fn set_quotas(
        &self,
        caller: &Caller,
        project: &ProjectId,
        limits: &[(Resource, i64)],
        below: Below,
    ) -> Result<()> {
        check_limits(limits.iter().copied())?;
        self.store().write(|tx| {
            visible(tx, caller, project)?;
            caller.require_admin()?;
            for quota in check::used(tx, project, limits.to_vec())? {
                let (most, used) = (quota.limit, quota.used);
                if below == Below::Refuse && most != UNLIMITED && exceeds(most, used, 0) {
                    let name = quota.resource.name();
                    return Err(Error::conflict(format!(
                        "Quota limit {most} for {name} must be greater than or equal to already used and reserved {used}."
                    )));
                }
                put(tx, project.as_str(), quota.resource, most)?;
            }
            Ok(())
        })
    }

    /// Takes back what was set for a project.
    pub fn reset_quotas(
        &self,
        caller: &Caller,
        project: &ProjectId,
        service: Service,
    ) -> Result<()> {
        self.store().write(|tx| {
            visible(tx, caller, project)?;
            caller.require_admin()?;
            for resource in Resource::of(service) {
                tx.delete::<row::Quota>(&key(project.as_str(), resource))?;
            }
            Ok(())
        })
    }

    /// Sets limits for all projects that have none of their own.
    ///
    /// # Errors
    /// `Invalid` for a limit below -1.
    pub fn set_default_quotas(&self, caller: &Caller, limits: &[(Resource, i64)]) -> Result<()> {
        caller.require_admin()?;
        check_limits(limits.iter().copied())?;
        self.store().write(|tx| {
            let mut each = limits.iter();
            each.try_for_each(|(resource, most)| put(tx, DEFAULT_CLASS, *resource, *most))
        })
    }

    /// Takes in `[quota]` of the settings, at each start: a line that is gone is undone.
    ///
    /// # Errors
    /// `Invalid` for a limit below -1.
    pub fn use_quota_settings(&self, limits: &BTreeMap<Resource, i64>) -> Result<()> {
        check_limits(limits.iter().map(|(resource, most)| (*resource, *most)))?;
        let wanted = |r: &row::Quota| {
            limits
                .iter()
                .any(|(resource, most)| resource.name() == r.resource && *most == r.most)
        };
        let known = self.store().read(|tx| rows_of(tx, &[SETTINGS]))?;
        if known.len() == limits.len() && known.iter().all(wanted) {
            return Ok(());
        }
        self.store().write(|tx| {
            tx.delete_where::<row::Quota>("owner", &SETTINGS)?;
            let mut each = limits.iter();
            each.try_for_each(|(resource, most)| put(tx, SETTINGS, *resource, *most))
        })
    }
}

fn check_limits(mut limits: impl Iterator<Item = (Resource, i64)>) -> Result<()> {
    let wrong = limits.find(|(_, most)| *most < UNLIMITED || *most > i64::from(i32::MAX));
    match wrong {
        None => Ok(()),
        Some((resource, most)) => Err(Error::invalid(format!(
            "Quota limit {most} for {} must be -1, which is no limit, or from 0 to {}.",
            resource.name(),
            i32::MAX
        ))),
    }
}

/// All of some services.
fn of_all(services: &[Service]) -> impl Iterator<Item = Resource> + Clone {
    services.iter().flat_map(|service| Resource::of(*service))
}

/// The limits that owners have set.
fn rows_of(tx: &Tx<'_>, owners: &[&str]) -> Result<Vec<row::Quota>> {
    let owners = owners.iter().map(|owner| Value::Text((*owner).to_owned()));
    tx.list(&Query::all().one_of("owner", owners.collect()))
}

fn put(tx: &mut Tx<'_>, owner: &str, resource: Resource, most: i64) -> Result<()> {
    let quota = row::Quota {
        id: key(owner, resource),
        owner: owner.to_owned(),
        resource: resource.name().to_owned(),
        most,
    };
    match tx.find::<row::Quota>(Value::Text(quota.id.clone()))? {
        Some(_) => tx.update(&quota),
        None => tx.insert(&quota),
    }
}

fn visible(tx: &Tx<'_>, caller: &Caller, project: &ProjectId) -> Result<()> {
    let there = tx.find::<row::Project>(project.to_value())?.is_some();
    match there && caller.sees(project) {
        true => Ok(()),
        false => Err(Error::not_found(Kind::Project, project)),
    }
}
