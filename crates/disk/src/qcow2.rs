//! The header of a qcow2 image (QEMU's docs/interop/qcow2.txt): enough of it to know that the image
//! stands for itself and how large its disk is. Its tables are left to QEMU's own tools.
//!
//! ```text
//!  0 magic, version        32 crypt method, l1 size      64 snapshots' offset       (version 2 ends)
//!  8 backing file          40 l1 offset                  72 incompatible features
//! 20 cluster bits          48 refcount table             80 compatible, autoclear features
//! 24 disk size             60 number of snapshots        96 refcount order, header length
//! ```

/// Why a qcow2 image cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

const VERSION_2_LENGTH: u64 = 72;
const VERSION_3_LENGTH: u64 = 104;

/// Incompatible features, by bit. Dirty: its reference counts may be wrong, its data is not.
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = 1 | COMPRESSION_TYPE | EXTENDED_L2;

/// Header extensions.
const END: u32 = 0;
const EXTERNAL_DATA_NAME: u32 = 0x4441_5441;
const ENCRYPTION: u32 = 0x0537_be77;

/// As QEMU has it: an L1 table of more is no image but an attack.
const MAX_L1_SIZE: u64 = 32 << 20;

/// The size in octets of the image's disk; `file_size` is that of the whole file.
///
/// # Errors
/// When another file belongs to it, when part of it is encrypted or a snapshot, when it has features
/// that are not known here, or when it contradicts itself.
pub(crate) fn virtual_size(head: &[u8], file_size: u64) -> Result<u64, Malformed> {
    let header = Header { head, file_size };
    let length = header.length()?;
    header.stands_alone()?;
    header.features(length)?;
    let size = header.u64(24)?;
    header.tables(size)?;
    header.extensions(length)?;
    Ok(size)
}

/// An empty layer of a disk of `size_bytes`: what is not written in it is that of the disk beneath,
/// which whoever opens it names.
pub fn qcow2_layer(size_bytes: u64) -> Vec<u8> {
    const BITS: u32 = 16;
    const CLUSTER: u64 = 1 << BITS;
    let l1_entries = size_bytes.div_ceil(CLUSTER * (CLUSTER / 8)).max(1);
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER);
    // Header, refcount table, refcount block, L1 table.
    let clusters = 3 + l1_clusters;
    let mut out = vec![0; (clusters * CLUSTER) as usize];
    let mut put = |at: u64, octets: &[u8]| {
        out[at as usize..at as usize + octets.len()].copy_from_slice(octets);
    };
    put(0, b"QFI\xfb");
    for (at, number) in [
        (4, 3),
        (20, BITS),
        (36, l1_entries as u32),
        (56, 1),
        (96, 4),
        (100, VERSION_3_LENGTH as u32),
    ] {
        put(at, &number.to_be_bytes());
    }
    for (at, number) in [
        (24, size_bytes),
        (40, 3 * CLUSTER),
        (48, CLUSTER),
        (CLUSTER, 2 * CLUSTER),
    ] {
        put(at, &number.to_be_bytes());
    }
    for cluster in 0..clusters {
        put(2 * CLUSTER + 2 * cluster, &1_u16.to_be_bytes());
    }
    out
}

struct Header<'a> {
    head: &'a [u8],
    file_size: u64,
}

impl Header<'_> {
    fn u32(&self, at: u64) -> Result<u32, Malformed> {
        let octets = usize::try_from(at).ok().and_then(|at| self.head.get(at..));
        let number = octets.and_then(|rest| rest.first_chunk());
        number
            .map(|octets| u32::from_be_bytes(*octets))
            .ok_or_else(|| malformed("its header is cut off"))
    }

    fn u64(&self, at: u64) -> Result<u64, Malformed> {
        Ok(u64::from(self.u32(at)?) << 32 | u64::from(self.u32(at + 4)?))
    }

    fn cluster_bits(&self) -> Result<u32, Malformed> {
        match self.u32(20)? {
            bits @ 9..=21 => Ok(bits),
            bits => refuse(format!(
                "its clusters of 2^{bits} octets are none QEMU makes"
            )),
        }
    }

    fn length(&self) -> Result<u64, Malformed> {
        let cluster = 1_u64 << self.cluster_bits()?;
        match self.u32(4)? {
            2 => Ok(VERSION_2_LENGTH),
            3 => match u64::from(self.u32(100)?) {
                length if length < VERSION_3_LENGTH || length > cluster || length % 8 != 0 => {
                    refuse(format!("its header says it is {length} octets long"))
                }
                length => Ok(length),
            },
            version => refuse(format!("its version is {version}, and 2 and 3 are known")),
        }
    }

    /// No other file, no key, and no other state is needed to read it.
    fn stands_alone(&self) -> Result<(), Malformed> {
        if self.u64(8)? != 0 || self.u32(16)? != 0 {
            return refuse("it has a backing file");
        }
        if self.u32(32)? != 0 {
            return refuse("it is encrypted");
        }
        if self.u32(60)? != 0 {
            return refuse("it has internal snapshots");
        }
        Ok(())
    }

    fn incompatible(&self) -> Result<u64, Malformed> {
        match self.u32(4)? {
            2 => Ok(0),
            _ => self.u64(72),
        }
    }

    fn features(&self, length: u64) -> Result<(), Malformed> {
        let features = self.incompatible()?;
        if features & EXTERNAL_DATA != 0 {
            return refuse("its data lies in an external file");
        }
        if features & CORRUPT != 0 {
            return refuse("it is marked as corrupt");
        }
        if features & !KNOWN != 0 {
            return refuse(format!(
                "it has incompatible features that are not known here ({:#x})",
                features & !KNOWN
            ));
        }
        if length > VERSION_3_LENGTH && self.u32(VERSION_3_LENGTH)? >> 24 > 1 {
            return refuse("its compression is neither zlib nor zstd");
        }
        if length >= VERSION_3_LENGTH && self.u32(96)? > 6 {
            return refuse("its reference counts are wider than 64 bits");
        }
        Ok(())
    }

    /// The tables lie within the file, and the first can hold as much as the disk.
    fn tables(&self, size: u64) -> Result<(), Malformed> {
        let cluster = 1_u64 << self.cluster_bits()?;
        let entry = match self.incompatible()? & EXTENDED_L2 {
            0 => 8,
            _ => 16,
        };
        let covered_by_one = cluster * (cluster / entry);
        let l1_size = u64::from(self.u32(36)?) * 8;
        if l1_size > MAX_L1_SIZE || l1_size / 8 < size.div_ceil(covered_by_one) {
            return refuse(format!(
                "its L1 table of {l1_size} octets does not fit a disk of {size}"
            ));
        }
        let refcount_size = u64::from(self.u32(56)?) * cluster;
        for (what, at, length) in [
            ("L1", self.u64(40)?, l1_size),
            ("refcount", self.u64(48)?, refcount_size),
        ] {
            let within = at
                .checked_add(length)
                .is_some_and(|end| end <= self.file_size);
            if length > 0 && !(within && at >= cluster && at % cluster == 0) {
                return refuse(format!("its {what} table lies outside the file"));
            }
        }
        Ok(())
    }

    /// The extensions lie between the header and the end of the first cluster.
    fn extensions(&self, mut at: u64) -> Result<(), Malformed> {
        let end = 1_u64 << self.cluster_bits()?;
        while at + 8 <= end {
            let (kind, length) = (self.u32(at)?, u64::from(self.u32(at + 4)?));
            match kind {
                END => return Ok(()),
                EXTERNAL_DATA_NAME => return refuse("it names an external data file"),
                ENCRYPTION => return refuse("it is encrypted"),
                _ => at += 8 + length.next_multiple_of(8),
            }
        }
        refuse("the extensions of its header do not end")
    }
}

fn malformed(why: impl Into<String>) -> Malformed {
    Malformed(why.into())
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(malformed(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `qemu-img create -f qcow2 disk 1G` makes it, so far as it is read here.
    fn sample() -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..4].copy_from_slice(b"QFI\xfb");
        let mut put = |at: usize, number: u32| {
            head[at..at + 4].copy_from_slice(&number.to_be_bytes());
        };
        put(4, 3);
        put(20, 16);
        put(28, 1 << 30);
        put(36, 2);
        put(44, 0x3_0000);
        put(52, 0x1_0000);
        put(56, 1);
        put(96, 4);
        put(100, 104);
        head
    }

    const FILE: u64 = 0x4_0000;

    #[test]
    fn a_plain_image_is_taken() {
        assert_eq!(virtual_size(&sample(), FILE), Ok(1 << 30));
        let mut old = sample();
        old[7] = 2;
        old[72..].fill(0);
        assert_eq!(virtual_size(&old, FILE), Ok(1 << 30));
    }

    #[test]
    fn what_it_says_of_itself_is_held_against_it() {
        for (at, value, why) in [
            (7, 4, "version is 4"),
            (15, 1, "backing file"),
            (19, 1, "backing file"),
            (23, 8, "2^8"),
            (23, 22, "2^22"),
            (35, 1, "encrypted"),
            (35, 2, "encrypted"),
            (24, 1, "L1 table"),
            (36, 1, "L1 table"),
            (39, 1, "L1 table"),
            (40, 0xff, "outside"),
            (45, 9, "outside"),
            (47, 1, "outside"),
            (45, 0, "outside"),
            (49, 1, "outside"),
            (56, 1, "outside"),
            (63, 1, "snapshots"),
            (79, 2, "corrupt"),
            (79, 4, "external"),
            (79, 32, "0x20"),
            (72, 128, "0x8000000000000000"),
            (99, 7, "64 bits"),
            (103, 96, "96 octets"),
            (103, 105, "105 octets"),
            (101, 2, "octets long"),
        ] {
            let mut head = sample();
            head[at] = value;
            let refused = virtual_size(&head, FILE).unwrap_err().to_string();
            assert!(refused.contains(why), "{at} {value}: {refused}");
        }
        let mut zstd = sample();
        (zstd[79], zstd[103], zstd[104]) = (8, 112, 1);
        assert_eq!(virtual_size(&zstd, FILE), Ok(1 << 30));
        zstd[104] = 2;
        assert!(virtual_size(&zstd, FILE).is_err());
    }

    #[test]
    fn extensions_are_read_to_their_end() {
        let with = |kind: u32, length: u32| {
            let mut head = sample();
            head[104..108].copy_from_slice(&kind.to_be_bytes());
            head[108..112].copy_from_slice(&length.to_be_bytes());
            virtual_size(&head, FILE)
        };
        assert_eq!(with(0x6803_f857, 5), Ok(1 << 30));
        assert!(with(EXTERNAL_DATA_NAME, 5).is_err());
        assert!(with(ENCRYPTION, 16).is_err());
        assert!(with(0x6803_f857, 1000).is_err());
        assert!(with(0x6803_f857, u32::MAX).is_err());
        for length in 0..104 {
            assert!(virtual_size(&sample()[..length], FILE).is_err(), "{length}");
        }
    }
}
