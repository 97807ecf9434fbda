//! Quotas: how much of each thing a project may have.
//!
//! A limit is looked for in four places, the first that has one wins: what was set for the project,
//! what was set for all projects by the API (the quota class `default`), `[quota]` of the settings,
//! and [`Resource::built_in`]. The first three are rows of one table, so that a rule needs nothing
//! but its transaction. What is used is counted in the transaction that takes more: two requests
//! cannot both take the last one.

use std::collections::{BTreeMap, BTreeSet};

use model::{Caller, Error, Kind, ProjectId, Result};
use serde::{Deserialize, Serialize};
use store::{Field, Query, Tx, Value, row};

use crate::Cloud;

/// The limit that is none.
pub const UNLIMITED: i64 = -1;

/// Whose limits stand in a row: not only projects have some.
const DEFAULT_CLASS: &str = "class/default";
const SETTINGS: &str = "settings";

/// Whose API shows and sets a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Compute,
    Network,
    Volume,
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Instances,
    Cores,
    /// In MiB.
    Ram,
    /// Of one user.
    KeyPairs,
    /// Of one server.
    MetadataItems,
    ServerGroups,
    /// Of one group.
    ServerGroupMembers,
    InjectedFiles,
    InjectedFileContentBytes,
    InjectedFilePathBytes,
    FixedIps,
    Network,
    Subnet,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    #[serde(rename = "floatingip")]
    FloatingIp,
    Volumes,
    /// Of all volumes together.
    Gigabytes,
}

use Resource as R;

/// Everything there is a limit of, with its name, its service and the limit that the service has
/// where nobody has set another.
const ALL: [(Resource, &str, Service, i64); 20] = [
    (R::Instances, "instances", Service::Compute, 10),
    (R::Cores, "cores", Service::Compute, 20),
    (R::Ram, "ram", Service::Compute, 51_200),
    (R::KeyPairs, "key_pairs", Service::Compute, 100),
    (R::MetadataItems, "metadata_items", Service::Compute, 128),
    (R::ServerGroups, "server_groups", Service::Compute, 10),
    (
        R::ServerGroupMembers,
        "server_group_members",
        Service::Compute,
        10,
    ),
    (R::InjectedFiles, "injected_files", Service::Compute, 5),
    (
        R::InjectedFileContentBytes,
        "injected_file_content_bytes",
        Service::Compute,
        10_240,
    ),
    (
        R::InjectedFilePathBytes,
        "injected_file_path_bytes",
        Service::Compute,
        255,
    ),
    (R::FixedIps, "fixed_ips", Service::Compute, UNLIMITED),
    (R::Network, "network", Service::Network, 100),
    (R::Subnet, "subnet", Service::Network, 100),
    (R::Port, "port", Service::Network, 500),
    (R::Router, "router", Service::Network, 10),
    (R::SecurityGroup, "security_group", Service::Network, 10),
    (
        R::SecurityGroupRule,
        "security_group_rule",
        Service::Network,
        100,
    ),
    (R::FloatingIp, "floatingip", Service::Network, 50),
    (R::Volumes, "volumes", Service::Volume, 10),
    (R::Gigabytes, "gigabytes", Service::Volume, 1000),
];

impl Resource {
    /// Its name in settings, in the database and in its service's API.
    pub fn name(self) -> &'static str {
        self.line().1
    }

    /// The resource with a name.
    pub fn named(name: &str) -> Option<Resource> {
        let found = ALL.iter().find(|(_, known, _, _)| *known == name);
        found.map(|(resource, ..)| *resource)
    }

    /// All of a service.
    pub fn of(service: Service) -> impl Iterator<Item = Resource> {
        let theirs = ALL.iter().filter(move |(_, _, of, _)| *of == service);
        theirs.map(|(resource, ..)| *resource)
    }

    /// The limit where nobody has set another.
    pub fn built_in(self) -> i64 {
        self.line().3
    }

    fn service(self) -> Service {
        self.line().2
    }

    fn line(self) -> &'static (Resource, &'static str, Service, i64) {
        // A test finds every variant in its own place.
        &ALL[self as usize]
    }

    /// How much of it a project has. What is counted for a user, a server or a group is none of
    /// the project's.
    fn used(self, tx: &Tx<'_>, project: &ProjectId) -> Result<u64> {
        let (column, of) = ("project_id", project.to_value());
        match self {
            R::Instances => tx.count::<row::Server>(column, of),
            R::Cores => tx.sum::<row::Server>("vcpus", column, of),
            R::Ram => tx.sum::<row::Server>("ram_mib", column, of),
            R::ServerGroups => tx.count::<row::ServerGroup>(column, of),
            R::Network => tx.count::<row::Network>(column, of),
            R::Subnet => tx.count::<row::Subnet>(column, of),
            R::Port => tx.count::<row::Port>(column, of),
            R::Router => tx.count::<row::Router>(column, of),
            R::SecurityGroup => tx.count::<row::SecurityGroup>(column, of),
            R::SecurityGroupRule => tx.count::<row::Rule>(column, of),
            R::Volumes => tx.count::<row::Volume>(column, of),
            R::Gigabytes => tx.sum::<row::Volume>("size_gib", column, of),
            R::FloatingIp => tx.count::<row::FloatingIp>(column, of),
            R::KeyPairs
            | R::MetadataItems
            | R::ServerGroupMembers
            | R::InjectedFiles
            | R::InjectedFileContentBytes
            | R::InjectedFilePathBytes
            | R::FixedIps => Ok(0),
        }
    }
}

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

/// Whether a project may have `wanted` more.
///
/// # Errors
/// `OverQuota`, in its service's words.
pub(crate) fn check(
    tx: &Tx<'_>,
    project: &ProjectId,
    resource: Resource,
    wanted: u64,
) -> Result<()> {
    check_all(tx, project, &[(resource, wanted)])
}

/// Whether a project may have more of several things of one service. Says all that are over.
///
/// # Errors
/// `OverQuota`, in the service's words.
pub(crate) fn check_all(
    tx: &Tx<'_>,
    project: &ProjectId,
    wanted: &[(Resource, u64)],
) -> Result<()> {
    let mut over = Vec::new();
    for (resource, more) in wanted {
        let limit = limit(tx, project, *resource)?;
        if limit == UNLIMITED {
            continue;
        }
        let used = resource.used(tx, project)?;
        if exceeds(limit, used, *more) {
            over.push((
                Quota {
                    resource: *resource,
                    limit,
                    used,
                },
                *more,
            ));
        }
    }
    refuse(over)
}

/// Whether more is allowed of what is not counted for a project, but for what a rule has counted.
///
/// # Errors
/// `OverQuota`, in the service's words.
pub(crate) fn check_used(
    tx: &Tx<'_>,
    project: &ProjectId,
    resource: Resource,
    used: u64,
    wanted: u64,
) -> Result<()> {
    let limit = limit(tx, project, resource)?;
    match limit != UNLIMITED && exceeds(limit, used, wanted) {
        true => refuse(vec![(
            Quota {
                resource,
                limit,
                used,
            },
            wanted,
        )]),
        false => Ok(()),
    }
}

fn exceeds(limit: i64, used: u64, wanted: u64) -> bool {
    used.saturating_add(wanted) > u64::try_from(limit).unwrap_or(0)
}

fn refuse(mut over: Vec<(Quota, u64)>) -> Result<()> {
    over.sort_by_key(|(quota, _)| quota.resource.name());
    let Some((first, wanted)) = over.first() else {
        return Ok(());
    };
    let listed =
        |part: fn(&(Quota, u64)) -> String| over.iter().map(part).collect::<Vec<_>>().join(", ");
    let names = listed(|(q, _)| q.resource.name().to_owned());
    Err(Error::OverQuota(match first.resource.service() {
        Service::Compute => format!(
            "Quota exceeded for {names}: Requested {}, but already used {} of {} {names}",
            listed(|(_, wanted)| wanted.to_string()),
            listed(|(q, _)| q.used.to_string()),
            listed(|(q, _)| q.limit.to_string()),
        ),
        Service::Network => format!(
            "Quota exceeded for resources: [{}].",
            listed(|(q, _)| format!("'{}'", q.resource.name()))
        ),
        Service::Volume => match first.resource {
            R::Gigabytes => format!(
                "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested {wanted}G, quota is {}G and {}G has been consumed.",
                first.limit, first.used
            ),
            _ => format!(
                "VolumeLimitExceeded: Maximum number of volumes allowed ({}) exceeded for quota '{}'.",
                first.limit,
                first.resource.name()
            ),
        },
    }))
}

fn limit(tx: &Tx<'_>, project: &ProjectId, resource: Resource) -> Result<i64> {
    let keys =
        [project.as_str(), DEFAULT_CLASS, SETTINGS].map(|owner| Value::Text(key(owner, resource)));
    let rows: Vec<row::Quota> = tx.list(&Query::all().one_of("id", keys.to_vec()))?;
    let set = by_precedence(project.as_str(), &rows, resource);
    Ok(set.unwrap_or(resource.built_in()))
}

fn by_precedence(project: &str, rows: &[row::Quota], resource: Resource) -> Option<i64> {
    [project, DEFAULT_CLASS, SETTINGS].iter().find_map(|owner| {
        let theirs = |r: &&row::Quota| r.owner == *owner && r.resource == resource.name();
        rows.iter().find(theirs).map(|r| r.most)
    })
}

fn key(owner: &str, resource: Resource) -> String {
    format!("{owner}/{}", resource.name())
}

impl Cloud {
    /// A project's limits of a service, with what it has. One's own, or an administrator's look.
    ///
    /// # Errors
    /// `NotFound` for a project that is not there, or not the caller's.
    pub fn quotas(
        &self,
        caller: &Caller,
        project: &ProjectId,
        service: Service,
    ) -> Result<Vec<Quota>> {
        self.store().read(|tx| {
            visible(tx, caller, project)?;
            of_project(tx, project, service)
        })
    }

    /// The limits that a project has for which none were set.
    pub fn default_quotas(&self, service: Service) -> Result<Vec<(Resource, i64)>> {
        let mut rows = self.store().read(|tx| rows_of(tx, DEFAULT_CLASS))?;
        rows.extend(self.store().read(|tx| rows_of(tx, SETTINGS))?);
        let limit = |r: Resource| by_precedence(DEFAULT_CLASS, &rows, r).unwrap_or(r.built_in());
        Ok(Resource::of(service).map(|r| (r, limit(r))).collect())
    }

    /// The projects for which a limit of a service was set, with all their limits.
    pub fn projects_with_quotas(
        &self,
        caller: &Caller,
        service: Service,
    ) -> Result<Vec<(ProjectId, Vec<Quota>)>> {
        caller.require_admin()?;
        self.store().read(|tx| {
            let rows: Vec<row::Quota> = tx.list(&Query::all())?;
            let set = |r: &row::Quota| {
                Resource::named(&r.resource).is_some_and(|r| r.service() == service)
                    && r.owner != SETTINGS
                    && r.owner != DEFAULT_CLASS
            };
            let owners: BTreeSet<String> = rows.into_iter().filter(set).map(|r| r.owner).collect();
            let of = |owner: String| {
                let project = ProjectId(owner);
                let quotas = of_project(tx, &project, service)?;
                Ok((project, quotas))
            };
            owners.into_iter().map(of).collect()
        })
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
            for (resource, most) in limits {
                let used = resource.used(tx, project)?;
                if below == Below::Refuse && *most != UNLIMITED && exceeds(*most, used, 0) {
                    let name = resource.name();
                    return Err(Error::conflict(format!(
                        "Quota limit {most} for {name} must be greater than or equal to already used and reserved {used}."
                    )));
                }
                put(tx, project.as_str(), *resource, *most)?;
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
        let known = self.store().read(|tx| rows_of(tx, SETTINGS))?;
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

fn of_project(tx: &Tx<'_>, project: &ProjectId, service: Service) -> Result<Vec<Quota>> {
    let mut rows = rows_of(tx, project.as_str())?;
    rows.extend(rows_of(tx, DEFAULT_CLASS)?);
    rows.extend(rows_of(tx, SETTINGS)?);
    let each = Resource::of(service).map(|resource| {
        let set = by_precedence(project.as_str(), &rows, resource);
        let limit = set.unwrap_or(resource.built_in());
        Ok(Quota {
            resource,
            limit,
            used: resource.used(tx, project)?,
        })
    });
    each.collect()
}

fn rows_of(tx: &Tx<'_>, owner: &str) -> Result<Vec<row::Quota>> {
    tx.list(&Query::equal("owner", Value::Text(owner.to_owned())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_its_line_and_one_name() {
        for (place, (resource, name, _, most)) in ALL.iter().enumerate() {
            assert_eq!(*resource as usize, place, "{name}");
            assert_eq!(serde_json::to_value(resource).unwrap(), *name);
            assert_eq!(Resource::named(name), Some(*resource));
            assert!(*most >= UNLIMITED);
        }
    }

    #[test]
    fn over_quota_is_said_in_the_services_words() {
        let check = |over: &[(Resource, i64, u64, u64)], expected: &str| {
            let over = over.iter().map(|(resource, limit, used, wanted)| {
                let quota = Quota {
                    resource: *resource,
                    limit: *limit,
                    used: *used,
                };
                (quota, *wanted)
            });
            assert_eq!(refuse(over.collect()).unwrap_err().public(), expected);
        };
        check(
            &[(R::Instances, 10, 10, 1)],
            "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances",
        );
        check(
            &[(R::Ram, 512, 384, 256), (R::Cores, 3, 3, 2)],
            "Quota exceeded for cores, ram: Requested 2, 256, but already used 3, 384 of 3, 512 cores, ram",
        );
        check(
            &[(R::Network, 1, 1, 1)],
            "Quota exceeded for resources: ['network'].",
        );
        check(
            &[(R::Gigabytes, 10, 8, 5)],
            "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested 5G, quota is 10G and 8G has been consumed.",
        );
    }

    #[test]
    fn a_limit_of_zero_allows_nothing_and_exactly_the_limit_is_allowed() {
        assert!(exceeds(0, 0, 1));
        assert!(!exceeds(0, 0, 0));
        assert!(!exceeds(3, 2, 1));
        assert!(exceeds(3, 2, 2));
        assert!(exceeds(3, u64::MAX, 1));
    }
}
