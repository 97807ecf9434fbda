//! QEMU: its command line, its control socket, and whether KVM works here. Starts nothing that
//! lasts; `node::guest` owns the processes.

mod accelerator;
mod hardware;
mod machine;
pub mod qmp;

pub use accelerator::{Accelerator, accelerator, version};
pub use hardware::{HOT_PLUG_PORTS, OVMF_CODE, OVMF_VARIABLES, hot_plug_bus};
pub use machine::{CONSOLE, KERNEL_ARGUMENTS, Kernel, Machine, Nic};
