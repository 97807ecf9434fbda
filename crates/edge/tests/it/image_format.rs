//! What image data really is, and what an image's properties do to a server.

use model::{Clock, DiskBus, Firmware, Hardware, MachineType, VifModel};
use serde_json::{Value, json};
use testkit::{Client, FakeNode, TestCloud, assert_same};

use crate::shape;
use crate::world::{id, network, server_now};

/// A qcow2 image of an empty disk: its header and its tables in clusters of 512 octets.
fn qcow2(size_bytes: u64) -> Vec<u8> {
    let entries = size_bytes.div_ceil(512 * 64) as u32;
    let mut data = vec![0; 1024 + (entries as usize * 8).next_multiple_of(512)];
    data[..4].copy_from_slice(b"QFI\xfb");
    data[24..32].copy_from_slice(&size_bytes.to_be_bytes());
    let numbers = [
        (4, 3),
        (20, 9),
        (36, entries),
        (44, 1024),
        (52, 512),
        (56, 1),
        (96, 4),
        (100, 104),
    ];
    for (at, number) in numbers {
        data[at..at + 4].copy_from_slice(&u32::to_be_bytes(number));
    }
    data
}

/// The same with one octet changed.
fn changed(at: usize, octet: u8) -> Vec<u8> {
    let mut data = qcow2(1 << 20);
    data[at] = octet;
    data
}

async fn image(client: &Client, disk_format: &str, more: Value) -> String {
    let mut body = more;
    body["disk_format"] = json!(disk_format);
    body["container_format"] = json!("bare");
    let made = client.post("/image/v2/images", body).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

async fn show(client: &Client, id: &str) -> Value {
    client
        .get(&format!("/image/v2/images/{id}"))
        .await
        .expect(200)
}

#[tokio::test]
async fn an_image_tells_both_its_sizes() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = image(&member, "qcow2", json!({})).await;
    assert_eq!(show(&member, &id).await["virtual_size"], Value::Null);
    member.upload(&id, qcow2(8 << 20)).await.expect(204);
    let shown = show(&member, &id).await;
    assert_eq!(shown["virtual_size"], 8 << 20);
    assert_eq!(shown["size"], qcow2(8 << 20).len());
    let raw = image(&member, "raw", json!({})).await;
    member.upload(&raw, vec![0; 70_000]).await.expect(204);
    assert_eq!(show(&member, &raw).await["virtual_size"], 70_000);
}

#[tokio::test]
async fn data_that_is_not_what_it_is_said_to_be_is_refused() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let (raw, disk) = (
        image(&member, "raw", json!({})).await,
        image(&member, "qcow2", json!({})).await,
    );
    for (id, data, status, why) in [
        (&raw, qcow2(1 << 20), 400, "the data is qcow2"),
        (&disk, b"a disk".to_vec(), 400, "not qcow2"),
        (&disk, Vec::new(), 400, "not qcow2"),
        (&raw, b"KDMV\x01\0\0\0".to_vec(), 400, "vmdk"),
        (
            &raw,
            b"# Disk DescriptorFile\nversion=1\n".to_vec(),
            400,
            "vmdk",
        ),
        (&disk, b"vhdxfile".to_vec(), 400, "vhdx"),
        (&raw, b"LUKS\xba\xbe\0\x01".to_vec(), 400, "luks"),
        (&disk, changed(15, 1), 400, "backing file"),
        (&disk, changed(79, 4), 400, "external file"),
        (&disk, changed(79, 32), 400, "not known"),
        (&disk, changed(35, 2), 400, "encrypted"),
        (&disk, changed(63, 1), 400, "snapshots"),
        (&disk, changed(7, 9), 400, "version is 9"),
        (&disk, b"QFI\xfb\0\0\0\x03".to_vec(), 400, "cut off"),
        (
            &disk,
            qcow2((8 << 20) + 1),
            413,
            "the most this cloud takes",
        ),
    ] {
        let said = shape::error(&member.upload(id, data).await, status, why);
        assert!(said.contains(why), "{said}");
        assert_eq!(show(&member, id).await["status"], "queued", "{why}");
    }
    assert_eq!(cloud.image_files(), [""; 0]);
    member.upload(&disk, qcow2(1 << 20)).await.expect(204);
    member.upload(&raw, "a disk").await.expect(204);
    let iso = json!({"disk_format": "iso", "container_format": "bare"});
    let said = shape::error(&member.post("/image/v2/images", iso).await, 400, "iso");
    assert!(said.contains("raw, qcow2, aki, ari, ami"), "{said}");
}

struct Scene {
    cloud: TestCloud,
    node: FakeNode,
    member: Client,
    network: String,
}

impl Scene {
    async fn new() -> Scene {
        let cloud = TestCloud::start().await;
        let node = cloud.node("n1").await;
        let member = cloud.member().await;
        let (network, _) = network(&member, "net", "2001:db8:a::/64").await;
        Scene {
            cloud,
            node,
            member,
            network,
        }
    }

    /// What the cloud says to a server of an image with these properties.
    async fn create(&self, image: &str, flavor: &str) -> testkit::Answer {
        let body = json!({"server": {
            "name": "s", "imageRef": image, "flavorRef": flavor,
            "networks": [{"uuid": self.network}],
        }});
        self.member.post("/compute/v2.1/servers", body).await
    }

    async fn image(&self, properties: Value) -> String {
        let id = image(&self.member, "qcow2", properties).await;
        self.member.upload(&id, qcow2(1 << 20)).await.expect(204);
        id
    }
}

#[tokio::test]
async fn properties_make_the_machine() {
    let s = Scene::new().await;
    let properties = json!({
        "hw_firmware_type": "uefi", "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi",
        "hw_vif_model": "e1000e", "hw_machine_type": "q35", "os_type": "windows",
        "hw_something_else": "is not looked at",
    });
    let image = s.image(properties).await;
    let server = id(&s.create(&image, "42").await.expect(202));
    let wanted = s.node.wanted_server(&server).await.unwrap();
    let expected = Hardware {
        firmware: Firmware::Uefi,
        disk_bus: DiskBus::Scsi,
        vif_model: VifModel::E1000e,
        machine: MachineType::Q35,
        clock: Clock::LocalTime,
    };
    assert_eq!(wanted.boot.hardware, expected);
    assert_eq!(wanted.boot.disk.unwrap().disk_format, "qcow2");
}

#[tokio::test]
async fn properties_that_mean_nothing_are_refused() {
    let s = Scene::new().await;
    let mut images = Vec::new();
    for (properties, known) in [
        (json!({"hw_firmware_type": "coreboot"}), "bios, uefi"),
        (
            json!({"hw_disk_bus": "fdc"}),
            "virtio, scsi, sata, ide, usb",
        ),
        (
            json!({"hw_vif_model": "spapr-vlan"}),
            "e1000, e1000e, rtl8139",
        ),
        (json!({"hw_machine_type": "virt"}), "pc, q35"),
        (json!({"hw_scsi_model": "lsilogic"}), "virtio-scsi"),
        (json!({"os_type": "plan9"}), "linux, windows"),
        (
            json!({"hw_machine_type": "q35", "hw_disk_bus": "ide"}),
            "sata",
        ),
        (json!({"min_ram": 129}), "memory is too small"),
        (json!({"min_disk": 2}), "disk is too small"),
    ] {
        images.push((s.image(properties).await, known));
    }
    let small = json!({"flavor": {"id": "one", "name": "one", "vcpus": 1, "ram": 128, "disk": 1}});
    let admin = s.cloud.admin().await;
    admin.post("/compute/v2.1/flavors", small).await.expect(200);
    let before = s.cloud.dump();
    for (image, known) in images {
        let said = shape::error(&s.create(&image, "one").await, 400, known);
        assert!(said.contains(known), "{said}");
    }
    assert_same(&before, &s.cloud.dump(), "refused servers");
}

#[tokio::test]
async fn the_flavor_holds_the_disk_in_the_image() {
    let cloud = TestCloud::with(|s| s.max_image_bytes = 4 << 30).await;
    let (admin, member) = (cloud.admin().await, cloud.member().await);
    let (network, _) = network(&member, "net", "2001:db8:a::/64").await;
    let small = json!({"flavor": {"id": "one", "name": "one", "vcpus": 1, "ram": 128, "disk": 1}});
    admin.post("/compute/v2.1/flavors", small).await.expect(200);
    for (size, status) in [(1_u64 << 30, 202), ((1 << 30) + 1, 400)] {
        let id = image(&member, "qcow2", json!({})).await;
        member.upload(&id, qcow2(size)).await.expect(204);
        let body = json!({"server": {
            "name": "s", "imageRef": id, "flavorRef": "one", "networks": [{"uuid": network}],
        }});
        let answer = member.post("/compute/v2.1/servers", body).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_without_ipv4_has_a_config_drive() {
    let s = Scene::new().await;
    let image = s.image(json!({})).await;
    let server = id(&s.create(&image, "42").await.expect(202));
    assert!(s.node.wanted_server(&server).await.unwrap().config_drive);
    assert_eq!(server_now(&s.member, &server).await["config_drive"], "True");
    let body = json!({"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "config_drive": true, "networks": [],
    }});
    let asked = id(&s
        .member
        .post("/compute/v2.1/servers", body)
        .await
        .expect(202));
    assert!(s.node.wanted_server(&asked).await.unwrap().config_drive);
    let body = json!({"server": {
        "name": "s", "imageRef": image, "flavorRef": "42", "config_drive": "perhaps",
    }});
    let answer = s.member.post("/compute/v2.1/servers", body).await;
    shape::error(&answer, 400, "config_drive");
}
