//! Files below a directory that stands for `/etc`, and below the root beside it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Larger files are no configuration. dpkg's status of a full host has about 10 MB.
const LARGEST: u64 = 64 << 20;
/// Links that lead to links: more is a loop (the kernel's own bound).
const MOST_LINKS: usize = 40;

/// A host's files. Links are followed inside the tree only: those of an unpacked host mean its
/// files, never ours.
pub(crate) struct Tree {
    etc: PathBuf,
    /// What stands for `/`; none where the directory is not called `etc`.
    root: Option<PathBuf>,
    unread: RefCell<BTreeSet<String>>,
}

/// A text file, by the name it has on its host.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A line's text, counted from 1.
    pub(crate) fn line(&self, number: usize) -> &str {
        self.text
            .lines()
            .nth(number.saturating_sub(1))
            .unwrap_or("")
    }
}

impl Tree {
    pub(crate) fn new(etc: &Path) -> Tree {
        let etc = fs::canonicalize(etc).unwrap_or_else(|_| etc.to_owned());
        let beside = etc
            .parent()
            .filter(|_| etc.file_name().is_some_and(|n| n == "etc"));
        Tree {
            root: beside.map(Path::to_owned),
            etc,
            unread: RefCell::default(),
        }
    }

    /// A file by its path on its host, or nothing when there is none. What is there and cannot be
    /// read is remembered.
    pub(crate) fn file(&self, path: &str) -> Option<File> {
        let bytes = self.bytes(path)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(File {
            path: path.to_owned(),
            text,
        })
    }

    /// A file's octets.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let place = self.resolve(path, 0)?;
        let meta = match fs::metadata(&place) {
            Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.cannot(path, &e.to_string());
                return None;
            }
            meta => meta.ok().filter(fs::Metadata::is_file)?,
        };
        if meta.len() > LARGEST {
            self.cannot(path, "it is too large for a configuration");
            return None;
        }
        let mut bytes = Vec::new();
        let read = fs::File::open(&place).and_then(|f| f.take(LARGEST).read_to_end(&mut bytes));
        match read {
            Ok(_) => Some(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => {
                self.cannot(path, &e.to_string());
                None
            }
        }
    }

    /// The names in a directory, sorted; none when there is no such directory.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let Some(place) = self.resolve(path, 0) else {
            return Vec::new();
        };
        match fs::read_dir(place) {
            Ok(entries) => {
                let names = entries
                    .flatten()
                    .filter_map(|e| e.file_name().into_string().ok());
                names.collect::<BTreeSet<_>>().into_iter().collect()
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Vec::new()
            }
            Err(e) => {
                self.cannot(path, &e.to_string());
                Vec::new()
            }
        }
    }

    /// The files of a directory whose names end like this, sorted by name.
    pub(crate) fn files(&self, directory: &str, ending: &str) -> Vec<File> {
        let names = self
            .names(directory)
            .into_iter()
            .filter(|name| name.ends_with(ending));
        names
            .filter_map(|name| self.file(&format!("{directory}/{name}")))
            .collect()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.resolve(path, 0).is_some_and(|place| place.exists())
    }

    /// What was there and could not be read, with the reasons.
    pub(crate) fn unread(&self) -> Vec<String> {
        self.unread.borrow().iter().cloned().collect()
    }

    fn cannot(&self, path: &str, why: &str) {
        self.unread
            .borrow_mut()
            .insert(format!("cannot read {path}: {why}"));
    }

    /// Where a path of the host is on ours. Every link on the way is read here, because an absolute
    /// one would lead out of the tree.
    fn resolve(&self, path: &str, links: usize) -> Option<PathBuf> {
        let mut done: Vec<String> = Vec::new();
        let parts: Vec<&str> = path.split('/').collect();
        for (at, part) in parts.iter().enumerate() {
            match *part {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                part => done.push(part.to_owned()),
            }
            let place = self.place(&done)?;
            let Ok(target) = fs::read_link(&place) else {
                continue;
            };
            if links >= MOST_LINKS {
                return None;
            }
            let target = target.to_str()?;
            let rest = parts[at + 1..].join("/");
            done.pop();
            let base = if target.starts_with('/') {
                String::new()
            } else {
                done.join("/")
            };
            return self.resolve(&format!("{base}/{target}/{rest}"), links + 1);
        }
        self.place(&done)
    }

    fn place(&self, parts: &[String]) -> Option<PathBuf> {
        match parts {
            [first, rest @ ..] if first == "etc" => Some(self.etc.join(rest.join("/"))),
            parts => Some(self.root.as_ref()?.join(parts.join("/"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_the_tree() {
        let dir = std::env::temp_dir().join(format!("doctor-tree-{}", std::process::id()));
        fs::create_dir_all(dir.join("etc/a")).unwrap();
        fs::create_dir_all(dir.join("usr")).unwrap();
        fs::write(dir.join("etc/a/real"), "x").unwrap();
        fs::write(dir.join("usr/far"), "y").unwrap();
        let link = |target: &str, name: &str| {
            let _ = std::os::unix::fs::symlink(target, dir.join("etc/a").join(name));
        };
        link("/etc/a/real", "absolute");
        link("../a/real", "relative");
        link("/usr/far", "outside");
        link("loop", "loop");
        link("../../../../../../etc/hostname", "escape");
        let tree = Tree::new(&dir.join("etc"));
        let read = |path: &str| tree.file(path).map(|f| f.text);
        assert_eq!(read("/etc/a/absolute").as_deref(), Some("x"));
        assert_eq!(read("/etc/a/relative").as_deref(), Some("x"));
        assert_eq!(read("/etc/a/outside").as_deref(), Some("y"));
        assert_eq!(read("/etc/a/loop"), None);
        assert_eq!(read("/etc/a/escape"), None);
        assert_eq!(read("/etc/a"), None);
        assert_eq!(tree.names("/etc/nothing"), Vec::<String>::new());
        fs::remove_dir_all(&dir).unwrap();
    }
}
