//! Images as qemu-img makes them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use disk::HEAD_SIZE;

/// A directory that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("hextet-disk-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        Scratch(dir)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn qemu_img(&self, arguments: &[&str]) {
        let mut command = Command::new("qemu-img");
        let output = command
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn check(&self, name: &str) -> Result<u64, String> {
        let data = fs::read(self.0.join(name)).unwrap();
        let head = &data[..data.len().min(HEAD_SIZE)];
        disk::check("qcow2", head, data.len() as u64).map_err(|e| e.to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whole_images_are_taken() {
    let scratch = Scratch::new();
    for options in [
        "compat=1.1",
        "compat=0.10",
        "cluster_size=512",
        "cluster_size=2M",
        "extended_l2=on,cluster_size=128k",
        "compression_type=zstd",
        "lazy_refcounts=on",
        "refcount_bits=1",
        "preallocation=metadata",
    ] {
        scratch.qemu_img(&["create", "-q", "-f", "qcow2", "-o", options, "a", "100M"]);
        assert_eq!(scratch.check("a"), Ok(100 << 20), "{options}");
    }
    scratch.qemu_img(&["create", "-q", "-f", "qcow2", "a", "0"]);
    assert_eq!(scratch.check("a"), Ok(0));
}

#[test]
fn a_layer_is_one_for_qemu_too() {
    let scratch = Scratch::new();
    for size in [0, 1 << 30, (5_u64 << 40) + 512] {
        fs::write(scratch.path("a"), disk::qcow2_layer(size)).unwrap();
        assert_eq!(scratch.check("a"), Ok(size));
        scratch.qemu_img(&["check", "-q", "-f", "qcow2", "a"]);
    }
    fs::write(scratch.path("base"), [7; 4096]).unwrap();
    fs::write(scratch.path("a"), disk::qcow2_layer(8192)).unwrap();
    fs::write(scratch.path("all"), [vec![7; 4096], vec![0; 4096]].concat()).unwrap();
    let layered = "driver=qcow2,file.driver=file,file.filename=a,backing.driver=raw,\
                   backing.file.driver=file,backing.file.filename=base";
    let whole = "driver=raw,file.driver=file,file.filename=all";
    scratch.qemu_img(&["compare", "-q", "--image-opts", layered, whole]);
}

#[test]
fn images_that_need_more_than_themselves_are_refused() {
    let scratch = Scratch::new();
    let refused = |why: &str| {
        let refused = scratch.check("a").unwrap_err();
        assert!(refused.contains(why), "{refused}");
    };
    let create = |options: &[&str]| {
        let begin = ["create", "-q", "-f", "qcow2"];
        scratch.qemu_img(&[&begin, options].concat());
    };
    create(&["base", "1M"]);
    create(&["-b", "base", "-F", "qcow2", "a"]);
    refused("backing file");
    create(&["-o", "data_file=data", "a", "1M"]);
    refused("external");
    let key = "secret,id=key,data=secret";
    create(&[
        "--object",
        key,
        "-o",
        // LUKS would first measure the processor, which qemu-img gives up on a busy one.
        "encrypt.format=aes,encrypt.key-secret=key",
        "a",
        "1M",
    ]);
    refused("encrypted");
    create(&["a", "1M"]);
    scratch.qemu_img(&["snapshot", "-c", "s", "a"]);
    refused("snapshots");
    for format in ["qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "parallels"] {
        scratch.qemu_img(&["create", "-q", "-f", format, "other", "1M"]);
        let data = fs::read(scratch.path("other")).unwrap();
        for declared in ["raw", "qcow2", "aki"] {
            let head = &data[..data.len().min(HEAD_SIZE)];
            let refused = disk::check(declared, head, data.len() as u64);
            assert!(matches!(refused, Err(disk::Refused::Format(_))), "{format}");
        }
    }
}
