//! The node's own memory of what it heard, so that it can start without its controller.
//!
//! A file of lines, each a JSON value; a change is one line at its end. It is not synced at each
//! line: what a power failure takes from its end, the controller tells again, because the
//! generation that would have covered it is lost with it. What it does not hold is therefore
//! unknown, not unwanted: nothing is removed before the controller has spoken.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::{Change, Desired};
use serde::{Deserialize, Serialize};

use crate::Wanted;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Change(Box<Change>),
    Generation(u64),
}

/// The open journal.
pub(crate) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    /// Lines appended since the file was written whole.
    appended: usize,
}

/// So many lines are appended before the file is written anew, without what they replaced.
const LINES: usize = 10_000;

impl Journal {
    /// Reads what there is, and goes on from there. What comes after a line that cannot be read is
    /// dropped, with the generations that covered it.
    ///
    /// # Errors
    /// When the file can neither be read nor written.
    pub(crate) fn open(path: &Path) -> io::Result<(Journal, Wanted, u64)> {
        let text = match fs::read_to_string(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let (wanted, generation) = replay(&text);
        let mut journal = Journal {
            path: path.to_owned(),
            file: BufWriter::new(create(path)?),
            appended: 0,
        };
        journal.rewrite(&wanted, generation)?;
        Ok((journal, wanted, generation))
    }

    /// Whether it is time to write it anew.
    pub(crate) fn is_long(&self) -> bool {
        self.appended > LINES
    }

    /// Notes changes, and the generation that is complete with them.
    pub(crate) fn append(&mut self, changes: &[Change], generation: Option<u64>) -> io::Result<()> {
        self.appended += changes.len() + 1;
        for change in changes {
            write_line(&mut self.file, &Line::Change(Box::new(change.clone())))?;
        }
        if let Some(generation) = generation {
            write_line(&mut self.file, &Line::Generation(generation))?;
        }
        self.file.flush()?;
        crash::point("journal: appended");
        Ok(())
    }

    /// Begins anew with a whole picture.
    pub(crate) fn rewrite(&mut self, wanted: &Wanted, generation: u64) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = BufWriter::new(create(&fresh)?);
        for document in documents(wanted) {
            let change = Change {
                key: document.key(),
                document: Some(document),
            };
            write_line(&mut file, &Line::Change(Box::new(change)))?;
        }
        write_line(&mut file, &Line::Generation(generation))?;
        file.flush()?;
        file.get_ref().sync_all()?;
        crash::point("journal: written anew, under another name");
        fs::rename(&fresh, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        self.file = file;
        self.appended = 0;
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    // User data may hold secrets.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| {
            if path.extension().is_some_and(|e| e == "new") {
                file.set_len(0)?;
            }
            Ok(file)
        })
}

fn write_line(file: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    file.write_all(b"\n")
}

fn documents(wanted: &Wanted) -> impl Iterator<Item = Desired> {
    let networks = wanted.networks.values().cloned().map(Desired::Network);
    let routers = wanted.routers.values().cloned().map(Desired::Router);
    let groups = wanted.groups.values().cloned().map(Desired::AddressGroup);
    let ports = wanted.ports.values().cloned().map(Desired::Port);
    let names = wanted.names.values().cloned().map(Desired::PortName);
    let volumes = wanted.volumes.values().cloned().map(Desired::Volume);
    let servers = wanted
        .servers
        .values()
        .cloned()
        .map(|s| Desired::Server(Box::new(s)));
    networks
        .chain(routers)
        .chain(groups)
        .chain(ports)
        .chain(names)
        .chain(volumes)
        .chain(servers)
}

fn replay(text: &str) -> (Wanted, u64) {
    let (mut wanted, mut generation) = (Wanted::default(), 0);
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(Line::Change(change)) => wanted.apply(*change),
            Ok(Line::Generation(complete)) => generation = complete,
            Err(error) => {
                tracing::warn!(%error, "the node's memory of its documents ends here: the controller tells the rest");
                break;
            }
        }
    }
    (wanted, generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AddressGroup, AddressGroupId};

    fn group() -> Change {
        let document = Desired::AddressGroup(AddressGroup {
            id: AddressGroupId::random(),
            prefixes: Vec::new(),
        });
        Change {
            key: document.key(),
            document: Some(document),
        }
    }

    #[test]
    fn names_are_kept_when_it_is_written_anew() {
        let dir = std::env::temp_dir().join(format!("hextet-names-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("documents.jsonl");
        let name = Desired::PortName(model::PortName {
            id: model::PortId::random(),
            network: model::NetworkId::random(),
            dns_name: "web".into(),
            dns_domain: String::new(),
            addresses: Vec::new(),
            paired: Vec::new(),
            groups: vec![model::SecurityGroupId::random()],
        });
        let change = Change {
            key: name.key(),
            document: Some(name),
        };
        let (mut journal, ..) = Journal::open(&path).unwrap();
        journal.append(&[change], Some(7)).unwrap();
        // Each opening writes it anew.
        let (_, first, _) = Journal::open(&path).unwrap();
        let (_, again, _) = Journal::open(&path).unwrap();
        assert_eq!((first.names.len(), again), (1, first));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_was_noted_is_remembered_and_a_torn_end_is_not() {
        let dir = std::env::temp_dir().join(format!("hextet-journal-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("documents.jsonl");
        let (first, second) = (group(), group());
        {
            let (mut journal, wanted, generation) = Journal::open(&path).unwrap();
            assert_eq!((wanted.groups.len(), generation), (0, 0));
            journal
                .append(&[first.clone(), second.clone()], Some(7))
                .unwrap();
            journal
                .append(
                    &[Change {
                        key: second.key,
                        document: None,
                    }],
                    Some(8),
                )
                .unwrap();
            journal.append(&[group()], None).unwrap();
        }
        let mut text = fs::read_to_string(&path).unwrap();
        text.truncate(text.len() - 9);
        fs::write(&path, text).unwrap();
        let (_, wanted, generation) = Journal::open(&path).unwrap();
        assert_eq!(generation, 8);
        assert_eq!(
            wanted
                .groups
                .keys()
                .map(|id| model::Key::AddressGroup(*id))
                .collect::<Vec<_>>(),
            [first.key]
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}
