//! What holds for the program as a whole: real processes, real guests, real clients.
#![allow(clippy::unwrap_used)] // A test that cannot go on should say where.

mod arrows;
mod check;
mod cloud_init;
mod dual;
mod fake;
mod host;
mod refusals;
mod servers;
mod volumes;
