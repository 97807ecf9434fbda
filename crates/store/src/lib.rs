//! Every SQL statement, and the schema.
//!
//! SQL is written in the words both SQLite and PostgreSQL speak; today SQLite is the one engine.
//! A transaction is a plain closure: statements on SQLite take microseconds, so an `async` face
//! would only cost; the one thing that waits, the commit's fsync, is announced to the runtime.

mod address;
mod change;
mod check;
mod db;
mod dns_domain;
mod field;
mod of_assignment;
mod of_floating_ip;
mod of_group;
mod of_network;
mod of_port;
mod of_qos_policy;
mod of_rbac;
mod of_router;
mod of_server;
mod of_trunk;
mod of_volume;
mod open;
mod outbox;
mod query;
pub mod row;
mod rows;
mod schema;
mod token;
mod usage;
mod watch;

pub use db::{Found, Store, Tx};
pub use field::{Column, ColumnType, Field, Json, Value};
pub use of_assignment::OfAssignment;
pub use of_floating_ip::{OfFloatingIp, ShownPort};
pub use of_group::OfGroup;
pub use of_network::OfNetwork;
pub use of_port::{Carried, OfPort};
pub use of_qos_policy::OfQosPolicy;
pub use of_rbac::Use;
pub use of_server::{Depth, OfServer, Start, What};
pub use of_trunk::OfTrunk;
pub use of_volume::{Attached, OfVolume};
pub use outbox::Outgoing;
pub use query::{Order, Query, value_of};
pub use rows::Row;
pub use usage::Amount;
pub use watch::{Touched, Watched, Watcher};
