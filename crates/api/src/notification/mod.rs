//! Notifications: what OpenStack's services tell others of, in oslo.messaging's words.
//!
//! Nothing calls this when it changes something. The store tells of each transaction which rows it
//! changed, and each service's file says what that means: what requests do and what nodes report makes
//! notifications in the same way. They are written to the outbox by the transaction they tell of.

pub(crate) mod asked_by;
mod compute;
mod identity;
mod image;
mod network;
mod page;
mod volume;

use model::{MessageId, Result};
use serde_json::{Map, Value, json};
use store::{Outgoing, Touched, Tx, Watched, Watcher, row};

use crate::time;

pub use page::page;

/// The services that notify, each with all it tells of.
pub const SERVICES: [&Service; 5] = [
    &identity::SERVICE,
    &image::SERVICE,
    &compute::SERVICE,
    &network::SERVICE,
    &volume::SERVICE,
];

/// `priority` of notifications, by which consumers choose. What went wrong is told apart.
pub const PRIORITIES: [&str; 2] = ["INFO", "ERROR"];

/// A service that notifies.
#[derive(Debug)]
pub struct Service {
    /// Its `control_exchange`.
    pub exchange: &'static str,
    /// What `publisher_id` begins with.
    pub publisher: &'static str,
    /// The keys that all its payloads have.
    pub common: &'static [&'static str],
    pub events: &'static [Kind],
}

/// A kind of notification.
#[derive(Debug)]
pub struct Kind {
    pub event_type: &'static str,
    /// When it is sent.
    pub when: &'static str,
    /// The keys of its payload beside those that are common.
    pub payload: &'static [&'static str],
}

/// One notification.
struct Event {
    event_type: &'static str,
    payload: Value,
    /// The host it is from, where that is another than the controller's.
    host: Option<String>,
}

impl Event {
    fn new(event_type: &'static str, payload: Value) -> Event {
        Event {
            event_type,
            payload,
            host: None,
        }
    }

    fn priority(&self) -> &'static str {
        match self.event_type.ends_with(".error") {
            true => PRIORITIES[1],
            false => PRIORITIES[0],
        }
    }
}

/// Writes notifications to the outbox.
pub struct Notifier {
    /// The controller's name in `publisher_id`.
    host: String,
    /// The URL of the catalog.
    url: String,
    tables: Vec<Watched>,
}

impl Notifier {
    /// One for a controller with this host name and this URL of its catalog.
    pub fn new(host: String, url: String) -> Notifier {
        let tables = vec![
            Watched::of::<row::Project>(),
            Watched::of::<row::User>(),
            Watched::of::<row::Domain>(),
            Watched::of::<row::Role>(),
            Watched::of::<row::Assignment>(),
            Watched::of::<row::Image>(),
            Watched::of::<row::Server>(),
            Watched::of::<row::Attachment>(),
            Watched::of::<row::Volume>(),
            Watched::of::<row::Network>(),
            Watched::of::<row::Subnet>(),
            Watched::of::<row::Port>(),
            Watched::of::<row::Allocation>(),
            Watched::of::<row::Router>(),
            Watched::of::<row::FloatingIp>(),
            Watched::of::<row::SecurityGroup>(),
            Watched::of::<row::Rule>(),
        ];
        Notifier { host, url, tables }
    }

    fn tell(&self, tx: &mut Tx<'_>, service: &Service, events: Vec<Event>) -> Result<()> {
        for event in events {
            let message_id = MessageId::random();
            let publisher = event.host.as_deref().unwrap_or(&self.host);
            let message = json!({
                "message_id": message_id,
                "publisher_id": format!("{}.{publisher}", service.publisher),
                "event_type": event.event_type,
                "priority": event.priority(),
                "payload": event.payload,
                "timestamp": time::bare_micros(cloud::now_ms()).replace('T', " "),
            });
            tx.put_in_outbox(Outgoing {
                number: 0,
                exchange: service.exchange.to_owned(),
                priority: event.priority().to_ascii_lowercase(),
                message_id,
                message: envelope(message, message_id, &context()),
            })?;
        }
        Ok(())
    }
}

impl Watcher for Notifier {
    fn tables(&self) -> &[Watched] {
        &self.tables
    }

    fn changed(&self, tx: &mut Tx<'_>, rows: &[Touched]) -> Result<()> {
        for row in rows {
            let events = identity::events(row);
            self.tell(tx, &identity::SERVICE, events)?;
            let events = image::events(row);
            self.tell(tx, &image::SERVICE, events)?;
            let events = compute::events(tx, row, &self.url)?;
            self.tell(tx, &compute::SERVICE, events)?;
            let events = network::events(tx, row, rows)?;
            self.tell(tx, &network::SERVICE, events)?;
            let events = volume::events(tx, row)?;
            self.tell(tx, &volume::SERVICE, events)?;
        }
        Ok(())
    }
}

fn context() -> Map<String, Value> {
    asked_by::current().map_or_else(Map::new, |caller| asked_by::context(&caller))
}

/// oslo.messaging's envelope of version 2.0. `_unique_id` lets its consumers drop what they had a moment
/// ago: it is the message's id, so that one that is sent again is the same.
fn envelope(message: Value, id: MessageId, context: &Map<String, Value>) -> String {
    let mut message = message;
    message["_unique_id"] = json!(id.to_string().replace('-', ""));
    for (key, value) in context {
        message[format!("_context_{key}")] = value.clone();
    }
    json!({"oslo.version": "2.0", "oslo.message": message.to_string()}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_what_oslo_messaging_writes() {
        let id: MessageId = "0a4d2f7e-9c11-4b0e-9b1c-6a5b1f9e0f7c".parse().unwrap();
        let message = json!({"message_id": id, "payload": {"a": 1}});
        let context = Map::from_iter([("user".to_owned(), json!("u"))]);
        let expected = concat!(
            r#"{"oslo.message":"{\"_context_user\":\"u\",\"_unique_id\":\"0a4d2f7e9c114b0e9b1c6a5b1f9e0f7c\","#,
            r#"\"message_id\":\"0a4d2f7e-9c11-4b0e-9b1c-6a5b1f9e0f7c\",\"payload\":{\"a\":1}}","oslo.version":"2.0"}"#
        );
        assert_eq!(envelope(message, id, &context), expected);
    }

    #[test]
    fn each_kind_is_of_one_service() {
        let all = SERVICES.iter().flat_map(|s| s.events);
        let mut names: Vec<_> = all.map(|kind| kind.event_type).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
