//! `POST /servers/{id}/action`: one object with one key, which names the action.

use cloud::{GroupChange, ServerAction};
use http::StatusCode;
use model::{Error, Reboot, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::server;
use crate::context::Context;
use crate::reply::Reply;
use crate::route::Later;

/// Actions of the compute API that this cloud does not have.
const NOT_YET: [&str; 20] = [
    "pause",
    "unpause",
    "suspend",
    "resume",
    "rebuild",
    "resize",
    "confirmResize",
    "revertResize",
    "rescue",
    "unrescue",
    "shelve",
    "unshelve",
    "shelveOffload",
    "createImage",
    "createBackup",
    "migrate",
    "os-migrateLive",
    "evacuate",
    "restore",
    "changePassword",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteBody {
    remote_console: RemoteConsole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteConsole {
    protocol: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Consoles with a screen.
const CONSOLES: [&str; 4] = [
    "os-getVNCConsole",
    "os-getSPICEConsole",
    "os-getRDPConsole",
    "os-getSerialConsole",
];

/// `POST /v2.1/servers/{id}/action`
pub(super) fn act(ctx: Context) -> Later {
    Box::pin(async move {
        let body: Map<String, Value> = ctx.json()?;
        let mut entries = body.iter();
        let (Some((name, argument)), None) = (entries.next(), entries.next()) else {
            return Err(Error::invalid("the body must hold exactly one action"));
        };
        let id = server::id(&ctx)?;
        let power = match name.as_str() {
            "os-start" => ServerAction::Start,
            "os-stop" => ServerAction::Stop,
            "reboot" => ServerAction::Reboot(reboot(argument)?),
            "os-getConsoleOutput" => return console(&ctx, argument).await,
            "forceDelete" => {
                ctx.cloud.delete_server(&ctx.caller, &id)?;
                return Ok(Reply::empty(StatusCode::ACCEPTED));
            }
            "addSecurityGroup" => return group(&ctx, argument, GroupChange::Add),
            "removeSecurityGroup" => return group(&ctx, argument, GroupChange::Remove),
            "lock" | "unlock" => {
                let lock = name == "lock";
                ctx.cloud.lock_server(&ctx.caller, &id, lock)?;
                return Ok(Reply::empty(StatusCode::ACCEPTED));
            }
            console if CONSOLES.contains(&console) && !ctx.since(6) => {
                ctx.cloud.get_server(&ctx.caller, &id)?;
                return Err(no_console(&argument["type"]));
            }
            "trigger_crash_dump" if ctx.since(17) => {
                ctx.cloud.get_server(&ctx.caller, &id)?;
                return Err(Error::invalid(
                    "A crash of a guest cannot be brought about in this cloud: trigger_crash_dump is not supported",
                ));
            }
            other if NOT_YET.contains(&other) => {
                return Err(Error::invalid(format!(
                    "{other} is not available in this cloud yet"
                )));
            }
            other => return Err(Error::invalid(format!("There is no such action: {other}"))),
        };
        ctx.cloud.act_on_server(&ctx.caller, &id, power)?;
        Ok(Reply::empty(StatusCode::ACCEPTED))
    })
}

fn group(ctx: &Context, argument: &Value, change: GroupChange) -> Result<Reply> {
    let name = argument["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::invalid("Security group name cannot be empty"))?;
    ctx.cloud
        .change_server_group(&ctx.caller, &server::id(ctx)?, name, change)?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// `POST /v2.1/servers/{id}/remote-consoles`, in place of the actions from 2.6.
pub(super) fn remote_console(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<RemoteBody>()?.remote_console;
    ctx.cloud.get_server(&ctx.caller, &server::id(ctx)?)?;
    ctx.caller.require_member()?;
    let known = match wanted.protocol.as_str() {
        "vnc" | "spice" | "rdp" | "serial" => true,
        "mks" => ctx.since(8),
        _ => false,
    };
    if !known {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute protocol: '{}' is no console protocol",
            wanted.protocol
        )));
    }
    Err(no_console(&json!(wanted.kind)))
}

/// Only the serial console's text is offered here.
fn no_console(kind: &Value) -> Error {
    let kind = kind.as_str().unwrap_or_default();
    Error::invalid(format!("Unavailable console type {kind}."))
}

fn reboot(argument: &Value) -> Result<Reboot> {
    match argument["type"]
        .as_str()
        .map(str::to_ascii_uppercase)
        .as_deref()
    {
        Some("SOFT") => Ok(Reboot::Soft),
        Some("HARD") => Ok(Reboot::Hard),
        _ => Err(Error::invalid(
            "Invalid input for field/attribute reboot/type: it must be SOFT or HARD",
        )),
    }
}

async fn console(ctx: &Context, argument: &Value) -> Result<Reply> {
    let lines = match &argument["length"] {
        Value::Null => None,
        Value::Number(n) if n.as_i64() == Some(-1) => None,
        Value::Number(n) if n.as_u64().is_some() => n.as_u64(),
        Value::String(text) => Some(
            text.parse()
                .map_err(|_| Error::invalid("length must be a whole number"))?,
        ),
        other => {
            return Err(Error::invalid(format!(
                "length must be a whole number, not {other}"
            )));
        }
    };
    let lines = lines.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let output = ctx
        .cloud
        .console(&ctx.caller, &server::id(ctx)?, lines)
        .await?;
    Ok(Reply::ok(&json!({"output": output})))
}
