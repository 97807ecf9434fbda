//! Ports: who is on a network, with which addresses.

mod address;
mod view;

use std::net::IpAddr;

use model::{
    AddressGroupId, Caller, Error, Key, Mac, NetworkId, PortId, ProjectId, Result, Scope,
    SecurityGroupId, SubnetId,
};
use store::{Field, Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, floating_ip, network, now_ms, password, security_group};

pub(crate) use address::allocate;
pub(crate) use view::{groups_of, subnets_of, view, views, visible};

/// Pairs of a port: a document must stay small enough for every node.
const MAX_PAIRS: usize = 10;
/// How often a random MAC is drawn before giving up.
const DRAWS: usize = 32;

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
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct PortUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub fixed_ips: Option<Vec<FixedIp>>,
    pub security_groups: Option<Vec<SecurityGroupId>>,
    pub port_security: Option<bool>,
    pub allowed_address_pairs: Option<Vec<row::AddressPair>>,
    pub device_id: Option<String>,
    pub device_owner: Option<String>,
}

/// A port with what hangs on it.
#[derive(Clone, Debug)]
pub struct PortView {
    pub port: row::Port,
    pub addresses: Vec<row::Allocation>,
    pub security_groups: Vec<SecurityGroupId>,
}

impl Cloud {
    /// A port the caller may see.
    pub fn get_port(&self, caller: &Caller, id: &PortId) -> Result<PortView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The ports the caller may see. Of `addresses`, of `subnets` and of
    /// `groups` a port must have one, of those that are not empty.
    pub fn list_ports(
        &self,
        caller: &Caller,
        page: &Page,
        addresses: &[IpAddr],
        subnets: &[String],
        groups: &[String],
    ) -> Result<Vec<PortView>> {
        if addresses.len() + subnets.len() + groups.len() > list::MAX_CONDITIONS {
            return Err(list::too_many_conditions(
                "fixed addresses, subnets and security groups",
            ));
        }
        let mut query = page.query::<row::Port>()?;
        if !caller.is_admin() {
            let project = match &caller.scope {
                Scope::Project(project) => project.to_value(),
                _ => Value::Null,
            };
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
                let marks = vec!["?"; any.len()].join(", ");
                let condition = format!(
                    "t.id IN (SELECT m.port_id FROM {table} m WHERE m.{column} IN ({marks}))"
                );
                query = query.matching(condition, any);
            }
        }
        self.store().read(|tx| {
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
            check_device(caller, &port, update.device_id.as_deref(), update.device_owner.as_deref())?;
            let network: row::Network = tx.get(&port.network_id)?;
            check_owner_only(caller, &network, &[
                ("port_security_enabled", update.port_security.is_some_and(|p| p != port.port_security)),
                ("allowed_address_pairs", update.allowed_address_pairs.as_ref().is_some_and(|p| !p.is_empty())),
                ("an address of fixed_ips", names_address(update.fixed_ips.as_deref())),
            ])?;
            if update.fixed_ips.is_some() && port.device_owner.starts_with("network:") {
                return Err(Error::conflict(format!(
                    "Port {id} is a router's or a floating IP's: its addresses change with these"
                )));
            }
            let before: Vec<AddressGroupId> = groups_of(tx, id)?.into_iter().map(|g| AddressGroupId(g.0)).collect();
            port.name = update.name.clone().unwrap_or(port.name);
            port.description = update.description.clone().unwrap_or(port.description);
            port.enabled = update.enabled.unwrap_or(port.enabled);
            port.port_security = update.port_security.unwrap_or(port.port_security);
            port.allowed_address_pairs.0 = update.allowed_address_pairs.clone().unwrap_or(port.allowed_address_pairs.0);
            port.device_id = update.device_id.clone().unwrap_or(port.device_id);
            port.device_owner = update.device_owner.clone().unwrap_or(port.device_owner);
            port.revision += 1;
            port.updated_ms = now_ms();
            check(&port)?;
            if let Some(groups) = &update.security_groups {
                if !port.port_security && !groups.is_empty() {
                    return Err(Error::conflict("A port without port security cannot have security groups."));
                }
                set_groups(tx, caller, &port, groups)?;
            }
            if !port.port_security && !groups_of(tx, id)?.is_empty() {
                return Err(Error::conflict("Port security must be enabled while a port has security groups: remove them first."));
            }
            if let Some(wanted) = &update.fixed_ips {
                set_addresses(tx, &port, wanted)?;
            }
            tx.update(&port)?;
            touch_row(tx, &port)?;
            for group in before {
                tx.touch(Key::AddressGroup(group))?;
            }
            view(tx, port)
        })
    }

    /// Removes a port.
    ///
    /// # Errors
    /// `Conflict` for a router's port or a floating IP's: it goes with these.
    pub fn delete_port(&self, caller: &Caller, id: &PortId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let port = visible(tx, caller, id)?;
            let service = port.device_owner.as_str();
            if service.starts_with("network:router") || service == floating_ip::OWNER {
                return Err(Error::conflict(format!(
                    "Port {id} cannot be deleted directly via the port API: has device owner {}.",
                    port.device_owner
                )));
            }
            remove(tx, &port)
        })
    }
}

fn create(tx: &mut Tx<'_>, caller: &Caller, new: &NewPort) -> Result<PortView> {
    let id = new
        .network
        .ok_or_else(|| Error::invalid("network_id is missing"))?;
    let network = network::visible(tx, caller, &id)?;
    if !network.shared && !caller.sees(&network.project_id) {
        return Err(Error::Forbidden(format!(
            "only its owner can make ports on network {id}; reach it through a router"
        )));
    }
    if is_ours(&new.device_owner) && !caller.is_admin() {
        return Err(set_by_the_cloud());
    }
    check_owner_only(
        caller,
        &network,
        &[
            (
                "port_security_enabled",
                new.port_security
                    .is_some_and(|p| p != network.port_security),
            ),
            ("mac_address", new.mac.is_some()),
            (
                "allowed_address_pairs",
                !new.allowed_address_pairs.is_empty(),
            ),
            (
                "an address of fixed_ips",
                names_address(new.fixed_ips.as_deref()),
            ),
        ],
    )?;
    insert(tx, caller, &network, new)
}

/// On a network of another project a port takes what it is given: with these it could pass for
/// another's, or for the gateway.
pub(crate) fn check_owner_only(
    caller: &Caller,
    network: &row::Network,
    asked: &[(&str, bool)],
) -> Result<()> {
    match asked.iter().find(|(_, asked)| *asked) {
        Some((what, _)) if !caller.sees(&network.project_id) => Err(Error::Forbidden(format!(
            "only the owner of network {} can choose {what} on it",
            network.id
        ))),
        _ => Ok(()),
    }
}

/// Whether a wish names an address, rather than a subnet to take one from.
pub(crate) fn names_address(wishes: Option<&[FixedIp]>) -> bool {
    wishes.is_some_and(|wishes| wishes.iter().any(|wish| wish.address.is_some()))
}

/// Makes a port with addresses and security groups: the part that servers and routers share.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    caller: &Caller,
    network: &row::Network,
    new: &NewPort,
) -> Result<PortView> {
    let owner = owner_of(caller, new.project.as_ref())?;
    quota::check(tx, &owner, Resource::Port, 1)?;
    insert_for(tx, caller, network, new, owner)
}

/// As [`insert`], for an owner of the cloud's choice, whatever its limits.
pub(crate) fn insert_for(
    tx: &mut Tx<'_>,
    caller: &Caller,
    network: &row::Network,
    new: &NewPort,
    owner: ProjectId,
) -> Result<PortView> {
    let now = now_ms();
    let port = row::Port {
        id: PortId::random(),
        network_id: network.id,
        project_id: owner,
        name: new.name.clone(),
        description: new.description.clone(),
        enabled: new.enabled.unwrap_or(true),
        mac: free_mac(tx, &network.id, new.mac)?,
        device_id: new.device_id.clone(),
        device_owner: new.device_owner.clone(),
        device_index: 0,
        server_made: false,
        node_id: None,
        detaching: false,
        status: "DOWN".into(),
        port_security: new.port_security.unwrap_or(network.port_security),
        allowed_address_pairs: Json(new.allowed_address_pairs.clone()),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
    };
    check(&port)?;
    tx.insert(&port)?;
    let subnets = subnets_of(tx, &network.id)?;
    allocate(tx, &port, &subnets, new.fixed_ips.as_deref())?;
    let own_service = port.device_owner.starts_with("network:");
    let groups = match &new.security_groups {
        Some(groups) if !groups.is_empty() && !port.port_security => {
            return Err(Error::conflict(
                "A port without port security cannot have security groups.",
            ));
        }
        Some(groups) => groups.clone(),
        None if port.port_security && !own_service => {
            vec![security_group::default_of(tx, &port.project_id)?.id]
        }
        None => Vec::new(),
    };
    set_groups(tx, caller, &port, &groups)?;
    touch_row(tx, &port)?;
    view(tx, port)
}

/// Gives a port these addresses instead of those it has. Floating IPs that stand for what it loses
/// are freed.
pub(crate) fn set_addresses(tx: &mut Tx<'_>, port: &row::Port, wanted: &[FixedIp]) -> Result<()> {
    let subnets = subnets_of(tx, &port.network_id)?;
    tx.delete_where::<row::Allocation>("port_id", &port.id)?;
    allocate(tx, port, &subnets, Some(wanted))?;
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", port.id.to_value()))?;
    let kept: Vec<IpAddr> = held.iter().map(|a| a.address).collect();
    floating_ip::release(tx, &port.id, &kept)?;
    touch(tx, &port.id)
}

/// Removes a port and all that hangs on it.
pub(crate) fn remove(tx: &mut Tx<'_>, port: &row::Port) -> Result<()> {
    touch_row(tx, port)?;
    floating_ip::release(tx, &port.id, &[])?;
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

fn touch_row(tx: &mut Tx<'_>, port: &row::Port) -> Result<()> {
    tx.touch(Key::Port(port.id))?;
    if port.device_owner.starts_with("network:router")
        && let Ok(router) = port.device_id.parse()
    {
        tx.touch(Key::Router(router))?;
    }
    for group in groups_of(tx, &port.id)? {
        tx.touch(Key::AddressGroup(AddressGroupId(group.0)))?;
    }
    Ok(())
}

/// Whether a device owner says that a router or a server has the port.
fn is_ours(device_owner: &str) -> bool {
    device_owner.starts_with("network:") || device_owner.starts_with("compute:")
}

fn set_by_the_cloud() -> Error {
    Error::Forbidden(
        "device_owner network:... and compute:..., and the device_id beside them, are set by the cloud itself"
            .into(),
    )
}

/// A port's device makes it part of that server or router, whoever's that is: no tenant writes it.
fn check_device(
    caller: &Caller,
    port: &row::Port,
    id: Option<&str>,
    owner: Option<&str>,
) -> Result<()> {
    let id = id.unwrap_or(&port.device_id);
    let owner = owner.unwrap_or(&port.device_owner);
    let same = id == port.device_id && owner == port.device_owner;
    match same || caller.is_admin() || !(is_ours(owner) || is_ours(&port.device_owner)) {
        true => Ok(()),
        false => Err(set_by_the_cloud()),
    }
}

pub(crate) fn set_groups(
    tx: &mut Tx<'_>,
    caller: &Caller,
    port: &row::Port,
    groups: &[SecurityGroupId],
) -> Result<()> {
    tx.delete_where::<row::Membership>("port_id", &port.id)?;
    for group in groups {
        security_group::visible(tx, caller, group)?;
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

fn free_mac(tx: &Tx<'_>, network: &NetworkId, wanted: Option<Mac>) -> Result<Mac> {
    let taken = |mac: Mac| {
        tx.exists::<row::Port>(
            Query::equal("network_id", network.to_value()).and("mac", mac.to_value()),
        )
    };
    if let Some(mac) = wanted {
        if mac.0[0] & 1 != 0 || mac.0 == [0; 6] {
            return Err(Error::invalid(format!(
                "mac_address {mac} is no address of one interface"
            )));
        }
        return match taken(mac)? {
            true => Err(Error::conflict(format!(
                "The mac address {mac} is in use on network {network}."
            ))),
            false => Ok(mac),
        };
    }
    for _ in 0..DRAWS {
        let [a, b, c] = password::random::<3>()?;
        let mac = Mac([0xfa, 0x16, 0x3e, a, b, c]);
        if !taken(mac)? {
            return Ok(mac);
        }
    }
    Err(Error::conflict(format!(
        "No free mac address was found on network {network}."
    )))
}

fn check(port: &row::Port) -> Result<()> {
    list::check_name("name", &port.name)?;
    list::check_name("description", &port.description)?;
    list::check_name("device_id", &port.device_id)?;
    list::check_name("device_owner", &port.device_owner)?;
    list::check_tags(&port.tags.0)?;
    if !port.allowed_address_pairs.0.is_empty() && !port.port_security {
        return Err(Error::conflict(
            "Port security must be enabled in order to have allowed address pairs on a port.",
        ));
    }
    if port.allowed_address_pairs.0.len() > MAX_PAIRS {
        return Err(Error::invalid(format!(
            "a port takes at most {MAX_PAIRS} allowed_address_pairs"
        )));
    }
    for pair in &port.allowed_address_pairs.0 {
        if pair.mac_address.is_some_and(|mac| mac != port.mac) {
            return Err(Error::invalid(
                "allowed_address_pairs with another mac_address are not available in this cloud yet",
            ));
        }
        let parsed = pair.ip_address.parse::<ipnet::IpNet>().is_ok()
            || pair.ip_address.parse::<std::net::IpAddr>().is_ok();
        if !parsed {
            return Err(Error::invalid(format!(
                "'{}' is not a valid IP subnet or address",
                pair.ip_address
            )));
        }
    }
    Ok(())
}
