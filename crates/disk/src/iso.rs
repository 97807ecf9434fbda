//! Writes ISO 9660 file systems (ECMA-119) with Joliet names: read-only disks of a few small files,
//! which every system reads.
//!
//! ```text
//! 16 descriptor  17 Joliet's  18 end | path tables of both trees | directories of both | files
//! ```
//! Sectors have 2048 octets. Both trees lead to the same files, and files with the same content
//! share their place. The same input makes the same octets: the time of everything is 1970.

use std::collections::BTreeMap;

const SECTOR: usize = 2048;

/// The system area (ECMA-119, 6.2.1) and the three descriptors.
const FIRST_FREE: usize = 19;

/// The deepest a file may lie, and the longest name; deeper and longer ones are legal for few.
const MAX_DEPTH: usize = 8;
const MAX_NAME: usize = 30;

/// A file and its path from the root, with `/` between the names.
pub type File = (String, Vec<u8>);

/// Why files cannot be written as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot be a path on an ISO 9660 disk")]
pub struct BadPath(String);

/// A file system with this label and these files.
///
/// # Errors
/// When a path is no path, is there twice, or is too long.
pub fn write(label: &str, files: &[File]) -> Result<Vec<u8>, BadPath> {
    let plain = Tree::new(files, Names::Plain)?;
    let joliet = Tree::new(files, Names::Joliet)?;
    let plain_at = FIRST_FREE;
    let joliet_at = plain_at + plain.sectors();
    let files_at = joliet_at + joliet.sectors();
    let data = Data::new(files, files_at);
    let mut out = vec![0; 16 * SECTOR];
    for (kind, tree, at) in [(1, &plain, plain_at), (2, &joliet, joliet_at)] {
        out.extend(tree.descriptor(kind, label, at, files_at + data.sectors));
    }
    out.extend(padded(b"\xffCD001\x01".to_vec()));
    for (tree, at) in [(&plain, plain_at), (&joliet, joliet_at)] {
        out.extend(tree.emit(at, &data));
    }
    for content in data.contents {
        out.extend(padded(content.to_vec()));
    }
    Ok(out)
}

/// Where each file's content lies, in the order of the files.
struct Data<'a> {
    places: Vec<(usize, usize)>,
    contents: Vec<&'a [u8]>,
    sectors: usize,
}

impl<'a> Data<'a> {
    fn new(files: &'a [File], at: usize) -> Data<'a> {
        let mut known: BTreeMap<&[u8], usize> = BTreeMap::new();
        let (mut places, mut contents, mut next) = (Vec::new(), Vec::new(), at);
        for (_, content) in files {
            let place = *known.entry(content).or_insert_with(|| {
                contents.push(content.as_slice());
                let place = next;
                next += sectors_of(content.len());
                place
            });
            places.push((place, content.len()));
        }
        let sectors = next - at;
        Data {
            places,
            contents,
            sectors,
        }
    }
}

/// How a tree writes its names.
#[derive(Clone, Copy)]
enum Names {
    /// Capitals, digits and `_` (ECMA-119, 7.4.1).
    Plain,
    /// UCS-2, most significant octet first.
    Joliet,
}

impl Names {
    fn directory(self, name: &str) -> Vec<u8> {
        match self {
            Names::Plain => name.bytes().map(capital).collect(),
            Names::Joliet => ucs2(name),
        }
    }

    /// With the version that each file name ends in (ECMA-119, 7.5.1).
    fn file(self, name: &str) -> Vec<u8> {
        match self {
            Names::Plain => {
                let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
                let stem = stem.bytes().map(capital);
                let extension = extension.bytes().map(capital);
                stem.chain(*b".").chain(extension).chain(*b";1").collect()
            }
            Names::Joliet => ucs2(&format!("{name};1")),
        }
    }

    fn text(self, text: &str, length: usize) -> Vec<u8> {
        let (mut octets, blank) = match self {
            Names::Plain => (text.as_bytes().to_vec(), b" ".as_slice()),
            Names::Joliet => (ucs2(text), b"\0 ".as_slice()),
        };
        let room = length.saturating_sub(octets.len());
        octets.extend(blank.iter().cycle().take(room));
        octets.truncate(length);
        octets
    }
}

fn capital(octet: u8) -> u8 {
    match octet.to_ascii_uppercase() {
        plain @ (b'A'..=b'Z' | b'0'..=b'9') => plain,
        _ => b'_',
    }
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The directories of one tree, in the order of a path table (ECMA-119, 6.9.1): by depth, then by
/// parent, then by name.
struct Tree {
    names: Names,
    directories: Vec<Directory>,
}

#[derive(Default)]
struct Directory {
    name: Vec<u8>,
    parent: usize,
    /// Names and what they are, in the order of the names.
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Clone, Copy)]
enum Entry {
    Directory(usize),
    File(usize),
}

impl Tree {
    fn new(files: &[File], names: Names) -> Result<Tree, BadPath> {
        let mut root = Node::default();
        for (index, (path, _)) in files.iter().enumerate() {
            let steps: Vec<&str> = path.split('/').collect();
            let fits = |step: &&str| (1..=MAX_NAME).contains(&step.len()) && step.is_ascii();
            let added = steps.len() <= MAX_DEPTH
                && steps.iter().all(fits)
                && root.add(names, &steps, index);
            if !added {
                return Err(BadPath(path.clone()));
            }
        }
        Ok(Tree {
            names,
            directories: root.flatten(),
        })
    }

    /// Both path tables and all directories.
    fn sectors(&self) -> usize {
        2 * sectors_of(self.path_table_size()) + self.directory_sectors().iter().sum::<usize>()
    }

    fn directory_sectors(&self) -> Vec<usize> {
        let sizes = self.directories.iter().map(|directory| {
            let names = directory.entries.keys().map(Vec::len);
            let records = [1, 1].into_iter().chain(names).map(record_length);
            let end = records.fold(0, |at, length| place(at, length) + length);
            sectors_of(end)
        });
        sizes.collect()
    }

    /// The sector at which each directory begins, in a tree that begins at `at`.
    fn places(&self, at: usize) -> Vec<usize> {
        let first = at + 2 * sectors_of(self.path_table_size());
        let sizes = self.directory_sectors();
        sizes
            .iter()
            .scan(first, |next, size| {
                let place = *next;
                *next += size;
                Some(place)
            })
            .collect()
    }

    fn path_table_size(&self) -> usize {
        let names = self.directories.iter().map(|d| d.name.len());
        names.map(|name| 8 + name.next_multiple_of(2)).sum()
    }

    /// A volume descriptor (ECMA-119, 8.4; 8.5 for kind 2).
    fn descriptor(&self, kind: u8, label: &str, at: usize, sectors: usize) -> Vec<u8> {
        let text = |text: &str, length| self.names.text(text, length);
        let table = sectors_of(self.path_table_size());
        let root = (self.places(at)[0], self.directory_sectors()[0] * SECTOR);
        let mut out = vec![kind];
        out.extend(b"CD001\x01\0");
        out.extend(text("", 32));
        out.extend(text(label, 32));
        out.extend([0; 8]);
        out.extend(both_32(sectors));
        let mut escapes = [0; 32];
        if let Names::Joliet = self.names {
            escapes[..3].copy_from_slice(b"%/E"); // UCS-2 level 3
        }
        out.extend(escapes);
        out.extend([both_16(1), both_16(1), both_16(SECTOR as u16)].concat());
        out.extend(both_32(self.path_table_size()));
        out.extend([(at as u32).to_le_bytes(), [0; 4]].concat());
        out.extend([((at + table) as u32).to_be_bytes(), [0; 4]].concat());
        out.extend(record(&[0], root, true));
        out.extend(text("", 4 * 128));
        for _ in 0..3 {
            out.extend(text("", 37));
        }
        for set in [true, true, false, false] {
            out.extend(if set {
                b"1970010100000000\0"
            } else {
                b"0000000000000000\0"
            });
        }
        out.push(1);
        padded(out)
    }

    /// Path tables and directories, to stand at sector `at`.
    fn emit(&self, at: usize, data: &Data<'_>) -> Vec<u8> {
        let places = self.places(at);
        let mut out = Vec::new();
        for little in [true, false] {
            out.extend(padded(self.path_table(&places, little)));
        }
        let sizes = self.directory_sectors();
        let extent = |index: usize| (places[index], sizes[index] * SECTOR);
        for (index, directory) in self.directories.iter().enumerate() {
            let mut sectors = Vec::with_capacity(SECTOR);
            let mut add = |record: Vec<u8>| {
                sectors.resize(place(sectors.len(), record.len()), 0);
                sectors.extend(record);
            };
            add(record(&[0], extent(index), true));
            add(record(&[1], extent(directory.parent), true));
            for (name, entry) in &directory.entries {
                add(match *entry {
                    Entry::Directory(child) => record(name, extent(child), true),
                    Entry::File(file) => record(name, data.places[file], false),
                });
            }
            out.extend(padded(sectors));
        }
        out
    }

    /// ECMA-119, 9.4; numbers with the least significant octet first, or the most.
    fn path_table(&self, places: &[usize], little: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for (directory, place) in self.directories.iter().zip(places) {
            let (place, parent) = (*place as u32, directory.parent as u16 + 1);
            out.extend([directory.name.len() as u8, 0]);
            match little {
                true => out.extend([&place.to_le_bytes()[..], &parent.to_le_bytes()].concat()),
                false => out.extend([&place.to_be_bytes()[..], &parent.to_be_bytes()].concat()),
            }
            out.extend(&directory.name);
            out.resize(out.len().next_multiple_of(2), 0);
        }
        out
    }
}

/// A directory while its tree grows.
#[derive(Default)]
struct Node {
    directories: BTreeMap<Vec<u8>, Node>,
    files: BTreeMap<Vec<u8>, usize>,
}

impl Node {
    /// Whether there was no such file.
    fn add(&mut self, names: Names, steps: &[&str], file: usize) -> bool {
        match steps {
            [] => false,
            [name] => self.files.insert(names.file(name), file).is_none(),
            [name, rest @ ..] => {
                let child = self.directories.entry(names.directory(name)).or_default();
                child.add(names, rest, file)
            }
        }
    }

    /// Level by level, which is the order of a path table.
    fn flatten(self) -> Vec<Directory> {
        let root = Directory {
            name: vec![0],
            ..Directory::default()
        };
        let (mut done, mut nodes, mut next) = (vec![root], vec![self], 0);
        while next < nodes.len() {
            let node = std::mem::take(&mut nodes[next]);
            for (name, file) in node.files {
                done[next].entries.insert(name, Entry::File(file));
            }
            for (name, child) in node.directories {
                let entry = Entry::Directory(done.len());
                done[next].entries.insert(name.clone(), entry);
                done.push(Directory {
                    name,
                    parent: next,
                    ..Directory::default()
                });
                nodes.push(child);
            }
            next += 1;
        }
        done
    }
}

/// A directory record (ECMA-119, 9.1). `extent` is its first sector and its size in octets.
fn record(name: &[u8], extent: (usize, usize), directory: bool) -> Vec<u8> {
    let mut out = vec![record_length(name.len()) as u8, 0];
    out.extend(both_32(extent.0));
    out.extend(both_32(extent.1));
    out.extend([70, 1, 1, 0, 0, 0, 0]); // years since 1900, month, day, time, zone
    out.extend([if directory { 2 } else { 0 }, 0, 0]);
    out.extend(both_16(1));
    out.push(name.len() as u8);
    out.extend(name);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn record_length(name: usize) -> usize {
    (33 + name).next_multiple_of(2)
}

/// Where a record may stand that is to follow at `at`: none crosses the end of a sector.
fn place(at: usize, length: usize) -> usize {
    match at % SECTOR + length > SECTOR {
        true => at.next_multiple_of(SECTOR),
        false => at,
    }
}

fn sectors_of(octets: usize) -> usize {
    octets.div_ceil(SECTOR)
}

fn padded(mut octets: Vec<u8>) -> Vec<u8> {
    octets.resize(octets.len().next_multiple_of(SECTOR), 0);
    octets
}

/// A number in both orders (ECMA-119, 7.3.3).
fn both_32(number: usize) -> Vec<u8> {
    let number = number as u32;
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

/// As above (7.2.3).
fn both_16(number: u16) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}
