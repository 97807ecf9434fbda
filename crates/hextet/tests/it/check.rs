//! The invariant checker finds what is broken on purpose, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::host::{Host, openstack};

const STRANGER: &str = "0bad0bad-0000-4000-8000-00000000cafe";

/// Records that no request makes.
const BREAK: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
other = '0bad0bad-0000-4000-8000-00000000cafe'
db.execute('UPDATE server SET status = ? WHERE name = ?', ('BUILD', 'one'))
db.execute('UPDATE port SET device_id = ? WHERE id = (SELECT id FROM port WHERE device_owner LIKE ? LIMIT 1)', (other, 'compute:%'))
db.execute('UPDATE port SET device_id = ? WHERE device_owner = ?', (other, 'network:router_interface'))
db.execute('UPDATE allocation SET address = ? WHERE id = (SELECT id FROM allocation LIMIT 1)', ('f' * 32,))
db.execute('UPDATE port SET device_owner = ? WHERE device_owner = ?', ('', 'network:distributed'))
db.execute('DELETE FROM security_group WHERE id IN (SELECT security_group_id FROM membership)')
db.commit()
";

fn run(program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).output().unwrap();
    assert!(
        ran.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn finds(host: &Host, expected: &[&str]) {
    let found = host.findings();
    for words in expected {
        assert!(
            found.contains(words),
            "'{words}' was not found in:\n{found}"
        );
    }
}

#[test]
fn what_is_broken_is_found_and_what_can_be_is_mended() {
    let mut host = Host::new();
    assert_eq!(
        host.findings(),
        "",
        "nothing is wrong before the first start"
    );
    host.up();
    host.python("make");
    assert_eq!(host.findings(), "");
    host.kill();
    assert_eq!(host.findings(), "", "it needs no hextet that runs");

    let state = host.root.join("var/lib/hextet");
    let prefix = host.namespaces()[0][..7].to_owned();
    let astray = format!("{prefix}n-{STRANGER}");
    run("ip", &["netns", "add", &astray]);
    let network = host
        .namespaces()
        .into_iter()
        .find(|n| n.contains("-n-") && *n != astray)
        .unwrap();
    run(
        "ip",
        &[
            "netns", "exec", &network, "nft", "delete", "table", "inet", "hextet",
        ],
    );
    run(
        "ip",
        &[
            "-n",
            &network,
            "link",
            "add",
            "tabcdef01234567",
            "type",
            "bridge",
        ],
    );
    fs::create_dir(state.join("guests").join(STRANGER)).unwrap();
    fs::write(state.join("images").join(STRANGER), "").unwrap();
    fs::write(state.join(format!("cache/.{STRANGER}.1.0")), "half").unwrap();
    let kernel = [
        format!("namespace {astray} is there"),
        format!("namespace {network} lacks nft's table inet hextet"),
        format!("link tabcdef01234567 in namespace {network} is there"),
        format!("guest {STRANGER} has files here"),
        format!("images/{STRANGER} belongs to no image"),
        format!(".{STRANGER}.1.0 is half an image"),
    ];
    finds(&host, &kernel.each_ref().map(String::as_str));
    host.up();
    assert_eq!(host.findings(), "", "a start mends what is of the node");
    host.kill();

    let database = state.join("hextet.db");
    let copies = ["", "-wal"].map(|end| {
        (
            format!("{}{end}", database.display()),
            host.root.join(format!("copy{end}")),
        )
    });
    for (from, to) in copies.iter().filter(|(from, _)| Path::new(from).exists()) {
        fs::copy(from, to).unwrap();
    }
    let python = Path::new(&openstack()).with_file_name("python");
    run(
        python.to_str().unwrap(),
        &["-c", BREAK, database.to_str().unwrap()],
    );
    finds(
        &host,
        &[
            "is BUILD (None) on record, and ACTIVE",
            &format!("belongs to server {STRANGER}, which is not there"),
            &format!("is a network:router_interface, and its owner {STRANGER} is not there"),
            "is not of its subnet",
            "has 0 ports of a resolver",
            "names a row of table security_group that is not there",
        ],
    );
    let _ = fs::remove_file(format!("{}-shm", database.display()));
    for (to, from) in &copies {
        match from.exists() {
            true => drop(fs::copy(from, to).unwrap()),
            false => drop(fs::remove_file(to)),
        }
    }
    host.up();
}
