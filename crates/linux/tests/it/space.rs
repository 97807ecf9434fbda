//! Namespaces that vanish with the test, and what `ip -j` says of them.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use linux::netns::Netns;

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Space(pub(crate) Netns);

impl Space {
    pub(crate) fn new() -> Space {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hxlinux-{}-{number}", std::process::id());
        Space(Netns::ensure(&name).expect("these tests make network namespaces: run them as root"))
    }

    /// What a command prints inside.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", self.0.name(), "sh", "-c", script])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Netns::remove(self.0.name());
    }
}
