//! QEMU: its command line, its control socket, and whether KVM works here. Starts nothing that
//! lasts; `node::guest` owns the processes.

mod accelerator;
mod machine;
pub mod qmp;

pub use accelerator::{Accelerator, accelerator, version};
pub use machine::{CONSOLE, KERNEL_ARGUMENTS, Kernel, Machine, Nic};
