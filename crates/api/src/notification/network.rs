//! Neutron's notifications. A payload is what the API shows an administrator; of what went it is the id.

use cloud::told;
use model::Result;
use serde_json::{Value, json};
use store::{Row, Touched, Tx, Value as Column, row};

use super::{Event, Kind, Service};
use crate::network::{floating_ip, networks, port, router, security_group, subnet};

const LEG: &[&str] = &["router_interface"];

macro_rules! kinds {
    ($($name:literal, $what:literal;)*) => {
        &[$(
            Kind { event_type: concat!($name, ".create.end"), when: concat!($what, " is there"), payload: &[$name] },
            Kind { event_type: concat!($name, ".update.end"), when: "it changed; what nodes report is no change", payload: &[$name] },
            Kind { event_type: concat!($name, ".delete.end"), when: "it went", payload: &[concat!($name, "_id")] },
        )*
            Kind { event_type: "security_group_rule.create.end", when: "a rule is there; those that come with their group are told of with it", payload: &["security_group_rule"] },
            Kind { event_type: "security_group_rule.delete.end", when: "it went; those that go with their group are not told of", payload: &["security_group_rule_id"] },
            Kind { event_type: "router.interface.create", when: "a router has a leg in a subnet", payload: LEG },
            Kind { event_type: "router.interface.delete", when: "the leg went", payload: LEG },
        ]
    };
}

pub(super) const SERVICE: Service = Service {
    exchange: "neutron",
    publisher: "network",
    common: &[],
    events: kinds! {
        "network", "a network";
        "subnet", "a subnet";
        "port", "a port of a user's or a server's";
        "router", "a router";
        "floatingip", "a floating IP";
        "security_group", "a security group";
    },
};

/// What is told of a resource.
struct Names {
    resource: &'static str,
    created: &'static str,
    updated: &'static str,
    deleted: &'static str,
}

macro_rules! names {
    ($name:literal) => {
        Names {
            resource: $name,
            created: concat!($name, ".create.end"),
            updated: concat!($name, ".update.end"),
            deleted: concat!($name, ".delete.end"),
        }
    };
}

/// `rows` is all that the transaction changed.
pub(super) fn events(tx: &Tx<'_>, row: &Touched, rows: &[Touched]) -> Result<Vec<Event>> {
    if comes_with_its_group(row, rows) {
        return Ok(Vec::new());
    }
    let caller = told::everybody();
    let each = [
        of(
            row,
            names!("network"),
            |r: &row::Network| r.revision,
            |r| Ok(networks::view(&caller, &told::network(tx, r)?)),
        )?,
        of(
            row,
            names!("subnet"),
            |r: &row::Subnet| r.revision,
            |r| Ok(subnet::view(&told::subnet(tx, r)?)),
        )?,
        of(
            row,
            names!("router"),
            |r: &row::Router| r.revision,
            |r| Ok(router::view(&told::router(tx, r)?)),
        )?,
        of(
            row,
            names!("floatingip"),
            |r: &row::FloatingIp| r.revision,
            |r| Ok(floating_ip::view(&told::floating_ip(tx, r)?)),
        )?,
        of(
            row,
            names!("security_group"),
            |r: &row::SecurityGroup| r.revision,
            |r| Ok(security_group::view(&told::security_group(tx, r)?)),
        )?,
        of(
            row,
            names!("security_group_rule"),
            |_: &row::Rule| 0,
            |r| Ok(security_group::rule_view(&r)),
        )?,
    ];
    match each.into_iter().flatten().next() {
        Some(event) => Ok(vec![event]),
        None => ports(tx, row, rows),
    }
}

/// A new group's rules are told of with it.
fn comes_with_its_group(row: &Touched, rows: &[Touched]) -> bool {
    let Some((None, Some(rule))) = row.row::<row::Rule>() else {
        return false;
    };
    rows.iter().any(|other| {
        let group = other.row::<row::SecurityGroup>();
        matches!(group, Some((None, Some(group))) if group.id == rule.security_group_id)
    })
}

fn of<R: Row + Clone + 'static>(
    row: &Touched,
    names: Names,
    revision: impl Fn(&R) -> u64,
    view: impl Fn(R) -> Result<Value>,
) -> Result<Option<Event>> {
    let event_type = match row.row::<R>() {
        Some((None, Some(_))) => names.created,
        Some((Some(old), Some(new))) if revision(old) != revision(new) => names.updated,
        Some((Some(old), None)) => {
            let id = format!("{}_id", names.resource);
            return Ok(Some(Event::new(names.deleted, json!({id: key(old)}))));
        }
        _ => return Ok(None),
    };
    let Some((_, Some(new))) = row.row::<R>() else {
        return Ok(None);
    };
    let payload = json!({names.resource: view(new.clone())?});
    Ok(Some(Event::new(event_type, payload)))
}

fn key<R: Row>(row: &R) -> Value {
    match row.values().swap_remove(0) {
        Column::Text(id) => json!(id),
        _ => Value::Null,
    }
}

/// Ports of the cloud's own are not told of, as in neutron; those that are a router's leg are told as such.
fn ports(tx: &Tx<'_>, row: &Touched, rows: &[Touched]) -> Result<Vec<Event>> {
    let Some((old, new)) = row.row::<row::Port>() else {
        return Ok(Vec::new());
    };
    let mut events = Vec::new();
    let own = |port: &&row::Port| port.device_owner.starts_with("network:");
    if new.or(old).is_some_and(|port| !own(&port)) {
        let told = of(
            row,
            names!("port"),
            |r: &row::Port| r.revision,
            |r| Ok(port::view(&told::everybody(), &told::port(tx, r)?)),
        )?;
        events.extend(told);
    }
    let leg = |port: &&row::Port| port.device_owner == "network:router_interface";
    let told = match (old.filter(leg), new.filter(leg)) {
        (None, Some(leg)) => Some(("router.interface.create", leg)),
        (Some(leg), None) => Some(("router.interface.delete", leg)),
        _ => None,
    };
    events.extend(told.map(|(event_type, leg)| Event::new(event_type, interface(leg, rows))));
    Ok(events)
}

fn interface(leg: &row::Port, rows: &[Touched]) -> Value {
    // A leg gets its addresses and loses them in the transaction that makes or takes it.
    let held = rows.iter().filter_map(|row| {
        let (old, new) = row.row::<row::Allocation>()?;
        new.or(old).filter(|held| held.port_id == leg.id)
    });
    let mut subnets: Vec<_> = held.map(|held| held.subnet_id).collect();
    subnets.sort();
    subnets.dedup();
    json!({"router_interface": {
        "id": leg.device_id, "tenant_id": leg.project_id, "project_id": leg.project_id, "port_id": leg.id,
        "network_id": leg.network_id, "subnet_id": subnets.first(), "subnet_ids": subnets,
    }})
}
