//! The store as its users see it: rows in, pages out.
#![allow(clippy::unwrap_used)]

mod address;
mod page;
mod version;
