//! Port forwardings: ports of a floating IP that stand for ports of guests behind one router.

use std::net::IpAddr;

use model::{
    Caller, Error, FloatingIpId, Forwarding, Key, Kind, PortForwardingId, PortId, Result, RouterId,
};
use store::{Field, Query, Tx, row};

use super::association::{address_of, bindable, clear, reached_by, router_between};
use super::visible;
use crate::list::{self, Page};
use crate::{Cloud, now_ms, port};

/// First and last of a range.
pub type Ports = (u16, u16);

/// Protocols that have ports, by name and number.
const PROTOCOLS: [(&str, u8); 5] = [
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("sctp", 132),
    ("udplite", 136),
];

/// What one router's forwardings may come to, so that its document and its tables stay small: each
/// counts as one, but those that change their ports as many as they have.
const MAX_PORTS: u32 = 4096;

/// A forwarding to make.
#[derive(Clone, Debug)]
pub struct NewForwarding {
    pub port: PortId,
    /// `None`: the port's only IPv4 address, or its first IPv6 one.
    pub address: Option<IpAddr>,
    /// By name or number.
    pub protocol: String,
    pub external: Ports,
    pub internal: Ports,
    pub description: String,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct ForwardingUpdate {
    pub port: Option<PortId>,
    pub address: Option<IpAddr>,
    pub protocol: Option<String>,
    pub external: Option<Ports>,
    pub internal: Option<Ports>,
    pub description: Option<String>,
}

impl Cloud {
    /// A forwarding of a floating IP that the caller may see.
    pub fn get_forwarding(
        &self,
        caller: &Caller,
        of: &FloatingIpId,
        id: &PortForwardingId,
    ) -> Result<row::PortForwarding> {
        self.store().read(|tx| find(tx, caller, of, id))
    }

    /// The forwardings of a floating IP that the caller may see.
    pub fn list_forwardings(
        &self,
        caller: &Caller,
        of: &FloatingIpId,
        page: &Page,
    ) -> Result<Vec<row::PortForwarding>> {
        let query = page.query::<row::PortForwarding>()?;
        let query = query.seen_by("floating_ip_id", of.to_value());
        self.store().read(|tx| {
            visible(tx, caller, of)?;
            list::run(tx, &query)
        })
    }

    /// A new forwarding.
    ///
    /// # Errors
    /// `Conflict` when the floating IP stands for a port, or another for the guest's address.
    pub fn create_forwarding(
        &self,
        caller: &Caller,
        of: &FloatingIpId,
        new: &NewForwarding,
    ) -> Result<row::PortForwarding> {
        caller.require_member()?;
        self.store().write(|tx| {
            let floating = changeable(tx, caller, of)?;
            if floating.port_id.is_some() {
                return Err(Error::conflict(format!(
                    "Cannot associate floating IP {} ({of}) with port {}, as it stands for a port already.",
                    floating.address, new.port
                )));
            }
            let made = row::PortForwarding {
                id: PortForwardingId::random(),
                floating_ip_id: *of,
                port_id: new.port,
                // Until it is looked up below.
                address: new.address.unwrap_or(floating.address),
                protocol: protocol(&new.protocol)?.0.to_owned(),
                external_first: new.external.0,
                external_last: new.external.1,
                internal_first: new.internal.0,
                internal_last: new.internal.1,
                description: new.description.clone(),
            };
            let made = place(tx, caller, floating, made, new.address)?;
            tx.insert(&made)?;
            Ok(made)
        })
    }

    /// Changes what is given.
    ///
    /// # Errors
    /// As for [`Cloud::create_forwarding`].
    pub fn update_forwarding(
        &self,
        caller: &Caller,
        of: &FloatingIpId,
        id: &PortForwardingId,
        update: &ForwardingUpdate,
    ) -> Result<row::PortForwarding> {
        caller.require_member()?;
        self.store().write(|tx| {
            let floating = changeable(tx, caller, of)?;
            let mut row = find(tx, caller, of, id)?;
            let address = match (update.address, update.port) {
                (None, None) => Some(row.address),
                (wanted, _) => wanted,
            };
            row.port_id = update.port.unwrap_or(row.port_id);
            if let Some(name) = &update.protocol {
                row.protocol = protocol(name)?.0.to_owned();
            }
            if let Some((first, last)) = update.external {
                (row.external_first, row.external_last) = (first, last);
            }
            if let Some((first, last)) = update.internal {
                (row.internal_first, row.internal_last) = (first, last);
            }
            if let Some(description) = &update.description {
                row.description.clone_from(description);
            }
            let row = place(tx, caller, floating, row, address)?;
            tx.update(&row)?;
            Ok(row)
        })
    }

    /// Removes a forwarding.
    pub fn delete_forwarding(
        &self,
        caller: &Caller,
        of: &FloatingIpId,
        id: &PortForwardingId,
    ) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            changeable(tx, caller, of)?;
            let gone = find(tx, caller, of, id)?;
            remove(tx, &gone)
        })
    }
}

/// Forwardings have no revisions: each change of one is one of its floating IP.
fn changeable(tx: &Tx<'_>, caller: &Caller, of: &FloatingIpId) -> Result<row::FloatingIp> {
    let floating = visible(tx, caller, of)?;
    caller.check_revision(floating.revision)?;
    Ok(floating)
}

/// Whether a floating IP has forwardings.
pub(super) fn any(tx: &Tx<'_>, of: &FloatingIpId) -> Result<bool> {
    tx.exists::<row::PortForwarding>(Query::equal("floating_ip_id", of.to_value()))
}

/// The refusal of what a floating IP with forwardings cannot be asked for.
pub(super) fn in_use(of: &FloatingIpId) -> Error {
    Error::conflict(format!(
        "Floating IP {of} in use by Port Forwarding resources."
    ))
}

/// Whether a floating IP can stand for a guest's address whole.
///
/// # Errors
/// `Conflict` when a forwarding leads there.
pub(super) fn check_free(tx: &Tx<'_>, held: &row::Allocation) -> Result<()> {
    let there = Query::equal("port_id", held.port_id.to_value());
    match tx.exists::<row::PortForwarding>(there.and("address", held.address.to_value()))? {
        false => Ok(()),
        true => Err(Error::conflict(format!(
            "Cannot associate floating IP to port {} because it already has a Port Forwarding binding.",
            held.port_id
        ))),
    }
}

/// Removes the forwardings that lead to addresses which a port no longer holds.
pub(super) fn release(tx: &mut Tx<'_>, port: &PortId, kept: &[IpAddr]) -> Result<()> {
    let all: Vec<row::PortForwarding> = tx.list(&Query::equal("port_id", port.to_value()))?;
    let mut gone = all.iter().filter(|f| !kept.contains(&f.address));
    gone.try_for_each(|f| remove(tx, f))
}

/// The forwardings in a router's document.
pub(crate) fn of_router(tx: &Tx<'_>, id: &RouterId) -> Result<Vec<Forwarding>> {
    let mut found = Vec::new();
    for floating in reached_by(tx, id)? {
        let mut query = Query::equal("floating_ip_id", floating.id.to_value());
        query.order = vec![("external_first", store::Order::Ascending)];
        for row in tx.list::<row::PortForwarding>(&query)? {
            found.push(Forwarding {
                floating: floating.address,
                protocol: protocol(&row.protocol)?.1,
                external: external(&row),
                fixed: row.address,
                internal: internal(&row),
            });
        }
    }
    Ok(found)
}

/// Looks where a forwarding leads, and lets its floating IP be reached by the router between. The
/// caller writes the row.
fn place(
    tx: &mut Tx<'_>,
    caller: &Caller,
    mut floating: row::FloatingIp,
    mut row: row::PortForwarding,
    address: Option<IpAddr>,
) -> Result<row::PortForwarding> {
    list::check_name("description", &row.description)?;
    check_ranges(external(&row), internal(&row))?;
    let view = port::view(tx, bindable(tx, caller, &floating, &row.port_id)?)?;
    let held = address_of(&view, floating.address, address)?;
    row.address = held.address;
    let whole = super::of_ports(tx, vec![row.port_id.to_value()])?;
    if whole.iter().any(|f| f.fixed_address == Some(row.address)) {
        return Err(Error::conflict(format!(
            "Cannot create port forwarding to floating IP {} ({}) with port {} using fixed IP {}, as that port already has a binding floating IP.",
            floating.address, floating.id, row.port_id, row.address
        )));
    }
    let between = router_between(tx, &floating, held).map_err(|e| match e {
        Error::NotFound { .. } => Error::invalid(e.public()),
        e => e,
    })?;
    let elsewhere = floating.router_id.filter(|id| *id != between);
    let mut others: Vec<row::PortForwarding> =
        tx.list(&Query::equal("floating_ip_id", floating.id.to_value()))?;
    others.retain(|other| other.id != row.id);
    if let Some(router) = elsewhere.filter(|_| !others.is_empty()) {
        return Err(Error::invalid(format!(
            "The Floating IP {} had been set on router {router}, the internal Neutron port {} can not reach it",
            floating.id, row.port_id
        )));
    }
    check_collisions(tx, &others, &row)?;
    check_room(tx, &between, &row)?;
    for router in elsewhere.iter().chain([&between]) {
        tx.touch(Key::Router(*router))?;
    }
    floating.router_id = Some(between);
    floating.status = "ACTIVE".into();
    floating.revision += 1;
    floating.updated_ms = now_ms();
    tx.update(&floating)?;
    Ok(row)
}

/// # Errors
/// `Invalid` unless there are as many ports inside as outside, or one for all.
fn check_ranges(external: Ports, internal: Ports) -> Result<()> {
    let (outside, inside) = (
        i32::from(external.1) - i32::from(external.0),
        i32::from(internal.1) - i32::from(internal.0),
    );
    let sound = external.0 > 0 && internal.0 > 0 && outside >= 0;
    match sound && (inside == 0 || inside == outside) {
        true => Ok(()),
        false => Err(Error::invalid(
            "Invalid ranges of internal and/or external ports. The relation between internal and external ports must be N-N or 1-N, of 1 to 65535",
        )),
    }
}

/// # Errors
/// `Invalid` when another forwarding has one of these ports, outside or inside.
fn check_collisions(
    tx: &Tx<'_>,
    others: &[row::PortForwarding],
    row: &row::PortForwarding,
) -> Result<()> {
    let meet = |a: Ports, b: Ports| a.0.max(b.0) <= a.1.min(b.1);
    let refused = |what: &str, a: Ports, b: Ports| {
        Err(Error::invalid(format!(
            "There is a port collision with the {what}. The following ranges collides: {}:{} and {}:{}",
            a.0, a.1, b.0, b.1
        )))
    };
    let mut same = others.iter().filter(|o| o.protocol == row.protocol);
    if let Some(o) = same.find(|o| meet(external(o), external(row))) {
        return refused("external_port_range", external(o), external(row));
    }
    let there = Query::equal("port_id", row.port_id.to_value());
    let there: Vec<row::PortForwarding> = tx.list(&there)?;
    let mut same = there
        .iter()
        .filter(|o| o.id != row.id && (o.address, &o.protocol) == (row.address, &row.protocol));
    match same.find(|o| meet(internal(o), internal(row))) {
        Some(o) => refused("internal_port_range", internal(o), internal(row)),
        None => Ok(()),
    }
}

/// # Errors
/// `Conflict` when a router has all the forwardings that it takes.
fn check_room(tx: &Tx<'_>, router: &RouterId, row: &row::PortForwarding) -> Result<()> {
    let condition = "t.floating_ip_id IN (SELECT f.id FROM floating_ip f WHERE f.router_id = ?)";
    let all = Query::all().matching(condition, vec![router.to_value()]);
    let all: Vec<row::PortForwarding> = tx.list(&all)?;
    let others = all.iter().filter(|other| other.id != row.id);
    match others.chain([row]).map(weight).sum::<u32>() <= MAX_PORTS {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "Router {router} forwards at most {MAX_PORTS} ports; a range whose internal ports are its external ones counts as one"
        ))),
    }
}

fn weight(row: &row::PortForwarding) -> u32 {
    let (first, last) = external(row);
    match external(row) == internal(row) {
        true => 1,
        false => u32::from(last.saturating_sub(first)) + 1,
    }
}

/// Removes a forwarding. A floating IP without any is of no router.
fn remove(tx: &mut Tx<'_>, gone: &row::PortForwarding) -> Result<()> {
    tx.delete::<row::PortForwarding>(&gone.id)?;
    let mut floating: row::FloatingIp = tx.get(&gone.floating_ip_id)?;
    if let Some(router) = floating.router_id {
        tx.touch(Key::Router(router))?;
    }
    if !any(tx, &floating.id)? {
        clear(&mut floating);
    }
    floating.revision += 1;
    floating.updated_ms = now_ms();
    tx.update(&floating)
}

fn find(
    tx: &Tx<'_>,
    caller: &Caller,
    of: &FloatingIpId,
    id: &PortForwardingId,
) -> Result<row::PortForwarding> {
    visible(tx, caller, of)?;
    let found: row::PortForwarding = tx.get(id)?;
    let its = found.floating_ip_id == *of;
    list::seen(its, found, Kind::PortForwarding, id)
}

/// A protocol by what a client calls it: its name and number.
fn protocol(text: &str) -> Result<(&'static str, u8)> {
    let name = text.to_ascii_lowercase();
    let named = |(known, number): &&(&str, u8)| *known == name || number.to_string() == name;
    let found = PROTOCOLS.iter().find(named).copied();
    found.ok_or_else(|| {
        let names = PROTOCOLS.map(|(name, _)| name).join(", ");
        Error::invalid(format!(
            "protocol '{text}' has no ports to forward: use {names}"
        ))
    })
}

fn external(row: &row::PortForwarding) -> Ports {
    (row.external_first, row.external_last)
}

fn internal(row: &row::PortForwarding) -> Ports {
    (row.internal_first, row.internal_last)
}
