//! What is read and written here, held against the programs that others use for it.
#![allow(clippy::unwrap_used)]

mod iso;
mod qcow2;
