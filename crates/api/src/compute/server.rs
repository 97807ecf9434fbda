//! Servers.

use std::net::IpAddr;

use cloud::{Depth, NamePattern, Page, ServerFilter, ServerTagFilter, ServerUpdate};
use model::{Error, Kind, Result, ServerId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::row;

use super::security_group;
use super::server_create::{self, CreateBody, access};
use super::server_view::{by_network, links, shows_start, view};
use crate::context::Context;
use crate::json::nullable;
use crate::page::Names;
use crate::reply::Reply;
use crate::time;

const FILTERS: Names = &[
    ("name", "name"),
    ("display_name", "name"),
    ("status", "status"),
    ("image", "image_id"),
    ("uuid", "id"),
    ("user_id", "user_id"),
    ("project_id", "project_id"),
    ("tenant_id", "project_id"),
    ("key_name", "key_name"),
    ("availability_zone", "availability_zone"),
    ("task_state", "task_state"),
    ("created_at", "created_ms"),
    ("updated_at", "updated_ms"),
    ("flavor", "flavor_id"),
    ("reservation_id", "reservation_id"),
    ("launch_index", "launch_index"),
    ("config_drive", "config_drive"),
];

/// The statuses behind each of the compute API's vm states.
const VM_STATES: [(&str, &[&str]); 4] = [
    ("active", &["ACTIVE", "REBOOT", "HARD_REBOOT"]),
    ("stopped", &["SHUTOFF"]),
    ("error", &["ERROR"]),
    ("building", &["BUILD"]),
];

/// Filters that the compute API has and this cloud does not: an answer that passed over them would
/// list servers that were not asked for.
const NOT_YET: [&str; 3] = ["power_state", "changes-before", "locked"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    server: Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(rename = "accessIPv4")]
    access_v4: Option<String>,
    #[serde(rename = "accessIPv6")]
    access_v6: Option<String>,
    #[serde(rename = "OS-DCF:diskConfig")]
    _disk_config: Option<String>,
}

/// `GET /v2.1/servers`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let Some(asked) = asked(ctx)? else {
        return Ok(none());
    };
    let (page, filter) = (&asked.page, &asked.filter);
    let servers = ctx
        .cloud
        .list_server_names(&ctx.caller, page, filter, asked.all_projects)?;
    let entry = |s: row::ServerName| {
        let links = links(ctx, "servers", &s.id.to_string());
        (s.id, json!({"id": s.id, "name": s.name, "links": links}))
    };
    let entries = servers.into_iter().map(entry).collect();
    Ok(listed(ctx, page, entries))
}

/// `GET /v2.1/servers/detail`
pub(super) fn detail(ctx: &Context) -> Result<Reply> {
    let Some(asked) = asked(ctx)? else {
        return Ok(none());
    };
    let (page, filter) = (&asked.page, &asked.filter);
    let depth = match shows_start(ctx) {
        true => Depth::WithStart,
        false => Depth::Usual,
    };
    let servers = ctx
        .cloud
        .list_servers(&ctx.caller, page, filter, asked.all_projects, depth)?;
    let entries = servers.iter().map(|s| (s.server.id, view(ctx, s)));
    Ok(listed(ctx, page, entries.collect()))
}

fn none() -> Reply {
    Reply::ok(&json!({"servers": []}))
}

/// `GET /v2.1/servers/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    Ok(Reply::ok(&json!({"server": view(ctx, &server)})))
}

/// `POST /v2.1/servers`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let body = ctx.json::<CreateBody>()?;
    let reservation = body.server.return_reservation_id == Some(true);
    let new = server_create::check(ctx, body.server, body.hints.unwrap_or_default())?;
    let made = ctx.cloud.create_servers(&ctx.caller, &new)?;
    let first = made
        .first()
        .ok_or_else(|| Error::invalid("min_count must be at least 1"))?;
    if reservation {
        let id = &first.reservation_id;
        return Ok(Reply::accepted(&json!({"reservation_id": id})));
    }
    let id = first.id.to_string();
    let groups: Vec<Value> = match new.security_groups.is_empty() {
        true => vec![json!({"name": "default"})],
        false => new
            .security_groups
            .iter()
            .map(|g| json!({"name": g}))
            .collect(),
    };
    let body = json!({"server": {
        "id": id, "links": links(ctx, "servers", &id), "security_groups": groups,
        "OS-DCF:diskConfig": "MANUAL",
    }});
    let location = format!("{}/compute/v2.1/servers/{id}", ctx.cloud.settings().url);
    Ok(Reply::accepted(&body).with("location", &location))
}

/// `PUT /v2.1/servers/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<UpdateBody>()?.server;
    let (v4, v6) = access(wanted.access_v4.as_deref(), wanted.access_v6.as_deref())?;
    if wanted.description.is_some() && !ctx.since(19) {
        return Err(server_create::unexpected("description"));
    }
    let update = ServerUpdate {
        name: wanted.name,
        description: wanted.description,
        access_v4: wanted.access_v4.map(|_| v4),
        access_v6: wanted.access_v6.map(|_| v6),
    };
    let server = ctx
        .cloud
        .update_server(&ctx.caller, &ctx.id("id", Kind::Server)?, &update)?;
    Ok(Reply::ok(&json!({"server": view(ctx, &server)})))
}

/// `DELETE /v2.1/servers/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    Ok(Reply::no_content())
}

/// `GET /v2.1/servers/{id}/ips`
pub(super) fn addresses(ctx: &Context) -> Result<Reply> {
    let server = ctx
        .cloud
        .get_server(&ctx.caller, &ctx.id("id", Kind::Server)?)?;
    Ok(Reply::ok(&json!({"addresses": by_network(&server, true)})))
}

/// `GET /v2.1/servers/{id}/os-security-groups`
pub(super) fn security_groups(ctx: &Context) -> Result<Reply> {
    let found = ctx.cloud.server_security_groups(&ctx.caller, &id(ctx)?)?;
    let groups = security_group::views(ctx, &found)?;
    Ok(Reply::ok(&json!({"security_groups": groups})))
}

/// `GET /v2.1/servers/{id}/migrations`: servers stay where they are.
pub(super) fn migrations(ctx: &Context) -> Result<Reply> {
    ctx.cloud.get_server(&ctx.caller, &id(ctx)?)?;
    ctx.caller.require_admin()?;
    Ok(Reply::ok(&json!({"migrations": []})))
}

/// A server's id in a path.
pub(super) fn id(ctx: &Context) -> Result<ServerId> {
    ctx.id("id", Kind::Server)
}

/// What a list of servers asks for.
struct Asked {
    page: Page,
    filter: ServerFilter,
    all_projects: bool,
}

/// What the query asks for; `None` when no server can match.
fn asked(ctx: &Context) -> Result<Option<Asked>> {
    let all = ctx
        .query("all_tenants")
        .is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"));
    let mut page = ctx.page(FILTERS)?;
    if let Some(values) = page.take("status") {
        page.filters.push((
            "status".into(),
            values.iter().map(|v| v.to_ascii_uppercase()).collect(),
        ));
    }
    if let Some((name, _)) = ctx
        .query
        .iter()
        .find(|(n, v)| NOT_YET.contains(&n.as_str()) && !v.is_empty())
    {
        return Err(Error::invalid(format!(
            "servers cannot be filtered by {name} in this cloud yet"
        )));
    }
    // As a filter it is a pattern, which `ServerFilter` holds.
    page.take("name");
    if let Some(state) = ctx.query("vm_state") {
        let known = VM_STATES.iter().find(|(name, _)| *name == state);
        let statuses = known.map_or(&[][..], |(_, statuses)| statuses);
        page.filters.push((
            "status".into(),
            statuses.iter().map(|s| (*s).to_owned()).collect(),
        ));
    }
    let filter = ServerFilter {
        name: ctx
            .query("name")
            .or(ctx.query("display_name"))
            .map(name_pattern)
            .transpose()?,
        addresses: held_addresses(ctx)?,
        node: ctx.query("host").or(ctx.query("node")).map(str::to_owned),
        tags: tags(ctx)?,
        changed_since_ms: ctx.query("changes-since").map(moment).transpose()?,
    };
    if ctx
        .query("deleted")
        .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "true"))
    {
        // Deleted servers leave no record, so none matches.
        return Ok(None);
    }
    Ok(Some(Asked {
        page,
        filter,
        all_projects: all,
    }))
}

/// One page, with the way to the next.
fn listed(ctx: &Context, page: &Page, entries: Vec<(ServerId, Value)>) -> Reply {
    let mut body = Map::new();
    if let (Some(limit), Some((last, _))) = (page.limit, entries.last())
        && entries.len() as u64 >= limit
    {
        let path = format!("{}{}", ctx.cloud.settings().url, ctx.path);
        let next = ctx.next_page(&path, &last.to_string());
        body.insert(
            "servers_links".into(),
            json!([{"rel": "next", "href": next}]),
        );
    }
    let servers = entries.into_iter().map(|(_, entry)| entry).collect();
    body.insert("servers".into(), servers);
    Reply::ok(&Value::Object(body))
}

/// The most tags that servers can be looked for by, as many as a server can have.
const MAX_TAGS: usize = 50;

/// Filters by tags, each a list between commas; before 2.26 they are passed over.
fn tags(ctx: &Context) -> Result<ServerTagFilter> {
    let named = |name: &str| -> Vec<String> {
        let text = ctx
            .query(name)
            .filter(|_| ctx.since(26))
            .unwrap_or_default();
        cloud::split_tags(text)
    };
    let filter = ServerTagFilter {
        all: named("tags"),
        any: named("tags-any"),
        not_all: named("not-tags"),
        none: named("not-tags-any"),
    };
    let lists = [&filter.all, &filter.any, &filter.not_all, &filter.none];
    match lists.iter().map(|tags| tags.len()).sum::<usize>() > MAX_TAGS {
        true => Err(Error::invalid(format!(
            "servers can be looked for by at most {MAX_TAGS} tags at once"
        ))),
        false => Ok(filter),
    }
}

fn moment(text: &str) -> Result<i64> {
    time::parse(text).ok_or_else(|| {
        Error::invalid(format!(
            "Invalid input for field/attribute changes-since: '{text}' is no moment of ISO 8601"
        ))
    })
}

/// The compute API takes a regular expression; of those, plain text with `^` and `$` at its ends.
fn name_pattern(text: &str) -> Result<NamePattern> {
    let (begins, rest) = text
        .strip_prefix('^')
        .map_or((false, text), |rest| (true, rest));
    let (ends, plain) = rest
        .strip_suffix('$')
        .map_or((false, rest), |rest| (true, rest));
    if plain.contains([
        '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\',
    ]) {
        return Err(Error::invalid(format!(
            "name '{text}': of regular expressions, only ^ and $ are available in this cloud"
        )));
    }
    Ok(NamePattern {
        text: plain.to_owned(),
        begins,
        ends,
    })
}

/// The compute API takes a part of an address, or a regular expression; of those, whole addresses.
fn held_addresses(ctx: &Context) -> Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for (name, version, v4) in [("ip", 4, true), ("ip6", 6, false)] {
        let Some(text) = ctx.query(name) else {
            continue;
        };
        let address = model::parse_ip(text).filter(|a| a.is_ipv4() == v4);
        found.push(address.ok_or_else(|| {
            Error::invalid(format!(
                "{name} '{text}' must be a whole IPv{version} address"
            ))
        })?);
    }
    Ok(found)
}
