//! Ports: who is on a network, with which addresses.

mod address;
mod check;
mod create;
mod delegated;
mod dhcp_option;
pub(crate) mod heard;
mod mac;
mod view;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::Ipv6Net;
use model::{
    Caller, Error, Key, Mac, NetworkId, PortHeard, PortId, Preference, ProjectId, QosPolicyId,
    Result, SecurityGroupId, SubnetId, TrunkId, dns,
};
use store::{Carried, Field, Query, Tx, Value, row};

use crate::list::{self, Page, marks, revise};
use crate::{Cloud, floating_ip, now_ms, qos, resolver, router, security_group, trunk};

pub(crate) use address::{allocate, service_address};
pub(crate) use check::{check_limited, check_owner_only, names_address};
pub(crate) use create::{insert, insert_for};
pub(crate) use dhcp_option::document as dhcp_option;
pub(crate) use mac::free_mac;
use view::with_address_like;
pub(crate) use view::{groups_of, subnets_of, view, views, visible};

use check::{check, check_advertising, check_device, check_host};
use create::create;

/// An address a request asks for.
#[derive(Clone, Debug, Default)]
pub struct FixedIp {
    pub subnet: Option<SubnetId>,
    pub address: Option<IpAddr>,
}

/// A port to make.
#[derive(Clone, Debug, Default)]
pub struct NewPort {
    pub network: Option<NetworkId>,
    pub project: Option<ProjectId>,
    pub name: String,
    pub description: String,
    pub enabled: Option<bool>,
    pub mac: Option<Mac>,
    pub fixed_ips: Option<Vec<FixedIp>>,
    pub security_groups: Option<Vec<SecurityGroupId>>,
    pub port_security: Option<bool>,
    pub allowed_address_pairs: Vec<row::AddressPair>,
    pub device_id: String,
    pub device_owner: String,
    pub tags: Vec<String>,
    pub dns_name: String,
    pub dns_domain: String,
    pub delegated: Vec<Ipv6Net>,
    pub dhcp_options: Vec<row::ExtraDhcpOption>,
    /// The node it is meant for, by name.
    pub host: String,
    pub qos_policy: Option<QosPolicyId>,
}

/// Which ports a list is of: of each of these that is not empty, a port must have one.
#[derive(Clone, Debug, Default)]
pub struct PortFilter {
    pub addresses: Vec<IpAddr>,
    /// Text that is somewhere in an address.
    pub address_parts: Vec<String>,
    /// Their ids, as the next ones.
    pub subnets: Vec<String>,
    pub groups: Vec<String>,
    /// Names of nodes.
    pub hosts: Vec<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct PortUpdate {
    pub name: Option<String>,
    pub mac: Option<Mac>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub fixed_ips: Option<Vec<FixedIp>>,
    pub security_groups: Option<Vec<SecurityGroupId>>,
    pub port_security: Option<bool>,
    pub allowed_address_pairs: Option<Vec<row::AddressPair>>,
    pub device_id: Option<String>,
    pub device_owner: Option<String>,
    pub dns_name: Option<String>,
    pub dns_domain: Option<String>,
    pub delegated: Option<Vec<Ipv6Net>>,
    /// By name and version: `None` takes an option away, and what is not named stays.
    pub dhcp_options: Vec<(String, u32, Option<String>)>,
    pub advertising: AdvertisingUpdate,
    pub host: Option<String>,
    pub qos_policy: Option<Option<QosPolicyId>>,
}

/// What to change of how a router's port advertises.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdvertisingUpdate {
    pub interval_s: Option<u16>,
    pub lifetime_s: Option<u16>,
    pub preference: Option<Preference>,
}

/// A port with what hangs on it.
#[derive(Clone, Debug)]
pub struct PortView {
    pub port: row::Port,
    pub addresses: Vec<row::Allocation>,
    pub security_groups: Vec<SecurityGroupId>,
    /// The domain of names in its network.
    pub network_domain: String,
    /// The QoS policy of its network.
    pub network_qos_policy: Option<QosPolicyId>,
    /// The node it is bound to, else the one it is meant for; by name, empty when none.
    pub host: String,
    /// What its guest was heard to use and ask.
    pub heard: PortHeard,
    /// The trunk whose card it has, and what that carries, by VLAN.
    pub trunk: Option<(TrunkId, Vec<Carried>)>,
}

impl PortView {
    /// What each of its addresses is called.
    pub fn names(&self) -> impl Iterator<Item = (IpAddr, dns::Assignment)> {
        let name = &self.port.dns_name;
        let domain = dns::domain_of(name, &self.port.dns_domain, &self.network_domain);
        let addresses = self.addresses.iter().map(|held| held.address);
        addresses.map(move |address| (address, dns::assignment(name, domain, address)))
    }
}

impl Cloud {
    /// A port the caller may see.
    pub fn get_port(&self, caller: &Caller, id: &PortId) -> Result<PortView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The ports the caller may see.
    pub fn list_ports(
        &self,
        caller: &Caller,
        page: &Page,
        filter: &PortFilter,
    ) -> Result<Vec<PortView>> {
        let PortFilter {
            addresses,
            address_parts,
            subnets,
            groups,
            hosts,
        } = filter;
        let all = [addresses.len(), address_parts.len(), subnets.len()];
        let all = all.iter().sum::<usize>() + groups.len() + hosts.len();
        if all > list::MAX_CONDITIONS {
            return Err(list::too_many_conditions(
                "fixed addresses, subnets, security groups and hosts",
            ));
        }
        let mut query = page.query::<row::Port>()?;
        if !caller.is_admin() {
            let project = list::project_of(caller);
            // The owner of a network sees the ports of others on it.
            query = query.seen_if(
                "t.project_id = ? OR t.network_id IN (SELECT n.id FROM network n WHERE n.project_id = ?)",
                vec![project.clone(), project],
            );
        }
        let texts = |all: &[String]| all.iter().cloned().map(Value::Text).collect();
        let addresses: Vec<Value> = addresses.iter().map(Field::to_value).collect();
        for (table, column, any) in [
            ("allocation", "address", addresses),
            ("allocation", "subnet_id", texts(subnets)),
            ("membership", "security_group_id", texts(groups)),
        ] {
            if !any.is_empty() {
                let marks = marks(any.len());
                let condition = format!(
                    "t.id IN (SELECT m.port_id FROM {table} m WHERE m.{column} IN ({marks}))"
                );
                query = query.matching(condition, any);
            }
        }
        if !hosts.is_empty() {
            let marks = marks(hosts.len());
            let condition = format!(
                "coalesce((SELECT n.name FROM node n WHERE n.id = t.node_id), t.host) IN ({marks})"
            );
            query = query.matching(condition, texts(hosts));
        }
        self.store().read(|tx| {
            if !address_parts.is_empty() {
                let ids = with_address_like(tx, caller, address_parts)?;
                query = query.clone().one_of("id", ids);
            }
            let ports = list::run(tx, &query)?;
            views(tx, ports)
        })
    }

    /// New ports: all of them, or none.
    pub fn create_ports(&self, caller: &Caller, new: &[NewPort]) -> Result<Vec<PortView>> {
        caller.require_member()?;
        if new.len() > list::MAX_BULK {
            return Err(list::too_many("ports"));
        }
        self.store()
            .write(|tx| new.iter().map(|one| create(tx, caller, one)).collect())
    }

    /// Changes what is given.
    pub fn update_port(
        &self,
        caller: &Caller,
        id: &PortId,
        update: &PortUpdate,
    ) -> Result<PortView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut port = visible(tx, caller, id)?;
            caller.check_revision(port.revision)?;
            check_update(tx, caller, &port, update)?;
            if let Some(delegated) = &update.delegated {
                delegated::check(tx, caller, &port, delegated)?;
            }
            change(&mut port, update);
            port.qos_policy_id = qos::chosen(tx, caller, port.qos_policy_id, update.qos_policy)?;
            let moved = mac::change(tx, &mut port, update.mac)?;
            check_advertising(&port)?;
            port.revision += 1;
            port.updated_ms = now_ms();
            check(tx, &port)?;
            if let Some(groups) = &update.security_groups {
                if !port.port_security && !groups.is_empty() {
                    return Err(Error::conflict(
                        "A port without port security cannot have security groups.",
                    ));
                }
                set_groups(tx, caller, &port, groups)?;
            }
            if !port.port_security && !groups_of(tx, id)?.is_empty() {
                return Err(Error::conflict(
                    "Port security must be enabled while a port has security groups: remove them first.",
                ));
            }
            tx.update(&port)?;
            if let Some(wanted) = update.fixed_ips.as_ref().or(moved.as_ref()) {
                set_addresses(tx, &port, wanted)?;
            }
            touch_row(tx, &port)?;
            view(tx, port)
        })
    }

    /// Removes a port.
    ///
    /// # Errors
    /// `Conflict` for a router's port, a floating IP's or a resolver's: it goes with these; and while a
    /// trunk has it.
    pub fn delete_port(&self, caller: &Caller, id: &PortId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let port = visible(tx, caller, id)?;
            caller.check_revision(port.revision)?;
            let service = port.device_owner.as_str();
            let own = [floating_ip::OWNER, resolver::OWNER];
            if service.starts_with("network:router") || own.contains(&service) {
                return Err(Error::conflict(format!(
                    "Port {id} cannot be deleted directly via the port API: has device owner {}.",
                    port.device_owner
                )));
            }
            trunk::check_free(tx, id)?;
            remove(tx, &port)
        })
    }
}

/// # Errors
/// `Forbidden` for what only a network's owner, or the cloud itself, may change.
fn check_update(tx: &Tx<'_>, caller: &Caller, port: &row::Port, update: &PortUpdate) -> Result<()> {
    let (id, owner) = (&update.device_id, &update.device_owner);
    check_device(caller, port, id.as_deref(), owner.as_deref())?;
    let network: row::Network = tx.get(&port.network_id)?;
    let pairs = update.allowed_address_pairs.as_ref();
    let security = update.port_security;
    let asked = [
        (
            "port_security_enabled",
            security.is_some_and(|p| p != port.port_security),
        ),
        ("mac_address", update.mac.is_some_and(|m| m != port.mac)),
        (
            "allowed_address_pairs",
            pairs.is_some_and(|p| !p.is_empty()),
        ),
        (
            "an address of fixed_ips",
            names_address(update.fixed_ips.as_deref()),
        ),
        (
            "dns_domain",
            update
                .dns_domain
                .as_ref()
                .is_some_and(|d| *d != port.dns_domain),
        ),
    ];
    check_owner_only(caller, &network, &asked)?;
    check_host(caller, update.host.as_deref().unwrap_or_default())?;
    match &update.fixed_ips {
        Some(wanted) if port.device_owner.starts_with("network:") => {
            check_service(tx, port, wanted)
        }
        _ => Ok(()),
    }
}

/// What a router's interface may be asked to have: other addresses of the same subnets, so that what
/// it stands for stays the same.
fn check_service(tx: &Tx<'_>, port: &row::Port, wanted: &[FixedIp]) -> Result<()> {
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", port.id.to_value()))?;
    let held: BTreeSet<Option<SubnetId>> = held.iter().map(|a| Some(a.subnet_id)).collect();
    let asked: BTreeSet<Option<SubnetId>> = wanted.iter().map(|w| w.subnet).collect();
    match port.device_owner == router::INTERFACE && asked == held {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "Port {} is a router's, a floating IP's or the network's resolver's: its addresses change with these",
            port.id
        ))),
    }
}

/// Writes into a row what an update gives for its columns.
fn change(port: &mut row::Port, update: &PortUpdate) {
    fn put<T: Clone>(column: &mut T, new: Option<&T>) {
        if let Some(new) = new {
            column.clone_from(new);
        }
    }
    put(&mut port.name, update.name.as_ref());
    put(&mut port.description, update.description.as_ref());
    put(&mut port.enabled, update.enabled.as_ref());
    put(&mut port.port_security, update.port_security.as_ref());
    let pairs = update.allowed_address_pairs.as_ref();
    put(&mut port.allowed_address_pairs.0, pairs);
    put(&mut port.device_id, update.device_id.as_ref());
    put(&mut port.device_owner, update.device_owner.as_ref());
    put(&mut port.host, update.host.as_ref());
    put(&mut port.dns_name, update.dns_name.as_ref());
    put(&mut port.dns_domain, update.dns_domain.as_ref());
    put(&mut port.delegated.0, update.delegated.as_ref());
    dhcp_option::change(&mut port.dhcp_options.0, &update.dhcp_options);
    let (advertising, new) = (&mut port.advertising.0, &update.advertising);
    put(&mut advertising.interval_s, new.interval_s.as_ref());
    put(&mut advertising.lifetime_s, new.lifetime_s.as_ref());
    put(&mut advertising.preference, new.preference.as_ref());
}

/// Gives a port these addresses instead of those it has. Floating IPs that stand for what it loses
/// are freed.
pub(crate) fn set_addresses(tx: &mut Tx<'_>, port: &row::Port, wanted: &[FixedIp]) -> Result<()> {
    let subnets = subnets_of(tx, &port.network_id)?;
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", port.id.to_value()))?;
    tx.delete_where::<row::Allocation>("port_id", &port.id)?;
    allocate(tx, port, &subnets, Some(&kept_where(wanted, &held)))?;
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", port.id.to_value()))?;
    let kept: Vec<IpAddr> = held.iter().map(|a| a.address).collect();
    floating_ip::release(tx, &port.id, &kept)?;
    touch(tx, &port.id)
}

/// Who asks for an address of a subnet where the port has one means that one.
fn kept_where(wanted: &[FixedIp], held: &[row::Allocation]) -> Vec<FixedIp> {
    let mut kept = wanted.to_vec();
    for own in held {
        let named = kept.iter().any(|w| w.address == Some(own.address));
        let open = |w: &&mut FixedIp| w.subnet == Some(own.subnet_id) && w.address.is_none();
        if let Some(wish) = kept.iter_mut().find(open).filter(|_| !named) {
            wish.address = Some(own.address);
        }
    }
    kept
}

/// Removes a port and all that hangs on it.
pub(crate) fn remove(tx: &mut Tx<'_>, port: &row::Port) -> Result<()> {
    touch_row(tx, port)?;
    floating_ip::release(tx, &port.id, &[])?;
    trunk::forget(tx, &port.id)?;
    if port.device_owner.starts_with("compute:")
        && let Ok(server) = port.device_id.parse()
    {
        tx.touch(Key::Server(server))?;
    }
    tx.delete::<row::Port>(&port.id).map(drop)
}

/// The port's document, and those made of its addresses, changed.
pub(crate) fn touch(tx: &mut Tx<'_>, id: &PortId) -> Result<()> {
    let port: row::Port = tx.get(id)?;
    touch_row(tx, &port)
}

/// It holds other addresses than before.
pub(crate) fn readdressed(tx: &mut Tx<'_>, id: &PortId) -> Result<()> {
    revise::<row::Port>(tx, id)?;
    touch(tx, id)
}

fn touch_row(tx: &mut Tx<'_>, port: &row::Port) -> Result<()> {
    tx.touch(Key::Port(port.id))?;
    tx.touch(Key::PortName(port.id))?;
    if port.device_owner.starts_with("network:router")
        && let Ok(router) = port.device_id.parse()
    {
        tx.touch(Key::Router(router))?;
    }
    Ok(())
}

pub(crate) fn set_groups(
    tx: &mut Tx<'_>,
    caller: &Caller,
    port: &row::Port,
    groups: &[SecurityGroupId],
) -> Result<()> {
    tx.delete_where::<row::Membership>("port_id", &port.id)?;
    let named = groups
        .iter()
        .map(|id| security_group::visible(tx, caller, id));
    security_group::check_kind(&named.collect::<Result<Vec<_>>>()?)?;
    for group in groups {
        let id = format!("{}/{group}", port.id);
        let member = row::Membership {
            id,
            port_id: port.id,
            security_group_id: *group,
        };
        if tx
            .find::<row::Membership>(Value::Text(member.id.clone()))?
            .is_none()
        {
            tx.insert(&member)?;
        }
    }
    Ok(())
}
