//! QEMU: its command line, its control socket, and whether KVM works here. Starts nothing that
//! lasts; `node::guest` owns the processes.

mod accelerator;
mod hardware;
mod machine;
mod plug;
pub mod qmp;
mod volume;

pub use accelerator::{Accelerator, accelerator, version};
pub use hardware::{HOT_PLUG_PORTS, OVMF_CODE, OVMF_VARIABLES, hot_plug_bus};
pub use machine::{CONSOLE, KERNEL_ARGUMENTS, Kernel, Machine, Nic, Volume};
pub use plug::{card, card_device, port_of};
pub use volume::{
    SECRET, VolumeDisk, attachment_of, is_volume_node, volume_device, volume_node, volume_secret,
};
