//! What is to be told to others. It is written in the transaction that it tells of and goes when the
//! others have it, so that nothing is lost in between, and what is said again bears the same id.

use model::{MessageId, Result};

use crate::db::Tx;
use crate::field::Field;

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place in the order of all.
    pub number: u64,
    /// The exchange that it is for, such as `nova`.
    pub exchange: String,
    /// Such as `info`.
    pub priority: String,
    pub message_id: MessageId,
    /// The message itself, whole.
    pub message: String,
}

impl Tx<'_> {
    /// Adds a message; its number does not count.
    pub fn put_in_outbox(&mut self, new: Outgoing) -> Result<()> {
        self.posted = true;
        let sql = "INSERT INTO outbox (number, exchange, priority, message_id, message)
                   SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ? FROM outbox";
        let arguments = vec![
            new.exchange.to_value(),
            new.priority.to_value(),
            new.message_id.to_value(),
            new.message.to_value(),
        ];
        self.run(sql, arguments).map(drop)
    }

    /// The oldest messages, at most so many.
    pub fn outbox(&self, limit: u64) -> Result<Vec<Outgoing>> {
        let sql = "SELECT number, exchange, priority, message_id, message FROM outbox ORDER BY number LIMIT ?";
        self.select(sql, vec![limit.to_value()], |found| {
            Ok(Outgoing {
                number: Field::from_column(found.column(0)?)?,
                exchange: Field::from_column(found.column(1)?)?,
                priority: Field::from_column(found.column(2)?)?,
                message_id: Field::from_column(found.column(3)?)?,
                message: Field::from_column(found.column(4)?)?,
            })
        })
    }

    /// How many messages wait.
    pub fn outbox_length(&self) -> Result<u64> {
        let found = self.select("SELECT count(*) FROM outbox", Vec::new(), |found| {
            u64::from_column(found.column(0)?)
        })?;
        Ok(found.first().copied().unwrap_or(0))
    }

    /// Takes the messages up to a number out: others have them.
    pub fn empty_outbox(&mut self, up_to: u64) -> Result<()> {
        let sql = "DELETE FROM outbox WHERE number <= ?";
        self.run(sql, vec![up_to.to_value()]).map(drop)
    }
}
