//! Debian as users have it: a disk that firmware boots, and cloud-init to the end. Under emulation this
//! takes minutes, so `make test-slow` runs it and `make test` does not.

use crate::host::Host;

fn boots(suite: &str, source: &str) {
    let dir = std::env::var("HEXTET_DEBIAN").expect(
        "HEXTET_DEBIAN must name the directory of Debian's disks: `make test-slow` sets it",
    );
    let mut host = Host::new();
    host.up();
    let image = format!("{dir}/{suite}.qcow2");
    let said = host.script("cloud_init.py", source, &[("HOST_DEBIAN", &image)]);
    eprintln!("{suite}: {said}");
}

#[test]
#[ignore = "takes minutes: `make test-slow` runs it"]
fn debian_12_finishes_cloud_init_by_its_config_drive() {
    boots("bookworm", "config-disk (/dev/vdb)");
}

#[test]
#[ignore = "takes minutes: `make test-slow` runs it"]
fn debian_13_finishes_cloud_init_by_metadata_over_ipv6() {
    boots("trixie", "metadata (http://[fe80::a9fe:a9fe%25");
}
