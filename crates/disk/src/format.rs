//! Which format data is in, by its own words.

use crate::qcow2::{self, Malformed};

/// How many octets of an image's beginning [`check`] wants to see, or all when there are fewer.
pub const HEAD_SIZE: usize = 64 << 10;

/// A format that data shows itself to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// None of those that can be told: octets as a disk has them.
    Raw,
    Qcow2,
    /// One that no image may be in, by its name.
    Other(&'static str),
}

/// Why an image's data is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "the data is {found}, and the image says it is {declared}: set disk_format to what it is, or upload other data"
    )]
    Mismatch {
        declared: String,
        found: &'static str,
    },
    #[error(
        "the data is {0}, a format that this cloud does not take: convert it to raw or qcow2 (qemu-img convert)"
    )]
    Format(&'static str),
    #[error(
        "the qcow2 image cannot be used: {0}; make a whole one of it (qemu-img convert -O qcow2)"
    )]
    Qcow2(#[from] Malformed),
    #[error("disk_format '{0}' is not a disk's: raw, ami or qcow2 is")]
    NoDisk(String),
}

/// Where a format's mark is, and what it is.
struct Mark(usize, &'static [u8], Format);

/// QEMU takes data for these when it may guess (`block/*.c`, each format's `probe`), and some of
/// them name further files.
const MARKS: [Mark; 15] = [
    Mark(0, b"QFI\xfb\0\0\0\x01", Format::Other("qcow")),
    Mark(0, b"QFI\xfb", Format::Qcow2),
    Mark(0, b"QED\0", Format::Other("qed")),
    Mark(0, b"KDMV", Format::Other("vmdk")),
    Mark(0, b"COWD", Format::Other("vmdk")),
    Mark(64, b"\x7f\x10\xda\xbe", Format::Other("vdi")),
    Mark(0, b"vhdxfile", Format::Other("vhdx")),
    Mark(0, b"conectix", Format::Other("vhd")),
    Mark(0, b"LUKS\xba\xbe", Format::Other("luks")),
    Mark(0, b"WithoutFreeSpace", Format::Other("parallels")),
    Mark(0, b"WithouFreSpacExt", Format::Other("parallels")),
    Mark(0, b"Bochs Virtual HD Image", Format::Other("bochs")),
    Mark(0, b"#!/bin/sh\n#V2.0 Format\n", Format::Other("cloop")),
    Mark(0, b"OOOM", Format::Other("uml cow")),
    Mark(0, b"MOOO", Format::Other("uml cow")),
];

/// The format of data that begins so.
pub fn probe(head: &[u8]) -> Format {
    let marked = MARKS
        .iter()
        .find(|Mark(at, mark, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
    match marked {
        Some(Mark(.., format)) => *format,
        None if is_vmdk_text(head) => Format::Other("vmdk"),
        None => Format::Raw,
    }
}

/// A VMDK may be a text that names other files: comments and blank lines, then its version.
fn is_vmdk_text(head: &[u8]) -> bool {
    let mut lines = head.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    let descriptor = b"# disk descriptorfile";
    let Some(first) = lines.next() else {
        return false;
    };
    let names_itself = |line: &[u8]| {
        line.get(..descriptor.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(descriptor))
    };
    if names_itself(first) {
        return true;
    }
    let begins = first.starts_with(b"#") || first.is_empty();
    let next = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    begins && next.is_some_and(|line| line.starts_with(b"version="))
}

/// The size in octets of the disk that data of a declared `disk_format` holds. `head` is its
/// beginning ([`HEAD_SIZE`]), `size_bytes` how much there is of it.
///
/// # Errors
/// When the data is not what it is declared to be, or nothing that a guest should be made of.
pub fn check(declared: &str, head: &[u8], size_bytes: u64) -> Result<u64, Refused> {
    let mismatch = |found| Refused::Mismatch {
        declared: declared.to_owned(),
        found,
    };
    match (declared, probe(head)) {
        // A kernel or a ramdisk; QEMU hands it to the guest as it is.
        ("aki" | "ari", Format::Raw) => Ok(size_bytes),
        ("raw" | "ami", Format::Raw) => Ok(size_bytes),
        ("raw" | "ami" | "aki" | "ari", Format::Qcow2) => Err(mismatch("qcow2")),
        ("qcow2", Format::Qcow2) => Ok(qcow2::virtual_size(head, size_bytes)?),
        ("qcow2", Format::Raw) => Err(mismatch("not qcow2")),
        (_, Format::Other(found)) => Err(Refused::Format(found)),
        (other, _) => Err(Refused::NoDisk(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_formats() {
        let check = |head: &[u8], expected: Format| {
            assert_eq!(probe(head), expected, "{:?}", String::from_utf8_lossy(head));
        };
        check(b"", Format::Raw);
        check(&[0; 512], Format::Raw);
        check(b"QFI\xfb\0\0\0\x03", Format::Qcow2);
        check(b"QFI\xfb\0\0\0\x01", Format::Other("qcow"));
        let mut vdi = b"<<< Oracle VM VirtualBox Disk Image >>>\n".to_vec();
        vdi.resize(64, 0);
        check(&vdi, Format::Raw);
        vdi.extend(b"\x7f\x10\xda\xbe");
        check(&vdi, Format::Other("vdi"));
        check(b"# Disk DescriptorFile\nversion=1\n", Format::Other("vmdk"));
        check(b"# a comment\r\n\r\nversion=3\r\n", Format::Other("vmdk"));
        check(b"\n \nversion=1\n", Format::Other("vmdk"));
        check(b"#!/bin/sh\necho version=1\n", Format::Raw);
        check(b"#cloud-config\nversion: 1\n", Format::Raw);
    }

    #[test]
    fn what_is_declared_must_be_there() {
        let sentence = |declared: &str, head: &[u8]| {
            let refused = super::check(declared, head, head.len() as u64);
            refused.unwrap_err().to_string()
        };
        assert_eq!(super::check("raw", b"abc", 3), Ok(3));
        assert_eq!(super::check("aki", b"MZ", 2), Ok(2));
        assert!(sentence("raw", b"QFI\xfb\0\0\0\x03").contains("is qcow2"));
        assert!(sentence("qcow2", b"abc").contains("not qcow2"));
        assert!(sentence("raw", b"KDMV").contains("vmdk"));
        assert!(sentence("qcow2", b"vhdxfile").contains("vhdx"));
        assert!(sentence("iso", b"abc").contains("'iso'"));
    }
}
