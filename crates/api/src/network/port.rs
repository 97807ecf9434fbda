//! Ports.

use cloud::{AdvertisingUpdate, FixedIp, NewPort, PortFilter, PortUpdate, PortView};
use ipnet::Ipv6Net;
use model::{AddressHeard, Caller, Error, Kind, Mac, Preference, Result, SecurityGroupId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Carried, row};

use super::{collection, made, qos, single, trunk, wanted};
use crate::context::Context;
use crate::json::{ip, named, nullable, number, parse, truth};
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
    ("admin_state_up", "enabled"),
    ("mac_address", "mac"),
    ("device_id", "device_id"),
    ("device_owner", "device_owner"),
    ("status", "status"),
    ("created_at", "created_ms"),
    ("dns_name", "dns_name"),
    ("dns_domain", "dns_domain"),
    ("qos_policy_id", "qos_policy_id"),
];

/// Each is one condition of the statement.
const MAX_WISHES: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    port: Fields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    network_id: Option<String>,
    tenant_id: Option<String>,
    project_id: Option<String>,
    name: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    admin_state_up: Option<bool>,
    mac_address: Option<String>,
    fixed_ips: Option<Vec<FixedIpJson>>,
    security_groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "truth")]
    port_security_enabled: Option<bool>,
    allowed_address_pairs: Option<Vec<PairJson>>,
    device_id: Option<String>,
    device_owner: Option<String>,
    #[serde(rename = "binding:vnic_type")]
    vnic_type: Option<String>,
    #[serde(rename = "binding:host_id")]
    host: Option<String>,
    #[serde(rename = "binding:profile")]
    _profile: Option<Value>,
    tags: Option<Vec<String>>,
    dns_name: Option<String>,
    dns_domain: Option<String>,
    extra_dhcp_opts: Option<Vec<ExtraDhcpOptJson>>,
    delegated_prefixes: Option<Vec<String>>,
    ra_interval: Option<u16>,
    ra_lifetime: Option<u16>,
    ra_preference: Option<Preference>,
    #[serde(default, deserialize_with = "nullable")]
    qos_policy_id: Option<Option<String>>,
}

/// An option of DHCP; without a value it is to go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtraDhcpOptJson {
    opt_name: String,
    opt_value: Option<String>,
    #[serde(default, deserialize_with = "number")]
    ip_version: Option<u32>,
}

impl ExtraDhcpOptJson {
    /// Neutron's default is 4, whatever the port's addresses are.
    fn version(&self) -> u32 {
        self.ip_version.unwrap_or(4)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairJson {
    ip_address: String,
    mac_address: Option<String>,
}

/// An address as ports and gateways ask for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FixedIpJson {
    subnet_id: Option<String>,
    ip_address: Option<String>,
}

/// `GET /v2.0/ports`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(NAMES)?;
    let repeated = ["fixed_ips", "security_groups", "binding:host_id"];
    let wishes = ctx
        .query
        .iter()
        .filter(|(n, _)| repeated.contains(&n.as_str()));
    if wishes.count() > MAX_WISHES {
        return Err(Error::invalid(format!(
            "at most {MAX_WISHES} fixed_ips, security_groups and hosts can be asked for at once"
        )));
    }
    let mut filter = PortFilter::default();
    for wish in ctx
        .query
        .iter()
        .filter(|(n, _)| n == "fixed_ips")
        .map(|(_, v)| v)
    {
        match wish.split_once('=') {
            Some(("ip_address", text)) => filter.addresses.push(ip("fixed_ips", text)?),
            Some(("ip_address_substr", text)) => filter.address_parts.push(text.to_owned()),
            Some(("subnet_id" | "subnet", text)) => filter.subnets.push(text.to_owned()),
            _ => {
                return Err(Error::invalid(format!(
                    "fixed_ips '{wish}' must be ip_address=ADDRESS, ip_address_substr=TEXT or subnet_id=ID"
                )));
            }
        }
    }
    let all = |name: &str| -> Vec<String> {
        let named = ctx.query.iter().filter(|(n, _)| n == name);
        named.map(|(_, v)| v.clone()).collect()
    };
    filter.groups = all("security_groups");
    if ctx.caller.is_admin() {
        filter.hosts = all("binding:host_id");
    }
    let ports = ctx.cloud.list_ports(&ctx.caller, &page, &filter)?;
    collection(
        ctx,
        "ports",
        page.limit,
        ports.iter().map(|p| view(&ctx.caller, p)).collect(),
    )
}

/// `GET /v2.0/ports/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let port = ctx
        .cloud
        .get_port(&ctx.caller, &ctx.id("id", Kind::Port)?)?;
    Ok(Reply::ok(&single(ctx, "port", view(&ctx.caller, &port))))
}

/// `POST /v2.0/ports`, one or several.
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let (wanted, several) = wanted(ctx, "port", "ports")?;
    let new = wanted.into_iter().map(check).collect::<Result<Vec<_>>>()?;
    let ports = ctx.cloud.create_ports(&ctx.caller, &new)?;
    let views = ports.iter().map(|p| view(&ctx.caller, p)).collect();
    Ok(made(ctx, "port", "ports", several, views))
}

/// `PUT /v2.0/ports/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.port;
    if wanted.network_id.is_some() {
        return Err(Error::invalid("a port keeps its network: make another"));
    }
    let update = PortUpdate {
        name: wanted.name,
        mac: mac(wanted.mac_address.as_deref())?,
        description: wanted.description,
        enabled: wanted.admin_state_up,
        fixed_ips: wanted.fixed_ips.map(fixed_ips).transpose()?,
        security_groups: wanted.security_groups.map(|g| groups(&g)).transpose()?,
        port_security: wanted.port_security_enabled,
        allowed_address_pairs: wanted.allowed_address_pairs.map(pairs).transpose()?,
        device_id: wanted.device_id,
        device_owner: wanted.device_owner,
        dns_name: wanted.dns_name.map(|n| n.to_ascii_lowercase()),
        dns_domain: wanted.dns_domain.map(|d| d.to_ascii_lowercase()),
        delegated: wanted
            .delegated_prefixes
            .map(|p| prefixes(&p))
            .transpose()?,
        dhcp_options: wanted
            .extra_dhcp_opts
            .unwrap_or_default()
            .into_iter()
            .map(|o| (o.opt_name.clone(), o.version(), o.opt_value))
            .collect(),
        advertising: AdvertisingUpdate {
            interval_s: wanted.ra_interval,
            lifetime_s: wanted.ra_lifetime,
            preference: wanted.ra_preference,
        },
        host: wanted.host,
        qos_policy: wanted.qos_policy_id.map(qos::named).transpose()?,
    };
    let port = ctx
        .cloud
        .update_port(&ctx.caller, &ctx.id("id", Kind::Port)?, &update)?;
    Ok(Reply::ok(&single(ctx, "port", view(&ctx.caller, &port))))
}

/// `DELETE /v2.0/ports/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_port(&ctx.caller, &ctx.id("id", Kind::Port)?)?;
    Ok(Reply::no_content())
}

/// Addresses as domain values.
pub(super) fn fixed_ips(wishes: Vec<FixedIpJson>) -> Result<Vec<FixedIp>> {
    let one = |wish: FixedIpJson| {
        Ok(FixedIp {
            subnet: wish
                .subnet_id
                .as_deref()
                .map(|id| parse("fixed_ips/subnet_id", id))
                .transpose()?,
            address: wish
                .ip_address
                .as_deref()
                .map(|a| ip("fixed_ips/ip_address", a))
                .transpose()?,
        })
    };
    wishes.into_iter().map(one).collect()
}

fn check(wanted: Fields) -> Result<NewPort> {
    if wanted.vnic_type.is_some_and(|v| v != "normal") {
        return Err(Error::invalid(
            "binding:vnic_type must be normal: this cloud has no other kind of port",
        ));
    }
    let network = wanted
        .network_id
        .ok_or_else(|| Error::invalid("network_id is missing"))?;
    Ok(NewPort {
        network: Some(named(Kind::Network, &network)?),
        project: wanted.project_id.or(wanted.tenant_id).map(Into::into),
        name: wanted.name.unwrap_or_default(),
        description: wanted.description.unwrap_or_default(),
        enabled: wanted.admin_state_up,
        mac: mac(wanted.mac_address.as_deref())?,
        fixed_ips: wanted.fixed_ips.map(fixed_ips).transpose()?,
        security_groups: wanted.security_groups.map(|g| groups(&g)).transpose()?,
        port_security: wanted.port_security_enabled,
        allowed_address_pairs: pairs(wanted.allowed_address_pairs.unwrap_or_default())?,
        device_id: wanted.device_id.unwrap_or_default(),
        device_owner: wanted.device_owner.unwrap_or_default(),
        tags: wanted.tags.unwrap_or_default(),
        dns_name: wanted.dns_name.unwrap_or_default().to_ascii_lowercase(),
        dns_domain: wanted.dns_domain.unwrap_or_default().to_ascii_lowercase(),
        delegated: prefixes(&wanted.delegated_prefixes.unwrap_or_default())?,
        dhcp_options: dhcp_options(wanted.extra_dhcp_opts.unwrap_or_default()),
        host: wanted.host.unwrap_or_default(),
        qos_policy: qos::named(wanted.qos_policy_id.flatten())?,
    })
}

/// Options as they are first given: one without a value is none.
fn dhcp_options(options: Vec<ExtraDhcpOptJson>) -> Vec<row::ExtraDhcpOption> {
    let one = |option: ExtraDhcpOptJson| {
        Some(row::ExtraDhcpOption {
            ip_version: option.version(),
            opt_value: option.opt_value?,
            opt_name: option.opt_name,
        })
    };
    options.into_iter().filter_map(one).collect()
}

fn prefixes(texts: &[String]) -> Result<Vec<Ipv6Net>> {
    let one = |text: &String| parse("delegated_prefixes", text);
    texts.iter().map(one).collect()
}

fn groups(ids: &[String]) -> Result<Vec<SecurityGroupId>> {
    ids.iter()
        .map(|id| named(Kind::SecurityGroup, id))
        .collect()
}

fn mac(text: Option<&str>) -> Result<Option<Mac>> {
    text.map(|m| parse("mac_address", m)).transpose()
}

fn pairs(pairs: Vec<PairJson>) -> Result<Vec<row::AddressPair>> {
    let one = |pair: PairJson| {
        let mac_address = mac(pair.mac_address.as_deref())?;
        Ok(row::AddressPair {
            ip_address: pair.ip_address,
            mac_address,
        })
    };
    pairs.into_iter().map(one).collect()
}

fn heard(addresses: &[AddressHeard]) -> Value {
    let one = |heard: &AddressHeard| json!({"ip_address": heard.address.to_string(), "last_seen": time::seconds(heard.last_ms)});
    addresses.iter().map(one).collect()
}

pub(crate) fn view(caller: &Caller, view: &PortView) -> Value {
    let port = &view.port;
    let ips: Vec<Value> = view
        .addresses
        .iter()
        .map(|a| json!({"subnet_id": a.subnet_id, "ip_address": a.address.to_string()}))
        .collect();
    let pairs: Vec<Value> = port
        .allowed_address_pairs
        .0
        .iter()
        .map(|p| json!({"ip_address": p.ip_address, "mac_address": p.mac_address.unwrap_or(port.mac).to_string()}))
        .collect();
    let names: Vec<Value> = view
        .names()
        .map(|(address, name)| {
            json!({"ip_address": address.to_string(), "hostname": name.hostname, "fqdn": name.fqdn})
        })
        .collect();
    let mut body = json!({
        "id": port.id, "name": port.name, "description": port.description,
        "network_id": port.network_id, "project_id": port.project_id, "tenant_id": port.project_id,
        "admin_state_up": port.enabled, "status": port.status, "mac_address": port.mac.to_string(),
        "fixed_ips": ips, "security_groups": view.security_groups,
        "port_security_enabled": port.port_security, "allowed_address_pairs": pairs,
        "device_id": port.device_id, "device_owner": port.device_owner,
        "binding:vnic_type": "normal", "tags": port.tags.0,
        "extra_dhcp_opts": port.dhcp_options.0, "delegated_prefixes": port.delegated.0,
        "qos_policy_id": port.qos_policy_id, "qos_network_policy_id": view.network_qos_policy,
        "revision_number": port.revision,
        "dns_name": port.dns_name, "dns_domain": port.dns_domain, "dns_assignment": names,
        "created_at": time::seconds(port.created_ms), "updated_at": time::seconds(port.updated_ms),
    });
    body["observed_addresses"] = heard(&view.heard.addresses);
    body["dad_failures"] = heard(&view.heard.dad_failures);
    body["last_rs"] = json!(view.heard.last_rs_ms.map(time::seconds));
    body["last_ra"] = json!(view.heard.last_ra_ms.map(time::seconds));
    body["last_dhcp"] = json!(view.heard.last_dhcp_ms.map(time::seconds));
    if port.device_owner == "network:router_interface" {
        let advertising = &port.advertising.0;
        body["ra_interval"] = json!(advertising.interval_s);
        body["ra_lifetime"] = json!(advertising.lifetime_s);
        body["ra_preference"] = json!(advertising.preference);
    }
    if let Some((trunk, carried)) = &view.trunk {
        let subport = |one: &Carried| {
            let mut view = trunk::subport(one.port, one.vlan);
            view["mac_address"] = json!(one.mac.to_string());
            view
        };
        let subports: Vec<Value> = carried.iter().map(subport).collect();
        body["trunk_details"] = json!({"trunk_id": trunk, "sub_ports": subports});
    }
    if caller.is_admin() {
        let bound = port.node_id.is_some();
        body["binding:host_id"] = json!(view.host);
        body["binding:vif_type"] = json!(if bound { "tap" } else { "unbound" });
        body["binding:vif_details"] = json!({});
        body["binding:profile"] = json!({});
    }
    body
}
