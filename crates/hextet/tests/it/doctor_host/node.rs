//! Bridges, programs, disks and clocks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Sick, found, sql};
use crate::host::{HEXTET, Host, ip};

#[test]
fn bridges_must_carry_what_networks_need() {
    let sick = Sick::new("b");
    let inside = |arguments: &[&str]| ip(&[&["-n", sick.namespace.as_str()], arguments].concat());
    inside(&["link", "add", "br300", "type", "bridge"]);
    inside(&["link", "set", "br300", "up"]);
    let made = sick.run(&[
        "manage",
        "network",
        "create",
        "lab",
        "--fixed_range_v6",
        "2001:db8:300::/64",
        "--bridge=br300",
    ]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let settings = sick.etc("hextet.toml");
    let place = settings.display().to_string();
    let none: &[String] = &[];
    assert_eq!(sick.look(&[]).ids(), none);
    inside(&["link", "set", "br300", "mtu", "1400"]);
    assert_eq!(sick.look(&[]).ids(), [format!("mtu-bridge {place}")]);
    inside(&["link", "set", "br300", "mtu", "1000"]);
    assert_eq!(sick.look(&[]).ids(), [format!("mtu-below-ipv6 {place}")]);
    inside(&["link", "set", "br300", "mtu", "1500", "down"]);
    assert_eq!(sick.look(&[]).ids(), [format!("bridge-down {place}")]);
    inside(&["link", "del", "br300"]);
    assert_eq!(sick.look(&[]).ids(), [format!("bridge-missing {place}")]);
    // To be made of an interface that is there, and then of one with an address.
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(
        &settings,
        format!("{text}\n[node.bridges]\nbr300 = 'eth0'\n"),
    )
    .unwrap();
    assert_eq!(sick.look(&[]).ids(), none);
    inside(&["addr", "add", "2001:db8::5/64", "dev", "eth0", "nodad"]);
    let found = sick.look(&[]);
    assert_eq!(found.ids(), [format!("bridge-interface {place}")]);
    let what = found
        .findings
        .iter()
        .find(|f| f["id"] == "bridge-interface")
        .unwrap();
    assert!(
        what["what"]
            .as_str()
            .unwrap()
            .contains("has the address 2001:db8::5"),
        "{what}"
    );
}

#[test]
fn what_is_not_installed_is_named_with_its_package() {
    let sick = Sick::new("i");
    let mut hextet = sick.within("env");
    let looked = hextet
        .args(["PATH=/nothing/here", HEXTET, "--root"])
        .arg(&sick.root);
    let looked = found(looked.args(["doctor", "--json"]).output().unwrap());
    for program in ["qemu-system-x86_64", "qemu-img", "nft"] {
        looked.has("program-missing", program);
    }
    looked.has("trial-failed", "the filters of a network");
    let tgt = looked
        .findings
        .iter()
        .find(|f| f["id"] == "tgt-missing")
        .unwrap();
    assert_eq!(tgt["fix"], "`apt install tgt`");
    // A portal that is nobody's.
    let settings = fs::read_to_string(sick.etc("hextet.toml")).unwrap();
    let portal = "[node.volumes]\nportals = ['[2001:db8::7]:3260']\n";
    fs::write(sick.etc("hextet.toml"), format!("{settings}{portal}")).unwrap();
    let place = sick.etc("hextet.toml").display().to_string();
    assert_eq!(sick.look(&[]).ids(), [format!("volume-portal {place}")]);
}

#[test]
fn secrets_clocks_and_disks_are_looked_at() {
    let host = Host::on_disk_of("64m");
    let state = host.root.join("var/lib/hextet");
    let place = state.display().to_string();
    fs::set_permissions(&state, PermissionsExt::from_mode(0o755)).unwrap();
    let made = host.hextet(&[
        "manage",
        "network",
        "create",
        "lab",
        "--fixed_range_v6",
        "2001:db8:300::/64",
        "--bridge=br-ext",
    ]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let later = "UPDATE network SET updated_ms = (strftime('%s', 'now') + 3600) * 1000";
    sql(&host.root, later);
    let looked = found(host.hextet(&["doctor", "--json"]));
    let short = looked
        .findings
        .iter()
        .find(|f| f["id"] == "disk-short")
        .unwrap();
    assert_eq!(short["file"], place.as_str());
    looked.has("clock-behind", "the clock");
    looked.has("secret-exposed", &place);
    let fixed = found(host.hextet(&["doctor", "--json", "--fix"]));
    assert_eq!(fixed.ids(), ["clock-behind the clock"], "{}", fixed.said);
    assert_eq!(
        fs::metadata(&state).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn what_cannot_be_looked_at_is_said_and_the_rest_is_done() {
    let sick = Sick::new("u");
    sql(&sick.root, "INSERT INTO schema_version VALUES (9999)");
    fs::set_permissions(sick.etc("key.pem"), PermissionsExt::from_mode(0o644)).unwrap();
    let looked = sick.look(&[]);
    assert_eq!(looked.status, 2, "{}", looked.said);
    let said = "hextet: the database could not be looked at: ";
    assert!(looked.said.starts_with(said), "{}", looked.said);
    assert!(
        looked.said.contains("its schema is version 9999"),
        "{}",
        looked.said
    );
    looked.has("key-exposed", &sick.etc("key.pem").display().to_string());
    let database = sick.root.join("var/lib/hextet/hextet.db");
    fs::remove_file(&database).unwrap();
    let looked = sick.look(&["--fix"]);
    let gone = format!("file-gone {}", database.display());
    assert_eq!(
        (looked.ids(), looked.status),
        (vec![gone], 1),
        "{}",
        looked.said
    );
    assert!(!database.exists(), "a look makes nothing");
}
