//! Who asked for what a transaction does, so that notifications can say so. It is known where a request
//! is answered; transactions of nodes' words have nobody.

use std::future::Future;

use model::{Caller, Scope};
use serde_json::{Map, Value, json};

tokio::task_local! {
    static CALLER: Caller;
}

/// Does work that a caller asked for.
pub(crate) fn within<T>(caller: Caller, work: impl FnOnce() -> T) -> T {
    CALLER.sync_scope(caller, work)
}

/// The same for work that waits.
pub(crate) async fn whole<T>(caller: Caller, work: impl Future<Output = T>) -> T {
    CALLER.scope(caller, work).await
}

/// Who asked for what is being done now.
pub(super) fn current() -> Option<Caller> {
    CALLER.try_with(Caller::clone).ok()
}

/// The caller as oslo.context writes it, without a token.
pub(super) fn context(caller: &Caller) -> Map<String, Value> {
    let (project, domain) = match &caller.scope {
        Scope::Project(id) => (Some(id), None),
        Scope::Domain(id) => (None, Some(id)),
        Scope::System | Scope::Unscoped => (None, None),
    };
    let system = (caller.scope == Scope::System).then_some("all");
    let words = json!({
        "request_id": caller.request_id, "user": caller.user, "user_id": caller.user,
        "project": project, "project_id": project, "tenant": project, "domain": domain,
        "system_scope": system, "roles": caller.roles, "is_admin": caller.is_admin(),
    });
    match words {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
