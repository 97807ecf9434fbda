//! Whether a project may have more.

use model::{Error, ProjectId, Result};
use store::{Query, Tx, Value, row};

use super::{DEFAULT_CLASS, Limits, Quota, Resource, SETTINGS, Service, UNLIMITED};

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
    let limits = limits(tx, project, wanted.iter().map(|(resource, _)| *resource))?;
    let limited = limits.into_iter().filter(|(_, limit)| *limit != UNLIMITED);
    let quotas = used(tx, project, limited.collect())?;
    let asked = |q: &Quota| wanted.iter().find(|(resource, _)| *resource == q.resource);
    let each = quotas.into_iter();
    let each = each.filter_map(|q| asked(&q).map(|(_, more)| (q, *more)));
    let over = each
        .filter(|(q, more)| exceeds(q.limit, q.used, *more))
        .collect();
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
    let limits = limits(tx, project, [resource].into_iter())?;
    let quota = |(resource, limit)| Quota {
        resource,
        limit,
        used,
    };
    let over = limits.into_iter().map(|limited| (quota(limited), wanted));
    let over = over.filter(|(q, _)| q.limit != UNLIMITED && exceeds(q.limit, used, wanted));
    refuse(over.collect())
}

pub(super) fn exceeds(limit: i64, used: u64, wanted: u64) -> bool {
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
            Resource::Gigabytes => format!(
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

/// A project's limits of these, in one statement.
pub(super) fn limits(
    tx: &Tx<'_>,
    project: &ProjectId,
    resources: impl Iterator<Item = Resource> + Clone,
) -> Result<Limits> {
    let owners = |resource| {
        [project.as_str(), DEFAULT_CLASS, SETTINGS].map(|o| Value::Text(super::key(o, resource)))
    };
    let keys = resources.clone().flat_map(owners).collect();
    let rows: Vec<row::Quota> = tx.list(&Query::all().one_of("id", keys))?;
    let limit = |r: Resource| (r, in_force(project.as_str(), &rows, r));
    Ok(resources.map(limit).collect())
}

/// Limits with what a project has of each, in one statement.
pub(super) fn used(tx: &Tx<'_>, project: &ProjectId, limits: Limits) -> Result<Vec<Quota>> {
    let counted = |r: Resource| r.amount(project).is_some();
    let asked = limits.iter().filter_map(|(r, _)| r.amount(project));
    let mut amounts = tx.amounts(asked.collect())?.into_iter();
    let quota = |(resource, limit)| Quota {
        resource,
        limit,
        used: match counted(resource) {
            true => amounts.next().unwrap_or(0),
            false => 0,
        },
    };
    Ok(limits.into_iter().map(quota).collect())
}

/// The limit that is in force among rows of several owners.
pub(super) fn in_force(project: &str, rows: &[row::Quota], resource: Resource) -> i64 {
    let set = [project, DEFAULT_CLASS, SETTINGS].iter().find_map(|owner| {
        let theirs = |r: &&row::Quota| r.owner == *owner && r.resource == resource.name();
        rows.iter().find(theirs).map(|r| r.most)
    });
    set.unwrap_or(resource.built_in())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Resource as R;

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
