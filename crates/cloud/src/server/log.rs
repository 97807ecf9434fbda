//! What was asked of servers, and what came of it (`os-instance-actions`).

use model::{AttachmentId, Caller, Ended, Error, GuestEnd, Kind, Result, ServerId};
use store::{Field, Order, Query, Tx, Value, row};

use super::visible;
use crate::list::MAX_PAGE;
use crate::{Cloud, now_ms};

impl Cloud {
    /// The newest of what was asked of a server, newest first.
    pub fn list_server_actions(
        &self,
        caller: &Caller,
        id: &ServerId,
    ) -> Result<Vec<row::ServerAction>> {
        self.store().read(|tx| {
            let server = visible(tx, caller, id)?;
            let mut query = Query::equal("server_id", server.id.to_value());
            query.order.push(("start_ms", Order::Descending));
            query.limit = Some(MAX_PAGE);
            tx.list(&query)
        })
    }

    /// What one request asked of a server.
    pub fn get_server_action(
        &self,
        caller: &Caller,
        id: &ServerId,
        request: &str,
    ) -> Result<row::ServerAction> {
        self.store().read(|tx| {
            let server = visible(tx, caller, id)?;
            let found = tx.find(Value::Text(key(&server.id, request)))?;
            found.ok_or_else(|| Error::not_found(Kind::ServerAction, request))
        })
    }
}

/// Writes down what a request asks of a server.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &ServerId,
    action: &str,
    attachment_id: Option<AttachmentId>,
) -> Result<()> {
    let id = key(server, &caller.request_id);
    // What is asked twice in one request is one thing.
    if tx
        .find::<row::ServerAction>(Value::Text(id.clone()))?
        .is_some()
    {
        return Ok(());
    }
    tx.insert(&row::ServerAction {
        id,
        server_id: *server,
        request_id: caller.request_id.clone(),
        user_id: caller.user.clone(),
        project_id: match &caller.scope {
            model::Scope::Project(project) => project.clone(),
            _ => "".into(),
        },
        action: action.to_owned(),
        attachment_id,
        start_ms: now_ms(),
        finish_ms: None,
        failure: None,
        note: None,
    })
}

/// Writes down that a guest ended by itself, as nova does: a stop that no user asked for.
pub(super) fn ended(tx: &mut Tx<'_>, server: &row::Server, end: &GuestEnd) -> Result<()> {
    let request_id = format!("req-{}", ServerId::random());
    let sentence = sentence(&end.how);
    let (failure, note) = match end.how {
        Ended::PoweredOff => (None, Some(sentence)),
        _ => (Some(sentence), None),
    };
    tx.insert(&row::ServerAction {
        id: key(&server.id, &request_id),
        server_id: server.id,
        request_id,
        user_id: "".into(),
        project_id: server.project_id.clone(),
        action: "stop".to_owned(),
        attachment_id: None,
        start_ms: end.ended_ms,
        finish_ms: Some(end.ended_ms),
        failure,
        note,
    })
}

fn sentence(how: &Ended) -> String {
    const AGAIN: &str = "It stays off until it is started.";
    match how {
        Ended::PoweredOff => format!("The guest powered itself off. {AGAIN}"),
        Ended::Signal(signal) => format!(
            "The guest's process was ended by signal {}. {AGAIN}",
            signal_name(*signal)
        ),
        Ended::Exit(code) => format!("The guest's process exited with status {code}. {AGAIN}"),
        Ended::Unknown => {
            format!("The guest's process ended, and nobody saw by what. {AGAIN}")
        }
    }
}

/// The signals that end a process unasked, as signal(7) names them.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

/// Once nothing is being done with a server, what was asked of it is finished.
pub(super) fn settle(tx: &mut Tx<'_>, server: &row::Server) -> Result<()> {
    if server.task_state.is_some() {
        return Ok(());
    }
    let guest = server.seen.0.as_ref();
    let failure = match server.status.as_str() {
        "ERROR" => server
            .fault
            .clone()
            .or(guest.and_then(|g| g.failure.clone())),
        // It runs, but not with all it should have.
        _ => guest.and_then(|g| g.attachments.iter().find_map(|a| a.failure.clone())),
    };
    for mut action in open(tx, &server.id)? {
        if action.attachment_id.is_none() {
            finish(tx, &mut action, failure.as_deref())?;
        }
    }
    Ok(())
}

/// An attachment came to be, went, or could not be.
pub(crate) fn finish_attachment(
    tx: &mut Tx<'_>,
    attachment: &row::Attachment,
    failure: Option<&str>,
) -> Result<()> {
    let mut mine = open(tx, &attachment.server_id)?;
    mine.retain(|action| action.attachment_id == Some(attachment.id));
    if let (true, Some(_)) = (mine.is_empty(), failure) {
        // It was asked for with its server.
        let created = Query::equal("server_id", attachment.server_id.to_value())
            .and("action", Value::Text("create".into()));
        mine = tx.list(&created)?;
    }
    mine.iter_mut()
        .try_for_each(|action| finish(tx, action, failure))
}

fn finish(tx: &mut Tx<'_>, action: &mut row::ServerAction, failure: Option<&str>) -> Result<()> {
    action.finish_ms = Some(now_ms());
    action.failure = failure.map(str::to_owned);
    tx.update(action)
}

fn open(tx: &Tx<'_>, server: &ServerId) -> Result<Vec<row::ServerAction>> {
    tx.list(&Query::equal("server_id", server.to_value()).and("finish_ms", Value::Null))
}

fn key(server: &ServerId, request: &str) -> String {
    format!("{server}/{request}")
}
