//! A virtual machine as QEMU's arguments.
//!
//! Everything QEMU works with reaches it as an open descriptor, so that its user needs no right to
//! any path but QEMU's own firmware files.

use std::os::fd::RawFd;

use model::{Hardware, Mac, PortId, ServerId};

use crate::volume::{VolumeDisk, volume_secret};
use crate::{Accelerator, hardware};

/// The character device that keeps what the guest writes to its serial port.
pub const CONSOLE: &str = "console";

/// What every guest's kernel is told when QEMU loads it. Without `no_timer_check` a kernel on an
/// emulated processor waits to see timer interrupts come; `cryptomgr.notests` saves a tenth of the
/// emulated boot; virtio-rng and the processor both feed the random pool.
pub const KERNEL_ARGUMENTS: &str =
    "console=ttyS0 quiet no_timer_check random.trust_cpu=on cryptomgr.notests";

/// 1 MiB, the most that is kept of the console between two readings. Must be a power of two.
const CONSOLE_SIZE: &str = "1M";

/// MiB for translated code. QEMU's own choice is up to 1 GiB for each guest; booting Linux is no
/// faster with more than this.
const TCG_CODE_MIB: u32 = 128;

/// A machine whose parts are open: numbers are descriptors that QEMU inherits.
#[derive(Clone, Debug)]
pub struct Machine {
    pub server: ServerId,
    pub accelerator: Accelerator,
    pub vcpus: u32,
    pub ram_mib: u32,
    pub hardware: Hardware,
    /// OVMF's variables, open for reading and writing; without them SeaBIOS starts the guest.
    pub variables: Option<RawFd>,
    /// The root disk, open for reading and writing.
    pub disk: Option<RawFd>,
    /// What the root disk is a qcow2 layer on: a raw disk, open for reading. Without one it is raw
    /// itself.
    pub beneath: Option<RawFd>,
    /// In the order in which the guest sees them.
    pub volumes: Vec<Volume>,
    /// The disk with the guest's metadata, open for reading.
    pub config_drive: Option<RawFd>,
    /// Without one the firmware boots the disk.
    pub kernel: Option<Kernel>,
    /// In the order in which the guest sees them.
    pub nics: Vec<Nic>,
    /// A listening Unix socket.
    pub qmp: RawFd,
}

/// A kernel that QEMU loads by itself. QEMU opens the descriptors again under `/proc/self/fd`: the
/// files must be readable for its user, but the directories they are in need not be.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub image: RawFd,
    pub ramdisk: Option<RawFd>,
    pub command_line: String,
}

/// A volume that the guest has from its start.
#[derive(Clone, Debug)]
pub struct Volume {
    pub disk: VolumeDisk,
    /// A file that holds the account's secret, open for reading.
    pub secret: RawFd,
    /// The guest boots from it.
    pub root: bool,
}

/// A network card on a tap.
#[derive(Clone, Debug)]
pub struct Nic {
    pub port: PortId,
    pub tap: RawFd,
    pub mac: Mac,
    pub mtu: u32,
}

impl Machine {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut out = Arguments::default();
        self.base(&mut out);
        self.identity(&mut out);
        self.control(&mut out);
        self.disks(&mut out);
        if let Some(kernel) = &self.kernel {
            kernel.add(&mut out);
        }
        for nic in &self.nics {
            hardware::card(&self.hardware, nic, &mut out);
        }
        out.0
    }

    fn base(&self, out: &mut Arguments) {
        let (accelerator, cpu) = match self.accelerator {
            Accelerator::Kvm => ("kvm".to_owned(), "host"),
            // `max` boots a tenth faster than `qemu64`: newer instructions do more each.
            Accelerator::Tcg { .. } => (format!("tcg,thread=multi,tb-size={TCG_CODE_MIB}"), "max"),
        };
        out.flag("-nodefaults").flag("-no-user-config");
        hardware::board(&self.hardware, self.variables, out);
        out.pair("-accel", accelerator).pair("-cpu", cpu);
        out.pair("-smp", self.vcpus)
            .pair("-m", format!("{}M", self.ram_mib));
        out.pair("-display", "none");
        out.pair("-object", "rng-builtin,id=rng")
            .pair("-device", "virtio-rng-pci,rng=rng");
        out.pair(
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        );
    }

    fn identity(&self, out: &mut Arguments) {
        let id = self.server;
        out.pair("-name", id).pair("-uuid", id);
        // cloud-init looks for OpenStack's metadata when it finds this product.
        let product = "manufacturer=OpenStack Foundation,product=OpenStack Compute";
        let family = "family=Virtual Machine";
        out.pair(
            "-smbios",
            format!("type=1,{product},serial={id},uuid={id},{family}"),
        );
    }

    fn control(&self, out: &mut Arguments) {
        // A guest that powers itself off pauses, so that its last words can be read.
        out.flag("-no-shutdown");
        out.pair(
            "-chardev",
            format!("socket,id=qmp,fd={},server=on,wait=off", self.qmp),
        );
        out.pair("-mon", "chardev=qmp,mode=control");
        out.pair(
            "-chardev",
            format!("ringbuf,id={CONSOLE},size={CONSOLE_SIZE}"),
        );
        out.pair("-serial", format!("chardev:{CONSOLE}"));
    }

    fn disks(&self, out: &mut Arguments) {
        hardware::controller(&self.hardware, out);
        if let Some(disk) = self.disk {
            hardware::root_disk(&self.hardware, disk, self.beneath, out);
        }
        let volumes = || self.volumes.iter().enumerate();
        for (index, volume) in volumes().filter(|(_, v)| v.root) {
            self.volume(index, volume, out);
        }
        // Always the second, so that volumes have the same letters whenever they come.
        if let Some(config) = self.config_drive {
            hardware::config_drive(&self.hardware, config, out);
        }
        for (index, volume) in volumes().filter(|(_, v)| !v.root) {
            self.volume(index, volume, out);
        }
    }

    fn volume(&self, index: usize, volume: &Volume, out: &mut Arguments) {
        // QEMU opens the descriptor again: its number is no secret, and what it reads is in memory.
        let secret = volume_secret(volume.disk.attachment);
        out.pair(
            "-object",
            format!("secret,id={secret},file=/proc/self/fd/{}", volume.secret),
        );
        out.pair("-blockdev", volume.disk.node());
        match volume.root {
            true => out.pair("-device", volume.disk.root_device(&self.hardware)),
            false => {
                let bus = hardware::hot_plug_bus(self.hardware.machine, index);
                out.pair("-device", volume.disk.device(bus.as_deref()))
            }
        };
    }
}

impl Kernel {
    fn add(&self, out: &mut Arguments) {
        out.pair("-kernel", format!("/proc/self/fd/{}", self.image));
        if let Some(ramdisk) = self.ramdisk {
            out.pair("-initrd", format!("/proc/self/fd/{ramdisk}"));
        }
        out.pair("-append", &self.command_line);
    }
}

#[derive(Default)]
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.0.push(name.to_owned());
        self
    }

    pub(crate) fn pair(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.0.push(name.to_owned());
        self.0.push(value.to_string());
        self
    }
}

#[cfg(test)]
mod tests {
    use model::{Clock, DiskBus, MachineType, VifModel};

    use super::*;

    fn machine() -> Machine {
        Machine {
            server: "0b1e5f4c-7a53-4d3c-9f0e-6d0f5a0c1b2d".parse().unwrap(),
            accelerator: Accelerator::Tcg { why: String::new() },
            vcpus: 2,
            ram_mib: 512,
            hardware: Hardware::default(),
            variables: None,
            disk: Some(7),
            beneath: None,
            volumes: Vec::new(),
            config_drive: None,
            kernel: None,
            nics: Vec::new(),
            qmp: 8,
        }
    }

    fn nic(tap: u8) -> Nic {
        Nic {
            port: format!("0b1e5f4c-7a53-4d3c-9f0e-6d0f5a0c1b{tap:02x}")
                .parse()
                .unwrap(),
            tap: tap.into(),
            mac: Mac([0xfa, 0x16, 0x3e, 0, 0, tap]),
            mtu: 1430,
        }
    }

    /// One option a line, as a person would write it.
    fn check(machine: &Machine, golden: &str) {
        let path = format!("{}/tests/golden/{golden}.txt", env!("CARGO_MANIFEST_DIR"));
        let lines = machine.arguments().join(" ").replace(" -", "\n-");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{lines}\n")).unwrap();
        }
        assert_eq!(lines, std::fs::read_to_string(path).unwrap().trim_end());
    }

    #[test]
    fn firmware_boots_the_disk() {
        check(&machine(), "disk");
    }

    #[test]
    fn a_layer_lies_on_a_disk_that_nobody_writes() {
        let machine = Machine {
            beneath: Some(9),
            ..machine()
        };
        check(&machine, "layer");
    }

    #[test]
    fn qemu_loads_a_kernel() {
        let kernel = Kernel {
            image: 9,
            ramdisk: Some(10),
            command_line: format!("{KERNEL_ARGUMENTS} root=/dev/vda"),
        };
        let machine = Machine {
            accelerator: Accelerator::Kvm,
            kernel: Some(kernel),
            nics: vec![nic(11), nic(12)],
            config_drive: Some(13),
            ..machine()
        };
        check(&machine, "kernel");
    }

    #[test]
    fn volumes_have_their_secrets_elsewhere() {
        let volume = |digit: u8, root| Volume {
            disk: VolumeDisk {
                server: machine().server,
                attachment: format!("aaaaaaaa-7a53-4d3c-9f0e-6d0f5a0c1b{digit:02x}")
                    .parse()
                    .unwrap(),
                volume: format!("bbbbbbbb-7a53-4d3c-9f0e-6d0f5a0c1b{digit:02x}")
                    .parse()
                    .unwrap(),
                portal: "[2001:db8::5]:3260".parse().unwrap(),
                target: format!("iqn.2026-11.x:{digit}"),
                user: "user".into(),
                read_only: digit == 3,
            },
            secret: 20 + i32::from(digit),
            root,
        };
        let machine = Machine {
            disk: None,
            volumes: vec![volume(1, true), volume(2, false), volume(3, false)],
            ..machine()
        };
        check(&machine, "volumes");
    }

    #[test]
    fn ovmf_boots_a_disk_of_q35() {
        let hardware = Hardware {
            machine: MachineType::Q35,
            clock: Clock::LocalTime,
            ..Hardware::default()
        };
        let machine = Machine {
            hardware,
            variables: Some(9),
            config_drive: Some(13),
            nics: vec![nic(11)],
            ..machine()
        };
        check(&machine, "uefi");
    }

    /// Only what depends on the bus.
    #[test]
    fn every_bus_and_card_has_its_devices() {
        let mut all = String::new();
        for board in [MachineType::Pc, MachineType::Q35] {
            for (disk_bus, vif_model) in [
                (DiskBus::Virtio, VifModel::Virtio),
                (DiskBus::Scsi, VifModel::E1000),
                (DiskBus::Sata, VifModel::E1000e),
                (DiskBus::Ide, VifModel::Rtl8139),
                (DiskBus::Usb, VifModel::Ne2kPci),
                (DiskBus::Virtio, VifModel::Pcnet),
                (DiskBus::Virtio, VifModel::Vmxnet3),
            ] {
                let hardware = Hardware {
                    machine: board,
                    disk_bus,
                    vif_model,
                    ..Hardware::default()
                };
                let machine = Machine {
                    hardware,
                    config_drive: Some(13),
                    nics: vec![nic(11)],
                    ..machine()
                };
                all += &format!("{board:?} {disk_bus:?} {vif_model:?}\n");
                let arguments = machine.arguments();
                let devices = arguments.iter().skip_while(|a| *a != "chardev:console");
                for device in devices
                    .filter(|a| a.contains("drive=") || a.contains(",id=") || a.contains("mac="))
                {
                    all += &format!("  {device}\n");
                }
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/buses.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &all).unwrap();
        }
        assert_eq!(all, std::fs::read_to_string(path).unwrap());
    }
}
