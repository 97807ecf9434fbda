//! The test guest's own disk, booted by firmware on every kind of machine. Under emulation each boot
//! takes 5 to 10 s.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use model::{
    DiskBus, Firmware, GuestSeen, Hardware, ImageFile, MachineType, PowerSeen, Reboot, Seen, Server,
};

use super::host::{Host, LONG};
use super::sector::Sector;

/// The system says so when it runs.
const UP: &str = "hextet-guest: kernel up";

/// An image of the test guest's disk.
fn guest_disk(host: &Host) -> ImageFile {
    let dir = std::env::var("HEXTET_GUEST")
        .expect("HEXTET_GUEST must name the directory of the test guest: `make test` sets it");
    let data = fs::read(Path::new(&dir).join("disk.qcow2"))
        .expect("a test guest with a disk: `guest/build DIR` makes it");
    ImageFile {
        disk_format: "qcow2".into(),
        ..host.image(&data)
    }
}

fn server_of(host: &Host, disk: &ImageFile, hardware: Hardware) -> Server {
    let mut server = host.server(Sector::Deaf);
    server.boot.disk = Some(disk.clone());
    server.boot.hardware = hardware;
    server.ram_mib = 256;
    server.config_drive = true;
    server.hostname = "by-config-drive".into();
    server
}

fn file(host: &Host, server: &Server, name: &str) -> fs::Metadata {
    let dir = host.settings.state.join(server.id.to_string());
    fs::metadata(dir.join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn seabios_boots_a_qcow2_disk_and_the_guest_reads_its_config_drive() {
    let host = Host::new();
    let mut node = host.node();
    let disk = guest_disk(&host);
    let server = server_of(&host, &disk, Hardware::default());
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    node.until_console(&server, UP).await;
    node.until_console(&server, "config drive hostname by-config-drive")
        .await;
    let id = format!("config drive uuid {}", server.id);
    node.until_console(&server, &id).await;

    let root = file(&host, &server, "disk.raw");
    assert_eq!(root.len(), 1 << 30, "the flavor's size");
    assert!(root.blocks() * 512 < 64 << 20, "holes stay holes");
    let drive = file(&host, &server, "config.iso");
    let uid = host.uid(&server).unwrap();
    assert_eq!((drive.mode() & 0o777, drive.uid()), (0o600, uid));
    node.want_nothing();
    node.until_gone(&server).await;
    host.assert_nothing_left(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn ovmf_boots_it_and_keeps_its_variables() {
    let host = Host::new();
    let mut node = host.node();
    let hardware = Hardware {
        firmware: Firmware::Uefi,
        disk_bus: DiskBus::Scsi,
        machine: MachineType::Q35,
        ..Hardware::default()
    };
    let mut server = server_of(&host, &guest_disk(&host), hardware);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    node.until_console(&server, UP).await;
    node.until_console(&server, "config drive read from sr0")
        .await;
    let before = file(&host, &server, "firmware.vars");

    // A hard reboot is another QEMU, and the next life of ours knows no more than the files say.
    drop(node);
    let mut node = host.node();
    (server.reboot_epoch, server.reboot) = (1, Reboot::Hard);
    node.want(&server);
    let again = |seen: &GuestSeen| seen.rebooted_epoch == 1 && seen.power == PowerSeen::Running;
    node.until_that(&server, again).await;
    let end = Instant::now() + LONG;
    loop {
        let console = node.guests.console(server.id, None).await.unwrap();
        if console.matches(UP).count() == 2 {
            break;
        }
        assert!(Instant::now() < end, "{console}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(file(&host, &server, "firmware.vars").ino(), before.ino());
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_a_large_image_share_its_disk() {
    let host = Host::new();
    let mut node = host.node();
    let small = guest_disk(&host);
    let raw = host.root.join("raw");
    let mut convert = std::process::Command::new("qemu-img");
    convert.args(["convert", "-f", "qcow2", "-O", "raw"]);
    let small = host.store().join(small.id.to_string());
    assert!(convert.arg(small).arg(&raw).status().unwrap().success());
    let mut data = fs::read(&raw).unwrap();
    data.resize(data.len() + (32 << 20), 7);
    let disk = host.image(&data);
    let servers = [(); 2].map(|()| server_of(&host, &disk, Hardware::default()));
    node.want_all(&servers.each_ref());
    for server in &servers {
        node.until_console(server, UP).await;
    }
    let files = servers.each_ref().map(|server| {
        let layer = file(&host, server, "disk.qcow2");
        assert!(layer.blocks() * 512 < 1 << 20, "only what it wrote");
        file(&host, server, "base.raw").ino()
    });
    assert_eq!(files[0], files[1]);
    node.want_nothing();
    // In whichever order they go.
    let mut there = servers.each_ref().map(|server| server.id).to_vec();
    while !there.is_empty() {
        if let Seen::GuestGone(gone) = node.next().await {
            there.retain(|id| *id != gone);
        }
    }
    assert_eq!(
        fs::metadata(host.root.join("var/cache").join(&disk.sha512))
            .unwrap()
            .ino(),
        files[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bus_boots() {
    let host = Host::new();
    let node = host.node();
    let disk = guest_disk(&host);
    let machines = [
        (MachineType::Pc, DiskBus::Ide),
        (MachineType::Pc, DiskBus::Scsi),
        (MachineType::Q35, DiskBus::Sata),
        (MachineType::Q35, DiskBus::Usb),
        (MachineType::Q35, DiskBus::Virtio),
    ];
    let servers = machines.map(|(machine, disk_bus)| {
        let hardware = Hardware {
            machine,
            disk_bus,
            ..Hardware::default()
        };
        server_of(&host, &disk, hardware)
    });
    node.want_all(&servers.each_ref());
    for server in &servers {
        node.until_console(server, UP).await;
    }
}
