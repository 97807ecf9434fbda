//! Subnet pools: prefixes that subnets are cut from.

mod cut;

use ipnet::IpNet;
use model::{AddressScopeId, Caller, Error, ProjectId, Result, SubnetPoolId};
use store::{Field, Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::rbac::{self, Of, Shown};
use crate::subnet::{self, IpVersion};
use crate::token::owner_of;
use crate::{Cloud, address_scope, now_ms};

use cut::{first_free, merged};

/// Prefixes of one pool: they are gone through for every subnet that is cut.
const MAX_PREFIXES: usize = 128;

/// A pool to make.
#[derive(Clone, Debug, Default)]
pub struct NewSubnetPool {
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    pub prefixes: Vec<IpNet>,
    pub lengths: Lengths,
    /// What of it one project may have: in addresses for IPv4, in `/64`s for IPv6.
    pub default_quota: Option<u32>,
    pub shared: bool,
    pub is_default: bool,
    pub address_scope: Option<AddressScopeId>,
    pub tags: Vec<String>,
}

/// Of the prefixes that are cut: the shortest, the longest, and what one has that asks for none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths {
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub default: Option<u32>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct SubnetPoolUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub prefixes: Option<Vec<IpNet>>,
    pub lengths: Lengths,
    /// `Some(None)`: no quota any more.
    pub default_quota: Option<Option<u32>>,
    pub is_default: Option<bool>,
    /// `Some(None)`: it leaves its scope.
    pub address_scope: Option<Option<AddressScopeId>>,
}

/// Which pool a subnet is to be of.
#[derive(Clone, Copy, Debug)]
pub enum PoolWish {
    Pool(SubnetPoolId),
    /// The one that is the default of a family.
    Default(IpVersion),
}

/// What a subnet wants of a pool: this prefix, or one of this length, or one of the pool's own.
#[derive(Clone, Copy, Debug)]
pub struct FromPool {
    pub pool: PoolWish,
    pub version: Option<IpVersion>,
    pub length: Option<u32>,
}

impl Cloud {
    /// A pool the caller may see.
    pub fn get_subnet_pool(
        &self,
        caller: &Caller,
        id: &SubnetPoolId,
    ) -> Result<Shown<row::SubnetPool>> {
        self.store()
            .read(|tx| rbac::shown_one(tx, caller, visible(tx, caller, id)?))
    }

    /// The pools the caller may see: its own and shared ones.
    pub fn list_subnet_pools(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Vec<Shown<row::SubnetPool>>> {
        let query = rbac::page_query::<row::SubnetPool>(page, caller, Of::Itself)?;
        self.store().read(|tx| {
            let pools = list::run(tx, &query)?;
            rbac::shown(tx, caller, pools)
        })
    }

    /// A new pool.
    pub fn create_subnet_pool(
        &self,
        caller: &Caller,
        new: &NewSubnetPool,
    ) -> Result<Shown<row::SubnetPool>> {
        caller.require_member()?;
        check_privileged(caller, new.shared, new.is_default)?;
        let pool = drawn_up(new, owner_of(caller, new.project.as_ref())?)?;
        self.store().write(|tx| {
            check_default(tx, &pool)?;
            address_scope::check_pool(tx, caller, &pool)?;
            quota::check(tx, &pool.project_id, Resource::SubnetPool, 1)?;
            tx.insert(&pool)?;
            let (project, kind) = (&pool.project_id, rbac::SUBNET_POOL);
            rbac::set_for_everybody(tx, project, kind, &pool.id, rbac::SHARED, new.shared)?;
            rbac::shown_one(tx, caller, pool.clone())
        })
    }

    /// Changes what is given. What a pool has it keeps: prefixes only come in.
    pub fn update_subnet_pool(
        &self,
        caller: &Caller,
        id: &SubnetPoolId,
        update: &SubnetPoolUpdate,
    ) -> Result<Shown<row::SubnetPool>> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut pool = owned(tx, caller, id)?;
            caller.check_revision(pool.revision)?;
            let is_default = update.is_default.unwrap_or(pool.is_default);
            check_privileged(caller, false, is_default != pool.is_default)?;
            pool.name = update.name.clone().unwrap_or(pool.name);
            pool.description = update.description.clone().unwrap_or(pool.description);
            pool.is_default = is_default;
            pool.default_quota = update.default_quota.unwrap_or(pool.default_quota);
            pool.min_length = update.lengths.min.unwrap_or(pool.min_length);
            pool.max_length = update.lengths.max.unwrap_or(pool.max_length);
            pool.default_length = update.lengths.default.unwrap_or(pool.default_length);
            if let Some(prefixes) = &update.prefixes {
                let wider = merged(prefixes)?;
                let kept = |old: &IpNet| wider.iter().any(|new| new.contains(old));
                if !pool.prefixes.0.iter().all(kept) {
                    return Err(Error::invalid(
                        "Illegal update to prefixes: a pool keeps the prefixes that it has, give these and more",
                    ));
                }
                pool.prefixes.0 = wider;
            }
            pool.revision += 1;
            pool.updated_ms = now_ms();
            check(&pool)?;
            check_default(tx, &pool)?;
            let scope = update.address_scope.unwrap_or(pool.address_scope_id);
            let moved = scope != pool.address_scope_id;
            pool.address_scope_id = scope;
            if moved || update.prefixes.is_some() {
                address_scope::check_pool(tx, caller, &pool)?;
            }
            tx.update(&pool)?;
            if moved {
                address_scope::follow_pool(tx, &pool)?;
            }
            rbac::shown_one(tx, caller, pool)
        })
    }

    /// Removes a pool.
    ///
    /// # Errors
    /// `Conflict` while a subnet is of it.
    pub fn delete_subnet_pool(&self, caller: &Caller, id: &SubnetPoolId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            caller.check_revision(owned(tx, caller, id)?.revision)?;
            if tx.exists::<row::Subnet>(Query::equal("subnet_pool_id", id.to_value()))? {
                return Err(Error::conflict(format!(
                    "Unable to complete operation on subnet pool {id}: Subnet pool has existing allocations."
                )));
            }
            rbac::forget(tx, id)?;
            tx.delete::<row::SubnetPool>(id).map(drop)
        })
    }
}

/// The pool that a wish names, and the prefix that a subnet of `project` gets of it on a network
/// with these subnets.
///
/// # Errors
/// `Invalid` for what the pool never gives, `Conflict` for what it cannot give now, `OverQuota`
/// when the project has all that one may have.
pub(crate) fn cut(
    tx: &Tx<'_>,
    caller: &Caller,
    project: &ProjectId,
    wanted: &FromPool,
    prefix: Option<IpNet>,
    others: &[row::Subnet],
) -> Result<(SubnetPoolId, IpNet)> {
    let pool = match wanted.pool {
        PoolWish::Pool(id) => visible(tx, caller, &id)?,
        PoolWish::Default(version) => default_of(tx, version)?,
    };
    if wanted.version.is_some_and(|v| number(v) != pool.version) {
        return Err(Error::invalid(format!(
            "ip_version does not match subnet pool {}, which is of IPv{}",
            pool.id, pool.version
        )));
    }
    let length = prefix.map(|p| u32::from(p.prefix_len())).or(wanted.length);
    let length = length.unwrap_or(pool.default_length);
    if !(pool.min_length..=pool.max_length).contains(&length) {
        return Err(Error::invalid(format!(
            "Unable to allocate subnet with prefix length {length}: subnet pool {} gives /{} to /{}",
            pool.id, pool.min_length, pool.max_length
        )));
    }
    let given: Vec<row::Subnet> = tx.list(&Query::equal("subnet_pool_id", pool.id.to_value()))?;
    check_quota(&pool, project, &given, length)?;
    let mut taken: Vec<IpNet> = given.iter().map(subnet::net).collect();
    let found = match prefix {
        Some(prefix) => {
            let inside = pool.prefixes.0.iter().any(|p| p.contains(&prefix));
            let free = !taken
                .iter()
                .any(|t| t.contains(&prefix) || prefix.contains(t));
            Some(prefix).filter(|_| inside && free)
        }
        None => {
            taken.extend(others.iter().map(subnet::net));
            first_free(&pool.prefixes.0, &taken, length as u8)
        }
    };
    let found = found.ok_or_else(|| {
        Error::conflict(format!(
            "Failed to allocate subnet: subnet pool {} has no such prefix of /{length} that is free",
            pool.id
        ))
    })?;
    Ok((pool.id, found))
}

/// # Errors
/// `OverQuota` when a project would have more of a pool than one may.
fn check_quota(
    pool: &row::SubnetPool,
    project: &ProjectId,
    given: &[row::Subnet],
    length: u32,
) -> Result<()> {
    let Some(quota) = pool.default_quota else {
        return Ok(());
    };
    // A part of a unit counts as one.
    let unit = if pool.version == 4 { 32 } else { 64 };
    let units = |length: u32| 1u128 << unit.max(length).saturating_sub(length).min(127);
    let theirs = given.iter().filter(|s| s.project_id == *project);
    let used: u128 = theirs.map(|s| units(s.prefix_length)).sum();
    match used + units(length) <= u128::from(quota) {
        true => Ok(()),
        false => Err(Error::OverQuota(
            "Per-project subnet pool prefix quota exceeded.".into(),
        )),
    }
}

fn default_of(tx: &Tx<'_>, version: IpVersion) -> Result<row::SubnetPool> {
    let found = tx.list(&default_query(number(version)))?.pop();
    found.ok_or_else(|| {
        Error::invalid(format!(
            "No default subnetpool found for IPv{}",
            number(version)
        ))
    })
}

fn default_query(version: u32) -> Query {
    Query::equal("is_default", Value::Integer(1)).and("version", version.to_value())
}

fn number(version: IpVersion) -> u32 {
    match version {
        IpVersion::V4 => 4,
        IpVersion::V6 => 6,
    }
}

fn drawn_up(new: &NewSubnetPool, project: ProjectId) -> Result<row::SubnetPool> {
    let prefixes = merged(&new.prefixes)?;
    let v4 = prefixes[0].addr().is_ipv4();
    let (least, most) = if v4 { (8, 32) } else { (64, 128) };
    let min = new.lengths.min.unwrap_or(least);
    let now = now_ms();
    let pool = row::SubnetPool {
        id: SubnetPoolId::random(),
        project_id: project,
        name: new.name.clone(),
        description: new.description.clone(),
        version: if v4 { 4 } else { 6 },
        prefixes: Json(prefixes),
        min_length: min,
        max_length: new.lengths.max.unwrap_or(most),
        default_length: new.lengths.default.unwrap_or(min),
        default_quota: new.default_quota,
        is_default: new.is_default,
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        address_scope_id: new.address_scope,
    };
    check(&pool)?;
    Ok(pool)
}

/// # Errors
/// `Forbidden` for what concerns every project, unless an administrator asks for it.
fn check_privileged(caller: &Caller, shared: bool, is_default: bool) -> Result<()> {
    match (shared || is_default) && !caller.is_admin() {
        true => Err(Error::Forbidden(
            "only an administrator can share a subnet pool, or make it the default".into(),
        )),
        false => Ok(()),
    }
}

/// # Errors
/// `Invalid` when another pool is the default of its family.
fn check_default(tx: &Tx<'_>, pool: &row::SubnetPool) -> Result<()> {
    let others: Vec<row::SubnetPool> = tx.list(&default_query(pool.version))?;
    match pool.is_default && others.iter().any(|other| other.id != pool.id) {
        true => Err(Error::invalid(format!(
            "A default subnetpool for IPv{} has already been set. Only one default can exist per address family.",
            pool.version
        ))),
        false => Ok(()),
    }
}

fn check(pool: &row::SubnetPool) -> Result<()> {
    list::check_name("name", &pool.name)?;
    list::check_name("description", &pool.description)?;
    list::check_tags(&pool.tags.0)?;
    let most = if pool.version == 4 { 32 } else { 128 };
    if pool.prefixes.0.len() > MAX_PREFIXES {
        return Err(Error::invalid(format!(
            "a subnet pool takes at most {MAX_PREFIXES} prefixes"
        )));
    }
    if pool
        .prefixes
        .0
        .iter()
        .any(|p| p.addr().is_ipv4() != (pool.version == 4))
    {
        return Err(Error::invalid(
            "the prefixes of a subnet pool are of one family",
        ));
    }
    let (min, max, default) = (pool.min_length, pool.max_length, pool.default_length);
    match min <= default && default <= max && max <= most {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "Illegal prefix bounds: min_prefixlen={min}, default_prefixlen={default}, max_prefixlen={max} must rise in this order, up to {most}"
        ))),
    }
}

pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &SubnetPoolId) -> Result<row::SubnetPool> {
    rbac::visible(tx, caller, id, Of::Itself)
}

pub(crate) fn owned(tx: &Tx<'_>, caller: &Caller, id: &SubnetPoolId) -> Result<row::SubnetPool> {
    let pool = visible(tx, caller, id)?;
    match caller.sees(&pool.project_id) {
        true => Ok(pool),
        false => Err(Error::Forbidden(format!(
            "subnet pool {id} belongs to another project"
        ))),
    }
}
