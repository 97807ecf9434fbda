//! The whole control plane behind its own HTTPS, driven as clients drive it.
#![allow(clippy::unwrap_used)]

mod address_group;
mod attach;
mod attachment;
mod body;
mod dns;
mod dual;
mod fields;
mod floating_ip;
mod forget;
mod golden;
mod image;
mod image_format;
mod list;
mod look;
mod microversion;
mod node;
mod page;
mod place;
mod port;
mod project;
mod quota;
mod race;
mod router;
mod routes;
mod security_group;
mod server;
mod shape;
mod stranger;
mod subnet;
mod subnet_mode;
mod tag;
mod token;
mod values;
mod volume;
mod world;
