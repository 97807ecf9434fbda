//! Disks that genisoimage's reader, and the kernel, must be able to read.

use std::process::Command;

use disk::iso::{self, File};

use crate::qcow2::Scratch;

fn files() -> Vec<File> {
    let file = |path: &str, content: &[u8]| (path.to_owned(), content.to_vec());
    let mut files = vec![
        file("openstack/latest/meta_data.json", b"{\"uuid\": \"x\"}"),
        file("openstack/latest/user_data", &[7; 5000]),
        file("openstack/2012-08-10/user_data", &[7; 5000]),
        file("openstack/2012-08-10/empty", b""),
        file("ec2/latest/meta-data.json", b"{}"),
        file("README", b"text"),
    ];
    // A directory of more than one sector.
    files.extend((0..100).map(|n| file(&format!("many/file-{n}.txt"), &[n as u8; 3])));
    files
}

fn isoinfo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("isoinfo").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn others_read_what_is_written() {
    let scratch = Scratch::new();
    let disk = scratch.path("config.iso");
    let written = iso::write("config-2", &files()).unwrap();
    assert_eq!(written.len() % 2048, 0);
    assert_eq!(iso::write("config-2", &files()).unwrap(), written);
    std::fs::write(&disk, &written).unwrap();
    for joliet in [true, false] {
        let mut read = vec!["-i", &disk];
        read.extend(joliet.then_some("-J"));
        for (path, content) in files() {
            let name = match joliet {
                true => format!("/{path};1"),
                false => plain(&path),
            };
            let extract = [read.as_slice(), &["-x", &name]].concat();
            assert_eq!(isoinfo(&extract), content, "{name}");
        }
        let listed = String::from_utf8(isoinfo(&[read.as_slice(), &["-f"]].concat())).unwrap();
        let expected = files().len() + 6;
        assert_eq!(listed.lines().count(), expected, "{listed}");
    }
    let label = String::from_utf8(isoinfo(&["-i", &disk, "-d"])).unwrap();
    assert!(label.contains("Volume id: config-2"), "{label}");
    // Both copies of the user data share their place.
    assert!(written.len() < 19 * 2048 + 5000 + 2048 * (files().len() + 30));
}

fn plain(path: &str) -> String {
    let path = path.to_uppercase().replace('-', "_");
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let slash = if directory.is_empty() { "" } else { "/" };
    let dot = if name.contains('.') { "" } else { "." };
    format!("{slash}{directory}/{name}{dot};1")
}

#[test]
fn paths_are_paths() {
    let long = "x".repeat(31);
    for bad in ["", "a//b", "/a", "a/", "ä", &long, "1/2/3/4/5/6/7/8/9"] {
        let files = [(bad.to_owned(), Vec::new())];
        assert!(iso::write("x", &files).is_err(), "{bad}");
    }
    let twice = [("a".to_owned(), Vec::new()), ("a".to_owned(), Vec::new())];
    assert!(iso::write("x", &twice).is_err());
}
