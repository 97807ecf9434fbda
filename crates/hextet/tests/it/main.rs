//! What holds for the program as a whole: real processes, real guests, real clients.
#![allow(clippy::unwrap_used)] // A test that cannot go on should say where.

mod acme;
mod api;
mod arrows;
mod check;
/// The demo's client: a connection that tells when it breaks.
#[allow(dead_code)]
#[path = "../../src/demo/client.rs"]
mod client;
mod cloud_init;
mod crash;
mod doctor;
mod doctor_host;
mod dual;
mod edge;
mod failures;
mod fake;
mod host;
mod names;
mod network;
mod notifications;
mod qos;
mod refusals;
mod servers;
mod volumes;
