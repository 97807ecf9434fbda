//! `docs/notifications.md`, made of the same tables as the notifications.

use std::fmt::Write;

use super::SERVICES;

const HEAD: &str = "# Notifications

With `[notifications]` in the settings hextet tells others what happens, as OpenStack's services do: messages of
oslo.messaging's format 2.0 (`messagingv2`) on a RabbitMQ. README.md says how to set it up.

A notification has a `message_id`, and the same one if it is sent again: that happens when hextet or the broker ends between
taking a message and saying so. Of each service they come in the order in which things happened. `_context_*` is who asked;
what a node reports has nobody. `publisher_id` is `SERVICE.HOST`, for the compute service with the host of the server. Routing
keys are `notifications.info`, and `notifications.error` for event types that end in `.error`.

This page is made from the tables in `crates/api/src/notification`: change it there
(`UPDATE_GOLDEN=1 cargo test -p edge --test it notification`).
";

/// The page, as Markdown.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    for service in SERVICES {
        let common = match service.common {
            [] => String::new(),
            keys => format!(" All payloads have {}.", quoted(keys)),
        };
        let _ = write!(
            out,
            "\n## {}\n\nExchange `{}`.{common}\n\n| event type | when | in its payload |\n|---|---|---|\n",
            service.publisher, service.exchange
        );
        for kind in service.events {
            let own = quoted(kind.payload);
            let _ = writeln!(out, "| `{}` | {} | {own} |", kind.event_type, kind.when);
        }
    }
    out
}

fn quoted(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}
