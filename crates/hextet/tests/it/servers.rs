//! Servers from end to end: openstacksdk, the real agent, QEMU, and a guest that answers.

use std::time::{Duration, Instant};

use crate::host::Host;

/// Looks until it holds: the API answers before the node has tidied up.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < end, "not within 5 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_lives_through_everything_and_leaves_nothing() {
    let mut host = Host::new();
    host.up();
    host.python("make");
    let guests = host.guests();
    assert_eq!(guests.len(), 2, "{}", host.log());

    let second = host.hextet(&["up"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && said.contains("another hextet runs on this root"),
        "{said}"
    );

    host.python("unmapped");
    host.kill();
    assert_eq!(host.guests(), guests, "guests outlive hextet");
    let (database, away) = (
        host.root.join("var/lib/hextet/hextet.db"),
        host.root.join("away"),
    );
    std::fs::rename(&database, &away).unwrap();
    let without = host.hextet(&["up"]);
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(
        !without.status.success() && said.contains("hextet.db is not there"),
        "{said}"
    );
    assert_eq!(
        host.guests(),
        guests,
        "a lost database is no order to remove"
    );
    std::fs::rename(&away, &database).unwrap();
    // What the node forgot is unknown to it, not unwanted.
    std::fs::write(host.root.join("var/lib/hextet/node/documents.jsonl"), "").unwrap();
    host.up();
    host.python("restarted");
    assert_eq!(
        host.guests(),
        guests,
        "they were adopted, not started again"
    );

    host.python("power");
    host.kill();
    host.up();
    host.python("still_off");
    host.python("strangers");
    host.python("remove");
    assert_eq!(host.guests(), Vec::<u32>::new());
    until("its namespaces are gone", || host.namespaces().is_empty());
    for dir in [
        "var/lib/hextet/guests",
        "run/hextet/guests",
        "var/lib/hextet/images",
    ] {
        let left: Vec<_> = std::fs::read_dir(host.root.join(dir))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(left.is_empty(), "{dir} holds {left:?}");
    }
}

#[test]
fn purge_takes_a_killed_cloud_away_and_nothing_else() {
    let mut host = Host::new();
    host.up();
    host.python("make");
    host.kill();
    assert!(!host.guests().is_empty() && !host.namespaces().is_empty());
    let purged = host.hextet(&["node", "purge"]);
    assert!(
        purged.status.success(),
        "{}",
        String::from_utf8_lossy(&purged.stderr)
    );
    assert_eq!(host.namespaces(), Vec::<String>::new());
    assert_eq!(host.guests(), Vec::<u32>::new());
    assert!(
        host.root.join("var/lib/hextet/hextet.db").exists(),
        "the database stays"
    );
    // The cloud still wants its servers, so the next start makes them again.
    host.up();
    host.python("restarted");
}
