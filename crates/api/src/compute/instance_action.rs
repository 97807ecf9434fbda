//! What was asked of a server, and what came of it (`os-instance-actions`).

use model::Result;
use serde_json::{Value, json};
use store::row;

use super::server;
use crate::context::Context;
use crate::reply::Reply;
use crate::time;

/// `GET /v2.1/servers/{id}/os-instance-actions`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let actions = ctx
        .cloud
        .list_server_actions(&ctx.caller, &server::id(ctx)?)?;
    let entries: Vec<Value> = actions.iter().map(view).collect();
    Ok(Reply::ok(&json!({"instanceActions": entries})))
}

/// `GET /v2.1/servers/{id}/os-instance-actions/{request}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let action =
        ctx.cloud
            .get_server_action(&ctx.caller, &server::id(ctx)?, ctx.param("request"))?;
    let mut body = view(&action);
    let result = match (action.finish_ms, &action.failure) {
        (None, _) => Value::Null,
        (Some(_), None) => json!("Success"),
        (Some(_), Some(_)) => json!("Error"),
    };
    // Only words that a user may read are kept, so its owner is shown them as well.
    body["events"] = json!([{
        "event": event(&action.action), "start_time": time::bare_micros(action.start_ms),
        "finish_time": action.finish_ms.map(time::bare_micros),
        "result": result, "traceback": action.failure,
    }]);
    Ok(Reply::ok(&json!({"instanceAction": body})))
}

/// `message` is where clients look that show no events.
fn view(action: &row::ServerAction) -> Value {
    json!({
        "action": action.action, "instance_uuid": action.server_id,
        "message": action.failure.as_ref().or(action.note.as_ref()),
        "project_id": action.project_id, "request_id": action.request_id,
        // Nobody asked for what a guest does by itself.
        "user_id": Some(&action.user_id).filter(|user| !user.as_str().is_empty()),
        "start_time": time::bare_micros(action.start_ms),
    })
}

/// The compute API's name for the one thing that each action is.
fn event(action: &str) -> String {
    match action {
        "create" => "compute__do_build_and_run_instance".into(),
        "delete" => "compute_terminate_instance".into(),
        "start" | "stop" | "reboot" => format!("compute_{action}_instance"),
        other => format!("compute_{other}"),
    }
}
