//! Subnets.

use std::net::IpAddr;

use cloud::{FromPool, IpVersion, NewSubnet, PoolWish, SubnetUpdate, SubnetView};
use ipnet::{IpNet, Ipv6Net};
use model::{Error, Kind, Lifetimes, RaMode, Result, Route};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{collection, made, single, wanted};
use crate::context::Context;
use crate::json::{address_column, ip, named, nullable, number, parse, truth};
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const NAMES: Names = &[
    ("id", "id"),
    ("name", "name"),
    ("description", "description"),
    ("network_id", "network_id"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("enable_dhcp", "enable_dhcp"),
    ("subnetpool_id", "subnet_pool_id"),
    ("created_at", "created_ms"),
    ("shared", "shared"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    network_id: Option<String>,
    cidr: Option<String>,
    #[serde(default, deserialize_with = "number")]
    ip_version: Option<u32>,
    name: Option<String>,
    description: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    gateway_ip: Option<Option<String>>,
    #[serde(default, deserialize_with = "truth")]
    enable_dhcp: Option<bool>,
    ipv6_ra_mode: Option<RaMode>,
    ipv6_address_mode: Option<RaMode>,
    allocation_pools: Option<Vec<Pool>>,
    dns_nameservers: Option<Vec<String>>,
    host_routes: Option<Vec<HostRoute>>,
    subnetpool_id: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    use_default_subnetpool: Option<bool>,
    #[serde(default, deserialize_with = "number")]
    prefixlen: Option<u32>,
    tags: Option<Vec<String>>,
    ipv6_valid_lifetime: Option<u32>,
    ipv6_preferred_lifetime: Option<u32>,
    ipv6_pref64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    subnet: Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    gateway_ip: Option<Option<String>>,
    #[serde(default, deserialize_with = "truth")]
    enable_dhcp: Option<bool>,
    allocation_pools: Option<Vec<Pool>>,
    dns_nameservers: Option<Vec<String>>,
    host_routes: Option<Vec<HostRoute>>,
    #[serde(default, deserialize_with = "nullable")]
    ipv6_ra_mode: Option<Option<RaMode>>,
    #[serde(default, deserialize_with = "nullable")]
    ipv6_address_mode: Option<Option<RaMode>>,
    ipv6_valid_lifetime: Option<u32>,
    ipv6_preferred_lifetime: Option<u32>,
    #[serde(default, deserialize_with = "nullable")]
    ipv6_pref64: Option<Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    start: String,
    end: String,
}

/// A route as subnets and routers give it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostRoute {
    destination: String,
    nexthop: String,
}

/// `GET /v2.0/subnets`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let mut page = ctx.page(NAMES)?;
    let version = match ctx.query("ip_version") {
        None => None,
        Some("4") => Some(IpVersion::V4),
        Some("6") => Some(IpVersion::V6),
        Some(_) => return collection(ctx, "subnets", None, Vec::new()),
    };
    if let Some(cidr) = ctx.query("cidr") {
        let Ok(net) = cidr.parse::<IpNet>() else {
            return collection(ctx, "subnets", None, Vec::new());
        };
        page.filters
            .push(("prefix".into(), vec![address_column(net.network())]));
        page.filters
            .push(("prefix_length".into(), vec![net.prefix_len().to_string()]));
    }
    if let Some(gateway) = ctx.query("gateway_ip") {
        let Some(gateway) = model::parse_ip(gateway) else {
            return collection(ctx, "subnets", None, Vec::new());
        };
        page.filters
            .push(("gateway".into(), vec![address_column(gateway)]));
    }
    let subnets = ctx.cloud.list_subnets(&ctx.caller, &page, version)?;
    collection(
        ctx,
        "subnets",
        page.limit,
        subnets.iter().map(view).collect(),
    )
}

/// `GET /v2.0/subnets/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let subnet = ctx
        .cloud
        .get_subnet(&ctx.caller, &ctx.id("id", Kind::Subnet)?)?;
    Ok(Reply::ok(&single(ctx, "subnet", view(&subnet))))
}

/// `POST /v2.0/subnets`, one or several.
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let (wanted, several) = wanted(ctx, "subnet", "subnets")?;
    let new = wanted.into_iter().map(check).collect::<Result<Vec<_>>>()?;
    let subnets = ctx.cloud.create_subnets(&ctx.caller, &new)?;
    let views = subnets.iter().map(view).collect();
    Ok(made(ctx, "subnet", "subnets", several, views))
}

/// `PUT /v2.0/subnets/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<UpdateBody>()?.subnet;
    let update = SubnetUpdate {
        name: wanted.name,
        description: wanted.description,
        gateway: wanted.gateway_ip.map(gateway).transpose()?,
        enable_dhcp: wanted.enable_dhcp,
        pools: wanted.allocation_pools.map(pools).transpose()?,
        dns_nameservers: wanted
            .dns_nameservers
            .map(|s| addresses("dns_nameservers", &s))
            .transpose()?,
        host_routes: wanted.host_routes.map(routes).transpose()?,
        ra_mode: wanted.ipv6_ra_mode,
        address_mode: wanted.ipv6_address_mode,
        valid_lifetime_s: wanted.ipv6_valid_lifetime,
        preferred_lifetime_s: wanted.ipv6_preferred_lifetime,
        pref64: wanted.ipv6_pref64.map(pref64).transpose()?,
    };
    let subnet = ctx
        .cloud
        .update_subnet(&ctx.caller, &ctx.id("id", Kind::Subnet)?, &update)?;
    Ok(Reply::ok(&single(ctx, "subnet", view(&subnet))))
}

/// `DELETE /v2.0/subnets/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_subnet(&ctx.caller, &ctx.id("id", Kind::Subnet)?)?;
    Ok(Reply::no_content())
}

/// Routes as domain values.
pub(super) fn routes(routes: Vec<HostRoute>) -> Result<Vec<Route>> {
    let one = |r: HostRoute| {
        let destination: IpNet = parse("destination", &r.destination)?;
        let nexthop: IpAddr = parse("nexthop", &r.nexthop)?;
        if destination.trunc() != destination {
            return Err(Error::invalid(format!(
                "destination {destination} has host bits set: {} is meant?",
                destination.trunc()
            )));
        }
        Ok(Route {
            destination,
            nexthop,
        })
    };
    routes.into_iter().map(one).collect()
}

pub(super) fn route_view(route: &Route) -> Value {
    json!({"destination": route.destination.to_string(), "nexthop": route.nexthop.to_string()})
}

fn check(wanted: Create) -> Result<NewSubnet> {
    let cidr = wanted.cidr.as_deref();
    let prefix = cidr
        .map(|cidr| cidr_of(cidr, wanted.ip_version))
        .transpose()?;
    let pool = from_pool(&wanted)?;
    let network = wanted
        .network_id
        .ok_or_else(|| Error::invalid("network_id is missing"))?;
    Ok(NewSubnet {
        network: named(Kind::Network, &network)?,
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        prefix,
        pool,
        gateway: wanted.gateway_ip.map(gateway).transpose()?,
        enable_dhcp: wanted.enable_dhcp.unwrap_or(true),
        ra_mode: wanted.ipv6_ra_mode,
        address_mode: wanted.ipv6_address_mode,
        lifetimes: lifetimes(wanted.ipv6_valid_lifetime, wanted.ipv6_preferred_lifetime),
        pref64: pref64(wanted.ipv6_pref64)?,
        pools: wanted.allocation_pools.map(pools).transpose()?,
        dns_nameservers: addresses(
            "dns_nameservers",
            &wanted.dns_nameservers.unwrap_or_default(),
        )?,
        host_routes: routes(wanted.host_routes.unwrap_or_default())?,
        tags: wanted.tags.unwrap_or_default(),
    })
}

/// What the subnet is to have of a pool.
fn from_pool(wanted: &Create) -> Result<Option<FromPool>> {
    let version = match wanted.ip_version {
        None => None,
        Some(4) => Some(IpVersion::V4),
        Some(6) => Some(IpVersion::V6),
        Some(other) => {
            return Err(Error::invalid(format!(
                "ip_version must be 4 or 6, not {other}"
            )));
        }
    };
    let default = wanted.use_default_subnetpool == Some(true);
    let pool = match (&wanted.subnetpool_id, default) {
        (Some(_), true) => {
            return Err(Error::invalid(
                "subnetpool_id and use_default_subnetpool cannot both be specified.",
            ));
        }
        (Some(id), false) => PoolWish::Pool(named(Kind::SubnetPool, id)?),
        (None, true) => PoolWish::Default(version.ok_or_else(|| {
            Error::invalid("ip_version must be specified with use_default_subnetpool")
        })?),
        (None, false) if wanted.prefixlen.is_some() => {
            return Err(Error::invalid(
                "prefixlen is for a subnet of a pool: give subnetpool_id, or cidr alone",
            ));
        }
        (None, false) => return Ok(None),
    };
    if wanted.cidr.is_some() && wanted.prefixlen.is_some() {
        return Err(Error::invalid(
            "cidr and prefixlen cannot both be specified: cidr has its length",
        ));
    }
    Ok(Some(FromPool {
        pool,
        version,
        length: wanted.prefixlen,
    }))
}

/// The prefix. Its version follows from itself; one that was given must agree.
fn cidr_of(text: &str, version: Option<u32>) -> Result<IpNet> {
    let net: IpNet = text.parse().map_err(|_| {
        Error::invalid(format!(
            "Invalid input for cidr. Reason: '{text}' is not a valid IP subnet."
        ))
    })?;
    let own = version_of(net.addr());
    if let Some(given) = version.filter(|v| *v != own) {
        return Err(Error::invalid(format!(
            "ip_version {given} does not match cidr {text}, which is IPv{own}: leave ip_version out, or give {own}"
        )));
    }
    match net.trunc() == net {
        true => Ok(net),
        false => Err(Error::invalid(format!(
            "Invalid input for cidr. Reason: '{text}' isn't a recognized IP subnet cidr, '{}' is recommended.",
            net.trunc()
        ))),
    }
}

/// What is given of them; the preferred lifetime never exceeds a valid one that is given alone.
fn lifetimes(valid_s: Option<u32>, preferred_s: Option<u32>) -> Lifetimes {
    let default = Lifetimes::default();
    let valid = valid_s.unwrap_or(default.valid_s);
    Lifetimes {
        valid_s: valid,
        preferred_s: preferred_s.unwrap_or(default.preferred_s.min(valid)),
    }
}

fn pref64(wanted: Option<String>) -> Result<Option<Ipv6Net>> {
    wanted.map(|text| parse("ipv6_pref64", &text)).transpose()
}

fn gateway(wanted: Option<String>) -> Result<Option<IpAddr>> {
    wanted.map(|text| ip("gateway_ip", &text)).transpose()
}

fn pools(pools: Vec<Pool>) -> Result<Vec<(IpAddr, IpAddr)>> {
    pools
        .iter()
        .map(|p| {
            Ok((
                ip("allocation_pools/start", &p.start)?,
                ip("allocation_pools/end", &p.end)?,
            ))
        })
        .collect()
}

fn addresses(field: &str, texts: &[String]) -> Result<Vec<IpAddr>> {
    texts.iter().map(|text| ip(field, text)).collect()
}

/// 4 or 6.
fn version_of(address: IpAddr) -> u32 {
    if address.is_ipv4() { 4 } else { 6 }
}

pub(crate) fn view(view: &SubnetView) -> Value {
    let subnet = &view.subnet;
    let pools: Vec<Value> = subnet
        .pools
        .0
        .iter()
        .map(|(a, b)| json!({"start": a.to_string(), "end": b.to_string()}))
        .collect();
    let lifetimes = subnet.prefix.is_ipv6().then_some(subnet.lifetimes.0);
    json!({
        "id": subnet.id, "name": subnet.name, "description": subnet.description,
        "network_id": subnet.network_id, "project_id": subnet.project_id, "tenant_id": subnet.project_id,
        "ip_version": version_of(subnet.prefix), "cidr": format!("{}/{}", subnet.prefix, subnet.prefix_length),
        "gateway_ip": subnet.gateway.map(|g| g.to_string()), "enable_dhcp": subnet.enable_dhcp,
        "ipv6_ra_mode": subnet.ra_mode.0, "ipv6_address_mode": subnet.address_mode.0,
        "allocation_pools": pools,
        "dns_nameservers": subnet.dns_nameservers.0.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
        "host_routes": subnet.host_routes.0.iter().map(route_view).collect::<Vec<_>>(),
        "ipv6_valid_lifetime": lifetimes.map(|l| l.valid_s),
        "ipv6_preferred_lifetime": lifetimes.map(|l| l.preferred_s), "ipv6_pref64": subnet.pref64.0,
        "subnetpool_id": subnet.subnet_pool_id, "service_types": [], "router:external": view.external, "tags": subnet.tags.0,
        "revision_number": subnet.revision,
        "created_at": time::seconds(subnet.created_ms), "updated_at": time::seconds(subnet.updated_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_exactly() {
        assert!(cidr_of("2001:db8::/64", None).is_ok());
        assert!(cidr_of("2001:db8::/64", Some(6)).is_ok());
        assert!(cidr_of("192.0.2.0/24", None).is_ok());
        assert!(cidr_of("192.0.2.0/24", Some(4)).is_ok());
        for (text, version) in [
            ("2001:db8::1/64", None),
            ("192.0.2.0/24", Some(6)),
            ("192.0.2.1/24", None),
            ("192.0.2.0/33", None),
            ("192.0.2/24", None),
            ("2001:db8::/64", Some(4)),
            ("2001:db8::/129", None),
            ("", None),
        ] {
            assert!(
                matches!(cidr_of(text, version), Err(Error::Invalid(_))),
                "{text}"
            );
        }
    }
}
