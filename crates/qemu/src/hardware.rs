//! The parts of a machine that an image may choose: board, firmware, disks and network cards.

use std::os::fd::RawFd;

use model::{Clock, DiskBus, Hardware, MachineType, VifModel};

use crate::machine::{Arguments, Nic};
use crate::plug::{card_device, card_netdev};

/// OVMF's program, which all guests share and none may write.
pub const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";

/// What OVMF's variables are before a guest's first start; each guest has a copy of its own.
pub const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// How many devices can be plugged into a running q35. On `pc` every free slot takes one.
pub const HOT_PLUG_PORTS: usize = 16;

/// Slots of q35's own bus that hold the ports for hot-plugged devices, eight in each.
const PORT_SLOTS: [u8; 2] = [0x1c, 0x1d];

/// The bus that takes the nth device plugged into a running guest: the first PCI bus of `pc`, where
/// QEMU finds a free slot, or one of q35's prepared ports, each of which takes one device.
/// `None`: there are no more.
pub fn hot_plug_bus(machine: MachineType, index: usize) -> Option<String> {
    match machine {
        MachineType::Pc => Some("pci.0".to_owned()),
        MachineType::Q35 => (index < HOT_PLUG_PORTS).then(|| format!("hot{index}")),
    }
}

/// Board, clock and firmware. `variables` are OVMF's, open for reading and writing; without them
/// SeaBIOS starts the guest.
pub(crate) fn board(hardware: &Hardware, variables: Option<RawFd>, out: &mut Arguments) {
    let mut machine = match hardware.machine {
        MachineType::Pc => "pc,usb=off,vmport=off,dump-guest-core=off".to_owned(),
        MachineType::Q35 => "q35,usb=off,vmport=off,dump-guest-core=off".to_owned(),
    };
    if let Some(fd) = variables {
        machine += ",pflash0=code,pflash1=variables";
        out.pair(
            "-blockdev",
            format!("driver=file,node-name=code,filename={OVMF_CODE},read-only=on"),
        );
        drive("variables", fd, 3, Access::Write, out);
    }
    out.pair("-machine", machine);
    let clock = match hardware.clock {
        Clock::Utc => "base=utc",
        Clock::LocalTime => "base=localtime",
    };
    out.pair("-rtc", clock);
    if hardware.machine == MachineType::Q35 {
        ports(out);
    }
}

/// q35 takes devices while it runs only behind ports that were there at its start.
fn ports(out: &mut Arguments) {
    let places = PORT_SLOTS
        .into_iter()
        .flat_map(|slot| (0..8).map(move |function| (slot, function)));
    for (index, (slot, function)) in places.enumerate() {
        let first = if function == 0 {
            ",multifunction=on"
        } else {
            ""
        };
        // Without a word of it the firmware keeps 4 KiB of I/O space for each port, and there are
        // 64 in all.
        out.pair(
            "-device",
            format!(
                "pcie-root-port,id=hot{index},chassis={chassis},addr={slot:#x}.{function}{first},io-reserve=0",
                chassis = index + 1
            ),
        );
    }
}

/// The controller of the disks, where the board has none of that kind.
pub(crate) fn controller(hardware: &Hardware, out: &mut Arguments) {
    let device = match (hardware.disk_bus, hardware.machine) {
        (DiskBus::Scsi, _) => "virtio-scsi-pci,id=scsi",
        (DiskBus::Sata, MachineType::Pc) => "ahci,id=sata",
        (DiskBus::Usb, _) => "qemu-xhci,id=usb",
        (DiskBus::Virtio | DiskBus::Ide, _) | (DiskBus::Sata, MachineType::Q35) => return,
    };
    out.pair("-device", device);
}

/// The root disk, which may be a layer on another.
pub(crate) fn root_disk(
    hardware: &Hardware,
    fd: RawFd,
    beneath: Option<RawFd>,
    out: &mut Arguments,
) {
    match beneath {
        None => drive("root", fd, 1, Access::Write, out),
        Some(beneath) => {
            drive("beneath", beneath, 4, Access::Read, out);
            drive("root", fd, 1, Access::Layer("beneath"), out);
        }
    }
    // QEMU itself takes index 0 for a kernel that it loads.
    let device = root_device(hardware);
    out.pair("-device", format!("{device},drive=root,bootindex=1"));
}

/// What the guest boots from, on its bus.
pub(crate) fn root_device(hardware: &Hardware) -> String {
    match hardware.disk_bus {
        DiskBus::Virtio => "virtio-blk-pci".to_owned(),
        DiskBus::Scsi => "scsi-hd,bus=scsi.0".to_owned(),
        DiskBus::Sata | DiskBus::Ide => format!("ide-hd,bus={}.0", ata(hardware)),
        DiskBus::Usb => "usb-storage,bus=usb.0".to_owned(),
    }
}

/// The disk with the guest's metadata: on the bus of its root disk, for which it has a driver.
pub(crate) fn config_drive(hardware: &Hardware, fd: RawFd, out: &mut Arguments) {
    drive("config", fd, 2, Access::Read, out);
    let device = match hardware.disk_bus {
        DiskBus::Virtio => "virtio-blk-pci".to_owned(),
        DiskBus::Scsi => "scsi-cd,bus=scsi.0".to_owned(),
        DiskBus::Sata | DiskBus::Ide => format!("ide-cd,bus={}.1", ata(hardware)),
        DiskBus::Usb => "usb-storage,bus=usb.0".to_owned(),
    };
    out.pair("-device", format!("{device},drive=config"));
}

/// q35's own SATA controller has the bus names that `pc` has for IDE.
fn ata(hardware: &Hardware) -> &'static str {
    match (hardware.disk_bus, hardware.machine) {
        (DiskBus::Sata, MachineType::Pc) => "sata",
        _ => "ide",
    }
}

/// A network card on its tap.
pub(crate) fn card(hardware: &Hardware, nic: &Nic, out: &mut Arguments) {
    let netdev = card_netdev(nic.port);
    out.pair(
        "-netdev",
        format!("tap,id={netdev},fd={},vhost=off", nic.tap),
    );
    let (model, tells_mtu) = card_model(hardware);
    let mtu = match tells_mtu {
        true => format!(",host_mtu={}", nic.mtu),
        false => String::new(),
    };
    // Nobody boots from the network, and loading the firmware for it takes time.
    let (id, mac) = (card_device(nic.port), nic.mac);
    out.pair(
        "-device",
        format!("{model},id={id},netdev={netdev},mac={mac}{mtu},romfile="),
    );
}

/// QEMU's name for the card, and whether it tells the guest how large its frames may be.
pub(crate) fn card_model(hardware: &Hardware) -> (&'static str, bool) {
    match hardware.vif_model {
        VifModel::Virtio => ("virtio-net-pci", true),
        VifModel::E1000 => ("e1000", false),
        VifModel::E1000e => ("e1000e", false),
        VifModel::Rtl8139 => ("rtl8139", false),
        VifModel::Ne2kPci => ("ne2k_pci", false),
        VifModel::Pcnet => ("pcnet", false),
        VifModel::Vmxnet3 => ("vmxnet3", false),
    }
}

/// What a guest may do with a disk.
enum Access {
    Read,
    Write,
    /// Writes go to a qcow2 layer, and what was not written is that of the node of this name.
    Layer(&'static str),
}

/// A file that is open already, as a block device of this name; `set` is a number of its own.
fn drive(name: &str, fd: RawFd, set: u8, access: Access, out: &mut Arguments) {
    out.pair("-add-fd", format!("fd={fd},set={set}"));
    let file = format!("file.driver=file,file.filename=/dev/fdset/{set},file.aio=threads");
    let options = match access {
        Access::Read => format!("driver=raw,node-name={name},read-only=on"),
        Access::Write => format!("driver=raw,node-name={name},discard=unmap"),
        // Whatever its header says lies beneath.
        Access::Layer(beneath) => {
            format!("driver=qcow2,node-name={name},discard=unmap,backing={beneath}")
        }
    };
    out.pair("-blockdev", format!("{options},{file}"));
}
