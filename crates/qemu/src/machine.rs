//! A virtual machine as QEMU's arguments.
//!
//! Everything QEMU works with reaches it as an open descriptor, so that its user needs no right to
//! any path but QEMU's own firmware files.

use std::os::fd::RawFd;

use model::{Mac, ServerId};

use crate::Accelerator;

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
    /// The raw root disk, open for reading and writing.
    pub disk: RawFd,
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

/// A network card on a tap.
#[derive(Clone, Debug)]
pub struct Nic {
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
        self.root_disk(&mut out);
        if let Some(kernel) = &self.kernel {
            kernel.add(&mut out);
        }
        for (index, nic) in self.nics.iter().enumerate() {
            nic.add(index, &mut out);
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
        // `pc` boots as fast as `q35`, and takes hot-plugged devices without prepared ports.
        out.pair("-machine", "pc,usb=off,vmport=off,dump-guest-core=off");
        out.pair("-accel", accelerator).pair("-cpu", cpu);
        out.pair("-smp", self.vcpus)
            .pair("-m", format!("{}M", self.ram_mib));
        out.pair("-display", "none").pair("-rtc", "base=utc");
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

    fn root_disk(&self, out: &mut Arguments) {
        out.pair("-add-fd", format!("fd={},set=1", self.disk));
        let file = "file.driver=file,file.filename=/dev/fdset/1,file.aio=threads";
        out.pair(
            "-blockdev",
            format!("driver=raw,node-name=root,discard=unmap,{file}"),
        );
        // QEMU itself takes index 0 for a kernel that it loads.
        out.pair("-device", "virtio-blk-pci,drive=root,bootindex=1");
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

impl Nic {
    fn add(&self, index: usize, out: &mut Arguments) {
        out.pair(
            "-netdev",
            format!("tap,id=net{index},fd={},vhost=off", self.tap),
        );
        let device = format!("virtio-net-pci,netdev=net{index},mac={}", self.mac);
        // Nobody boots from the network, and loading the firmware for it takes time.
        out.pair(
            "-device",
            format!("{device},host_mtu={},romfile=", self.mtu),
        );
    }
}

#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.0.push(name.to_owned());
        self
    }

    fn pair(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.0.push(name.to_owned());
        self.0.push(value.to_string());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            server: "0b1e5f4c-7a53-4d3c-9f0e-6d0f5a0c1b2d".parse().unwrap(),
            accelerator: Accelerator::Tcg { why: String::new() },
            vcpus: 2,
            ram_mib: 512,
            disk: 7,
            kernel: None,
            nics: Vec::new(),
            qmp: 8,
        }
    }

    /// One option a line, as a person would write it.
    fn check(machine: &Machine, golden: &str) {
        let lines: Vec<_> = machine
            .arguments()
            .join(" ")
            .split(" -")
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.join("\n-"), golden.trim());
    }

    #[test]
    fn firmware_boots_the_disk() {
        check(&machine(), include_str!("../tests/golden/disk.txt"));
    }

    #[test]
    fn qemu_loads_a_kernel() {
        let kernel = Kernel {
            image: 9,
            ramdisk: Some(10),
            command_line: format!("{KERNEL_ARGUMENTS} root=/dev/vda"),
        };
        let nic = |tap| Nic {
            tap,
            mac: Mac([0xfa, 0x16, 0x3e, 0, 0, tap as u8]),
            mtu: 1430,
        };
        let machine = Machine {
            accelerator: Accelerator::Kvm,
            kernel: Some(kernel),
            nics: vec![nic(11), nic(12)],
            ..machine()
        };
        check(&machine, include_str!("../tests/golden/kernel.txt"));
    }
}
