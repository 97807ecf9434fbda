//! Keystone's notifications, in CADF (DMTF DSP0262), which is keystone's own default. `resource_info` is
//! all that its older format had.

use model::{MessageId, Scope};
use serde_json::{Value, json};
use store::{Row, Touched, row};

use super::{Event, Kind, Service, asked_by};
use crate::time;

const CADF: &[&str] = &[
    "typeURI",
    "eventType",
    "id",
    "eventTime",
    "action",
    "outcome",
    "observer",
    "initiator",
    "target",
];
const OF_RESOURCE: &[&str] = &["resource_info"];
const OF_ASSIGNMENT: &[&str] = &["role", "user", "inherited_to_projects", "project"];

pub(super) const SERVICE: Service = Service {
    exchange: "keystone",
    publisher: "identity",
    common: CADF,
    events: &[
        kind(
            "identity.project.created",
            "a project is there",
            OF_RESOURCE,
        ),
        kind("identity.project.updated", "it changed", OF_RESOURCE),
        kind("identity.project.deleted", "it went", OF_RESOURCE),
        kind("identity.user.created", "a user is there", OF_RESOURCE),
        kind(
            "identity.user.updated",
            "it changed, or its tokens ended",
            OF_RESOURCE,
        ),
        kind("identity.user.deleted", "it went", OF_RESOURCE),
        kind("identity.domain.created", "a domain is there", OF_RESOURCE),
        kind("identity.domain.updated", "it changed", OF_RESOURCE),
        kind("identity.domain.deleted", "it went", OF_RESOURCE),
        kind("identity.role.created", "a role is there", OF_RESOURCE),
        kind("identity.role.updated", "it changed", OF_RESOURCE),
        kind("identity.role.deleted", "it went", OF_RESOURCE),
        kind(
            "identity.role_assignment.created",
            "a user has a role; `domain` is in the place of `project` for one on a domain, and neither for one on the system",
            OF_ASSIGNMENT,
        ),
        kind(
            "identity.role_assignment.deleted",
            "it has it no longer; what goes with a role, a user or a domain is not told",
            OF_ASSIGNMENT,
        ),
    ],
};

const fn kind(
    event_type: &'static str,
    when: &'static str,
    payload: &'static [&'static str],
) -> Kind {
    Kind {
        event_type,
        when,
        payload,
    }
}

/// A resource: what CADF calls it, and what is told of it.
struct Names {
    type_uri: &'static str,
    created: &'static str,
    updated: &'static str,
    deleted: &'static str,
}

const PROJECT: Names = Names {
    type_uri: "data/security/project",
    created: "identity.project.created",
    updated: "identity.project.updated",
    deleted: "identity.project.deleted",
};
const USER: Names = Names {
    type_uri: "data/security/account/user",
    created: "identity.user.created",
    updated: "identity.user.updated",
    deleted: "identity.user.deleted",
};
const DOMAIN: Names = Names {
    type_uri: "data/security/domain",
    created: "identity.domain.created",
    updated: "identity.domain.updated",
    deleted: "identity.domain.deleted",
};
const ROLE: Names = Names {
    type_uri: "data/security/role",
    created: "identity.role.created",
    updated: "identity.role.updated",
    deleted: "identity.role.deleted",
};

pub(super) fn events(row: &Touched) -> Vec<Event> {
    let told = resource(row, &PROJECT, |p: &row::Project| p.id.0.clone())
        .or_else(|| resource(row, &USER, |u: &row::User| u.id.0.clone()))
        .or_else(|| resource(row, &DOMAIN, |d: &row::Domain| d.id.0.clone()))
        .or_else(|| resource(row, &ROLE, |r: &row::Role| r.id.0.clone()))
        .or_else(|| assignment(row));
    told.into_iter().collect()
}

fn resource<R: Row + PartialEq + 'static>(
    row: &Touched,
    names: &Names,
    id: impl Fn(&R) -> String,
) -> Option<Event> {
    let (event_type, id) = match row.row::<R>()? {
        (None, Some(new)) => (names.created, id(new)),
        (Some(old), Some(new)) if old != new => (names.updated, id(new)),
        (Some(old), None) => (names.deleted, id(old)),
        _ => return None,
    };
    let mut payload = cadf(event_type, json!({"typeURI": names.type_uri, "id": id}));
    payload["resource_info"] = json!(id);
    Some(Event::new(event_type, payload))
}

fn assignment(row: &Touched) -> Option<Event> {
    let (event_type, of) = match row.row::<row::Assignment>()? {
        (None, Some(new)) => ("identity.role_assignment.created", new),
        (Some(old), None) => ("identity.role_assignment.deleted", old),
        _ => return None,
    };
    let target = json!({"typeURI": "service/security/account/user", "id": of.user_id});
    let mut payload = cadf(event_type, target);
    payload["role"] = json!(of.role_id);
    payload["user"] = json!(of.user_id);
    payload["inherited_to_projects"] = json!(false);
    if let kind @ ("project" | "domain") = of.target_kind.as_str() {
        payload[kind] = json!(of.target_id);
    }
    Some(Event::new(event_type, payload))
}

/// What each payload has. `identity.project.created` is the action `created.project`.
fn cadf(event_type: &str, target: Value) -> Value {
    let mut words = event_type.split('.').skip(1);
    let (what, done) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    json!({
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventType": "activity",
        "id": MessageId::random(), "eventTime": time::micros(cloud::now_ms()).replace('Z', "+0000"),
        "action": format!("{done}.{what}"), "outcome": "success",
        "observer": {"typeURI": "service/security", "id": "identity"},
        "initiator": initiator(), "target": target,
    })
}

fn initiator() -> Value {
    let mut initiator = json!({"typeURI": "service/security/account/user"});
    if let Some(caller) = asked_by::current() {
        initiator["id"] = json!(caller.user);
        initiator["user_id"] = json!(caller.user);
        initiator["request_id"] = json!(caller.request_id);
        match &caller.scope {
            Scope::Project(id) => initiator["project_id"] = json!(id),
            Scope::Domain(id) => initiator["domain_id"] = json!(id),
            Scope::System | Scope::Unscoped => {}
        }
    }
    initiator
}
