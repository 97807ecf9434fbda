//! Keypairs. Private keys are never seen here: the public half is imported.

use cloud::NewKeypair;
use http::StatusCode;
use model::{Error, Result, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::server_create::unexpected;
use crate::context::Context;
use crate::reply::Reply;
use crate::time;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    keypair: Create,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    public_key: Option<String>,
    /// From 2.2.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// From 2.10.
    user_id: Option<String>,
}

/// `GET /v2.1/os-keypairs`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let keypairs = ctx
        .cloud
        .list_keypairs(&ctx.caller, owner(ctx).as_ref(), &ctx.page(&[])?)?;
    let entries: Vec<Value> = keypairs
        .iter()
        .map(|k| json!({"keypair": short(ctx, k)}))
        .collect();
    Ok(Reply::ok(&json!({"keypairs": entries})))
}

/// `GET /v2.1/os-keypairs/{name}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let keypair = ctx
        .cloud
        .get_keypair(&ctx.caller, owner(ctx).as_ref(), ctx.param("name"))?;
    let mut view = short(ctx, &keypair);
    view["user_id"] = json!(keypair.user_id);
    view["id"] = json!(1);
    view["created_at"] = json!(time::bare_micros(keypair.created_ms));
    view["updated_at"] = Value::Null;
    view["deleted"] = json!(false);
    view["deleted_at"] = Value::Null;
    Ok(Reply::ok(&json!({"keypair": view})))
}

/// `POST /v2.1/os-keypairs`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let wanted = ctx.json::<Body>()?.keypair;
    for (field, given, minor) in [
        ("type", wanted.kind.is_some(), 2),
        ("user_id", wanted.user_id.is_some(), 10),
    ] {
        if given && !ctx.since(minor) {
            return Err(unexpected(field));
        }
    }
    match wanted.kind.as_deref() {
        None | Some("ssh") => {}
        Some("x509") => {
            return Err(Error::invalid(
                "type x509 is not available in this cloud: its guests take ssh keys",
            ));
        }
        Some(other) => {
            return Err(Error::invalid(format!(
                "Invalid input for field/attribute type: '{other}' is not ssh"
            )));
        }
    }
    let public_key = wanted.public_key.ok_or_else(|| {
        Error::invalid("public_key is missing: make the key pair yourself (ssh-keygen does) and import its public half, so that the private one never leaves you")
    })?;
    let keypair = ctx.cloud.create_keypair(
        &ctx.caller,
        &NewKeypair {
            owner: wanted.user_id.map(UserId),
            name: wanted.name,
            public_key,
        },
    )?;
    let mut view = short(ctx, &keypair);
    view["user_id"] = json!(keypair.user_id);
    let body = json!({"keypair": view});
    Ok(match ctx.since(2) {
        true => Reply::created(&body),
        false => Reply::ok(&body),
    })
}

/// `DELETE /v2.1/os-keypairs/{name}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud
        .delete_keypair(&ctx.caller, owner(ctx).as_ref(), ctx.param("name"))?;
    Ok(match ctx.since(2) {
        true => Reply::no_content(),
        false => Reply::empty(StatusCode::ACCEPTED),
    })
}

/// Whose keys `user_id` names, from 2.10; before, it is passed over.
fn owner(ctx: &Context) -> Option<UserId> {
    let named = ctx.query("user_id").filter(|_| ctx.since(10));
    named.map(|user| UserId(user.to_owned()))
}

fn short(ctx: &Context, keypair: &row::Keypair) -> Value {
    let mut view = json!({
        "name": keypair.name, "public_key": keypair.public_key, "fingerprint": keypair.fingerprint,
    });
    if ctx.since(2) {
        view["type"] = json!(keypair.kind);
    }
    view
}
