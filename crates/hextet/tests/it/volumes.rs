//! Volumes from end to end: openstacksdk, the real agent, tgtd, QEMU, and guests that write and read.

use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::host::Host;

/// The tgtd of this cloud, by the directory that it works in.
fn tgtd(host: &Host) -> Vec<i32> {
    let files = host.root.join("var/lib/hextet/volumes");
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
    let here = |pid: &i32| {
        let works = std::fs::read_link(format!("/proc/{pid}/cwd"));
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        works.is_ok_and(|dir| dir == files) && name.is_ok_and(|name| name == "tgtd\n")
    };
    all.filter(here).collect()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_volume_goes_from_server_to_server_and_leaves_nothing() {
    let mut host = Host::new();
    host.up();
    host.python("make");
    assert!(tgtd(&host).is_empty(), "nothing serves no volume");
    host.python("volume_written");
    let serving = tgtd(&host);
    assert_eq!(serving.len(), 1, "{}", host.log());

    // Volumes outlive hextet, and what serves them may be killed under a guest that has one.
    host.kill();
    assert_eq!(tgtd(&host), serving);
    host.up();
    nix::sys::signal::kill(Pid::from_raw(serving[0]), Signal::SIGKILL).unwrap();
    host.python("volume_survived");
    assert_ne!(tgtd(&host), serving);

    host.python("volume_moved");
    host.python("volume_booted");
    host.python("card_plugged");
    host.python("volumes_removed");
    assert!(is_empty(&host.root.join("var/lib/hextet/volumes")));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !tgtd(&host).is_empty() {
        assert!(
            std::time::Instant::now() < end,
            "tgtd serves nothing and is still there"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_a_guest_wrote_survives_the_death_of_its_qemu() {
    let mut host = Host::new();
    host.up();
    host.python("make");
    host.python("volume_written");
    host.python("qemu_killed");
}
