//! Wrong configurations and what is found in them, the pages, and the rules of oslo.config.

#![allow(clippy::unwrap_used)]

mod cases;
mod certificates;
mod dir;
mod host;
mod oslo;
mod pages;
mod strange;
