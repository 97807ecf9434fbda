//! A cloud of made-up nodes, run by a user without rights and used through openstacksdk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::host::{HEXTET, openstack};

/// A user of no other process here.
const NOBODY: u32 = 65_533;

struct Fakes {
    root: PathBuf,
    up: Option<Child>,
}

impl Fakes {
    fn new() -> Fakes {
        let root = std::env::temp_dir().join(format!("hxf{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        chown(&root, Some(NOBODY), Some(NOBODY)).unwrap();
        // The checkout may lie where only its owner can look.
        fs::copy(HEXTET, root.join("hextet")).unwrap();
        fs::set_permissions(root.join("hextet"), PermissionsExt::from_mode(0o755)).unwrap();
        Fakes { root, up: None }
    }

    fn hextet(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.root.join("hextet"));
        command.arg("--root").arg(self.root.join("cloud"));
        command.args(arguments).env("PATH", "").current_dir("/");
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    fn up(&mut self) {
        let mut up = self.hextet(&["up"]);
        let mut up = up.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let out = up.stdout.take().unwrap();
        self.up = Some(up);
        BufReader::new(out).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready https://[::1]:"), "{line}");
    }

    fn kill(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    fn python(&self, stage: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fake.py");
        let ran = Command::new(Path::new(&openstack()).with_file_name("python"))
            .arg(script)
            .arg(stage)
            .env(
                "OS_CLIENT_CONFIG_FILE",
                self.root.join("cloud/etc/hextet/clouds.yaml"),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "stage {stage}: {said}");
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn made_up_nodes_need_no_rights_and_please_a_real_client() {
    let mut fakes = Fakes::new();
    let init = ["init", "--listen", "[::1]:0", "--fake-nodes", "3"];
    assert!(fakes.hextet(&init).status().unwrap().success());
    fakes.up();
    fakes.python("make");
    fakes.python("words");
    fakes.kill();
    fakes.up();
    fakes.python("again");
    let checked = fakes.hextet(&["manage", "check"]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    fakes.kill();
    assert!(fakes.hextet(&["node", "purge"]).status().unwrap().success());
}
