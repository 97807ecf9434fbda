//! Lives of ours that end while guests go on, or at any moment of a start.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use model::{Ended, PowerSeen, Server};

use super::host::{Host, LONG};
use super::sector::Sector;

#[tokio::test(flavor = "multi_thread")]
async fn guests_outlive_us_and_are_adopted() {
    let host = Host::new();
    let mut node = host.node();
    let server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    let before = host.processes(&server);
    assert_eq!(before.len(), 1);
    drop(node);

    let mut node = host.node();
    node.want(&server);
    let seen = node.until(&server, PowerSeen::Running).await;
    assert_eq!(seen.started_epoch, 1);
    assert_eq!(host.processes(&server), before);
    node.until_console(&server, "hello").await;
    drop(node);

    // We were killed after QEMU started and before that was written down.
    let path = host
        .settings
        .state
        .join(server.id.to_string())
        .join("state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["launching"] = state["done"].take();
    state["done"] = serde_json::json!({"start": 0, "reboot": 0});
    state["process"] = serde_json::Value::Null;
    fs::write(&path, state.to_string()).unwrap();
    let mut node = host.node();
    node.want(&server);
    assert_eq!(
        node.until(&server, PowerSeen::Running).await.started_epoch,
        1
    );
    assert_eq!(host.processes(&server), before);
    drop(node);

    // Its server was deleted while we were away.
    let mut node = host.node();
    node.want_nothing();
    node.until_gone(&server).await;
    host.assert_nothing_left(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_we_were_away() {
    let host = Host::new();
    let mut node = host.node();
    let (brief, killed) = (host.server(Sector::Brief), host.server(Sector::Deaf));
    node.want_all(&[&brief, &killed]);
    for server in [&brief, &killed] {
        node.until(server, PowerSeen::Running).await;
    }
    drop(node);
    host.kill(&killed);
    host.until_off(&brief).await;
    assert_eq!(host.processes(&brief).len(), 1);

    let mut node = host.node();
    node.want_all(&[&brief, &killed]);
    for (server, how) in [(&brief, Ended::PoweredOff), (&killed, Ended::Unknown)] {
        let seen = node.until(server, PowerSeen::Stopped).await;
        assert_eq!((seen.started_epoch, seen.failure), (1, None));
        assert_eq!(seen.ended.unwrap().how, how);
        assert_eq!(host.processes(server), []);
    }
    assert!(
        node.guests
            .console(brief.id, None)
            .await
            .unwrap()
            .contains("hello")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_ended_and_was_deleted_while_we_were_away_leaves_nothing() {
    let host = Host::new();
    let mut node = host.node();
    let server = host.server(Sector::Deaf);
    node.want(&server);
    node.until(&server, PowerSeen::Running).await;
    assert!(host.keeps_in());
    drop(node);
    host.kill(&server);

    let mut node = host.node();
    node.want_nothing();
    node.until_gone(&server).await;
    host.assert_nothing_left(&server);
    assert!(!host.keeps_in());
}

/// Lives of ours that end a little later each time, somewhere between "nothing" and "running".
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_next_life_goes_on() {
    let host = Host::new();
    for moment_ms in (0..60).step_by(2) {
        let server = host.server(Sector::Deaf);
        let mut life = Life::start(&host, &server);
        tokio::time::sleep(Duration::from_millis(moment_ms)).await;
        life.0.kill().unwrap();
        life.0.wait().unwrap();
        let early = host.processes(&server);

        let mut node = host.node();
        node.want(&server);
        let seen = node.until(&server, PowerSeen::Running).await;
        assert_eq!(
            (seen.started_epoch, seen.failure),
            (1, None),
            "{moment_ms} ms"
        );
        let now = host.processes(&server);
        assert_eq!(now.len(), 1, "{moment_ms} ms");
        assert!(
            early.iter().all(|process| now.contains(process)),
            "{moment_ms} ms"
        );
        eprintln!("{moment_ms} ms: {} adopted", early.len());
        node.want_nothing();
        node.until_gone(&server).await;
        host.assert_nothing_left(&server);
    }
}

/// Our own program again, running nothing but [`a_life`].
struct Life(std::process::Child);

impl Life {
    fn start(host: &Host, server: &Server) -> Life {
        let path = host.root.join("server.json");
        fs::write(&path, serde_json::to_vec(server).unwrap()).unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "guest::away::a_life", "--ignored", "--nocapture"]);
        command
            .env("HEXTET_LIFE", &host.root)
            .env("HEXTET_LIFE_CGROUP", host.group());
        command.stdout(std::process::Stdio::null());
        Life(command.spawn().unwrap())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other test starts it, and kills it"]
async fn a_life() {
    let Some(root) = std::env::var_os("HEXTET_LIFE") else {
        return;
    };
    let root = PathBuf::from(root);
    let server = fs::read(root.join("server.json")).unwrap();
    let group = std::env::var("HEXTET_LIFE_CGROUP").unwrap();
    let host = std::mem::ManuallyDrop::new(Host::at(root, &group));
    let node = host.node();
    node.want(&serde_json::from_slice(&server).unwrap());
    tokio::time::sleep(LONG).await;
}
