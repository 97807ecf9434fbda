//! Agents: this cloud has none but its nodes, which do for all networks what neutron's agents do for some.

use model::{Error, Kind, Result};
use serde_json::{Value, json};
use store::row;

use super::{collection, single};
use crate::context::Context;
use crate::reply::Reply;
use crate::time;

const TYPE: &str = "hextet node";

/// By what a list is filtered.
const NAMES: [&str; 5] = ["id", "agent_type", "binary", "host", "alive"];

/// `GET /v2.0/agents`: for others than administrators there are none.
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let mut entries = agents(ctx)?;
    for (name, wanted) in &ctx.query {
        if NAMES.contains(&name.as_str()) {
            entries.retain(|entry| match &entry[name] {
                Value::String(text) => text == wanted,
                Value::Bool(alive) => Ok(*alive) == wanted.to_ascii_lowercase().parse(),
                _ => false,
            });
        }
    }
    collection(ctx, "agents", None, entries)
}

/// `GET /v2.0/agents/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let id = ctx.param("id");
    let found = agents(ctx)?.into_iter().find(|entry| entry["id"] == id);
    let found = found.ok_or_else(|| Error::not_found(Kind::Agent, id))?;
    Ok(Reply::ok(&single(ctx, "agent", found)))
}

fn agents(ctx: &Context) -> Result<Vec<Value>> {
    match ctx.caller.is_admin() {
        true => Ok(ctx.cloud.nodes()?.iter().map(view).collect()),
        false => Ok(Vec::new()),
    }
}

fn view((node, up): &(row::Node, bool)) -> Value {
    json!({
        "id": node.id, "agent_type": TYPE, "binary": "hextet", "host": node.name,
        "availability_zone": cloud::ZONE, "admin_state_up": true, "alive": up,
        "heartbeat_timestamp": time::seconds(node.seen_ms), "configurations": {},
        "description": null, "topic": null,
    })
}
