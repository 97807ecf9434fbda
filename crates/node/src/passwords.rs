//! Passwords that guests told this node, until its controller has them.
//!
//! A guest hears `200` when its password lies in a file of its own, synced. From then on the
//! controller is told of it at each connection, until the server's document shows that it has taken
//! it in: so no crash of either side loses it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{PasswordSeen, Seen, Server, ServerId};
use tokio::sync::mpsc::UnboundedSender;

use crate::Wanted;
use crate::image::private_dir;

#[derive(Debug)]
pub(crate) struct Passwords {
    dir: PathBuf,
    told: Mutex<BTreeMap<ServerId, PasswordSeen>>,
    reports: UnboundedSender<Seen>,
}

impl Passwords {
    /// Reads those that an earlier life of ours has yet to tell.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub(crate) fn open(dir: PathBuf, reports: UnboundedSender<Seen>) -> io::Result<Passwords> {
        private_dir(&dir)?;
        let mut told = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            // What was not renamed was never answered for.
            if path.extension().is_some_and(|e| e == "new") {
                fs::remove_file(&path)?;
                continue;
            }
            let one = fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
            let one: io::Result<PasswordSeen> = one;
            match one {
                Ok(one) => drop(told.insert(one.server, one)),
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%path, %error, "a guest's password cannot be read");
                }
            }
        }
        Ok(Passwords {
            dir,
            told: Mutex::new(told),
            reports,
        })
    }

    /// All that the controller is to hear.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let told = self.told();
        told.values().cloned().map(Seen::Password).collect()
    }

    /// Forgets what the documents show to have arrived, and servers that are gone. A node that has
    /// not heard from its controller yet (`heard`) does not know which are.
    pub(crate) fn settle(&self, wanted: &Wanted, heard: bool) {
        let mut told = self.told();
        let arrived = |one: &PasswordSeen| match wanted.servers.get(&one.server) {
            Some(server) => server.password.epoch > one.epoch,
            None => heard,
        };
        told.retain(|_, one| {
            let removed = arrived(one).then(|| fs::remove_file(self.path(one.server)));
            match removed {
                None => true,
                Some(Ok(())) => false,
                Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
                Some(Err(error)) => {
                    tracing::warn!(server = %one.server, %error, "removing a password that was told");
                    true
                }
            }
        });
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<ServerId, PasswordSeen>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, server: ServerId) -> PathBuf {
        self.dir.join(format!("{server}.json"))
    }

    fn write(&self, one: &PasswordSeen) -> io::Result<()> {
        let path = self.path(one.server);
        let new = path.with_extension("new");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(&serde_json::to_vec(one)?)?;
        file.sync_all()?;
        crash::point("password: written, under another name");
        fs::rename(&new, &path)?;
        File::open(&self.dir)?.sync_all()
    }
}

impl lan::Passwords for Passwords {
    fn get(&self, server: &Server) -> Option<String> {
        current(server, self.told().get(&server.id))
    }

    fn set(&self, server: &Server, text: String) -> io::Result<()> {
        let mut told = self.told();
        if current(server, told.get(&server.id)).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let one = PasswordSeen {
            server: server.id,
            epoch: server.password.epoch,
            text,
        };
        self.write(&one)
            .map_err(|e| named(&self.path(one.server), &e))?;
        told.insert(one.server, one.clone());
        let _ = self.reports.send(Seen::Password(one));
        Ok(())
    }
}

/// The newer of what the controller and the guest said.
fn current(server: &Server, told: Option<&PasswordSeen>) -> Option<String> {
    match told.filter(|told| told.epoch >= server.password.epoch) {
        Some(told) => Some(told.text.clone()),
        None => server.password.text.clone(),
    }
}

fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use lan::Passwords as _;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn sample_server() -> Server {
        let id = ServerId::random();
        let server = serde_json::json!({
            "id": id, "name": "a", "hostname": "a", "project": "p1", "power": "running",
            "start_epoch": 1, "reboot_epoch": 0, "reboot": "soft", "vcpus": 1, "ram_mib": 64,
            "disk_gib": 0, "ports": [], "availability_zone": "nova",
            "boot": {"disk": null, "kernel": null, "ramdisk": null, "kernel_args": "", "hardware": {}},
            "public_keys": [], "user_data": null, "metadata": [],
            "created_ms": 0, "attachments": [], "config_drive": false,
        });
        serde_json::from_value(server).unwrap()
    }

    struct Life {
        dir: PathBuf,
        passwords: Passwords,
        reports: UnboundedReceiver<Seen>,
    }

    fn life(dir: PathBuf) -> Life {
        let (sender, reports) = unbounded_channel();
        let passwords = Passwords::open(dir.clone(), sender).unwrap();
        Life {
            dir,
            passwords,
            reports,
        }
    }

    fn wanted(server: &Server) -> Wanted {
        Wanted {
            servers: [(server.id, server.clone())].into(),
            ..Wanted::default()
        }
    }

    fn files(life: &Life) -> usize {
        fs::read_dir(&life.dir).unwrap().count()
    }

    #[test]
    fn what_was_told_is_said_until_it_has_arrived() {
        let mut server = sample_server();
        let dir = std::env::temp_dir().join(format!("hextet-passwords-{}", server.id));
        let mut first = life(dir.clone());
        assert_eq!(first.passwords.get(&server), None);
        first.passwords.set(&server, "secret".into()).unwrap();
        let again = first.passwords.set(&server, "other".into()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let Seen::Password(one) = first.reports.try_recv().unwrap() else {
            panic!("no password")
        };
        assert_eq!(
            (one.server, one.epoch, one.text.as_str()),
            (server.id, 0, "secret")
        );
        assert!(!format!("{one:?}").contains("secret"));

        // The next life says it again, and so does each connection.
        drop(first);
        fs::write(dir.join("half.new"), "{").unwrap();
        let second = life(dir.clone());
        assert_eq!(second.passwords.seen(), [Seen::Password(one)]);
        assert_eq!(second.passwords.get(&server).as_deref(), Some("secret"));
        second.passwords.settle(&wanted(&server), true);
        second.passwords.settle(&Wanted::default(), false);
        assert_eq!((second.passwords.seen().len(), files(&second)), (1, 1));

        // It has arrived, and then its user cleared it: the next one may be told.
        server.password = server.password.followed_by(Some("secret".into()));
        second.passwords.settle(&wanted(&server), true);
        assert_eq!((second.passwords.seen().len(), files(&second)), (0, 0));
        assert_eq!(second.passwords.get(&server).as_deref(), Some("secret"));
        assert!(second.passwords.set(&server, "new".into()).is_err());
        server.password = server.password.followed_by(None);
        assert_eq!(second.passwords.get(&server), None);
        second.passwords.set(&server, "new".into()).unwrap();
        assert_eq!(second.passwords.get(&server).as_deref(), Some("new"));
        second.passwords.settle(&Wanted::default(), true);
        assert_eq!(files(&second), 0, "the server is gone");
        fs::remove_dir(dir).unwrap();
    }
}
