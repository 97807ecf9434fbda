use std::process::Command;

use linux::process::{ProcessId, alive, kill};
use nix::sys::signal::Signal;

#[test]
fn a_process_is_ended_once() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let id = ProcessId::of(child.id().cast_signed()).unwrap();
    assert!(alive(id));
    let other = ProcessId {
        started: id.started - 1,
        ..id
    };
    assert!(!alive(other));
    assert!(
        !kill(other, Signal::SIGKILL).unwrap(),
        "another process had this number"
    );
    assert!(alive(id));
    assert!(kill(id, Signal::SIGKILL).unwrap());
    child.wait().unwrap();
    assert!(!alive(id));
    assert!(!kill(id, Signal::SIGKILL).unwrap());
}
