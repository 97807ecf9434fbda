//! Keypairs. Private keys are never seen here: the public half is imported.

use cloud::NewKeypair;
use http::StatusCode;
use model::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

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
}

/// `GET /v2.1/os-keypairs`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let keypairs = ctx.cloud.list_keypairs(&ctx.caller, &ctx.page(&[])?)?;
    let entries: Vec<Value> = keypairs
        .iter()
        .map(|k| json!({"keypair": short(k)}))
        .collect();
    Ok(Reply::ok(&json!({"keypairs": entries})))
}

/// `GET /v2.1/os-keypairs/{name}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let keypair = ctx.cloud.get_keypair(&ctx.caller, ctx.param("name"))?;
    let mut view = short(&keypair);
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
    let public_key = wanted.public_key.ok_or_else(|| {
        Error::invalid("public_key is missing: make the key pair yourself (ssh-keygen does) and import its public half, so that the private one never leaves you")
    })?;
    let keypair = ctx.cloud.create_keypair(
        &ctx.caller,
        &NewKeypair {
            name: wanted.name,
            public_key,
        },
    )?;
    let mut view = short(&keypair);
    view["user_id"] = json!(keypair.user_id);
    Ok(Reply::ok(&json!({"keypair": view})))
}

/// `DELETE /v2.1/os-keypairs/{name}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_keypair(&ctx.caller, ctx.param("name"))?;
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

fn short(keypair: &row::Keypair) -> Value {
    json!({"name": keypair.name, "public_key": keypair.public_key, "fingerprint": keypair.fingerprint})
}
