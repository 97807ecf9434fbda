//! Paths that a guest asks for: what is listed is there, and nothing panics.
#![no_main]

use std::sync::LazyLock;

use lan::Instance;
use lan::openstack::{SEED_SIZE, Tree};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static INSTANCE: LazyLock<Instance> = LazyLock::new(|| {
    let id = "6f1a3c58-0b6e-4c1e-9a55-000000000001";
    let image = json!({"id": id, "size_bytes": 1, "sha512": "", "disk_format": "raw"});
    let server = json!({
        "id": id, "name": "a", "hostname": "a", "project": "p1", "power": "running",
        "start_epoch": 1, "reboot_epoch": 0, "reboot": "soft", "vcpus": 1, "ram_mib": 64,
        "disk_gib": 0, "ports": [], "availability_zone": "nova",
        "boot": {"disk": image, "kernel": null, "ramdisk": null, "kernel_args": "", "hardware": {}},
        "public_keys": [["laptop", "ssh-ed25519 AAAA"]], "user_data": "AAAA", "metadata": [],
        "created_ms": 0, "attachments": [], "config_drive": false,
    });
    Instance {
        server: serde_json::from_value(server).expect("a server"),
        ports: Vec::new(),
        floating: Vec::new(),
    }
});

static VENDOR_DATA: LazyLock<Value> = LazyLock::new(|| json!({"of": "cloud"}));

fuzz_target!(|path: &str| {
    let tree = Tree {
        instance: &INSTANCE,
        vendor_data: &VENDOR_DATA,
        seed: &[7; SEED_SIZE],
        password: "",
    };
    let found = tree.find(path);
    let again = tree.find(&format!("/{path}//"));
    assert_eq!(found, again, "further slashes do not matter");
});
