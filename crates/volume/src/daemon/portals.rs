//! Where volumes can be served: whether there is a tgtd, and whether its addresses can be had.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddrV6;
use std::path::Path;

use linux::stream;

use super::Daemon;

/// Why no volumes can be served, each with what to do behind the last semicolon or colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no tgtd.
    NoProgram(String),
    /// One of its addresses cannot be had.
    NoPortal(String),
}

impl Daemon {
    /// Where volumes can be served.
    ///
    /// # Errors
    /// Why they cannot, and what to do: there is no tgtd, or an address is not this node's.
    pub fn portals(&mut self) -> Result<Vec<SocketAddrV6>, String> {
        let program = &self.settings.program;
        if !on_path(program) {
            return Err(missing(program));
        }
        let portals = self.remembered().map_err(|e| e.to_string())?;
        if !self.runs() {
            for portal in &portals {
                self.free(*portal)?;
            }
        }
        Ok(portals)
    }

    /// What [`Daemon::portals`] would say against them; takes no port, and writes nothing.
    pub fn trouble(&mut self) -> Option<Trouble> {
        let program = &self.settings.program;
        if !on_path(program) {
            return Some(Trouble::NoProgram(missing(program)));
        }
        if self.runs() {
            return None;
        }
        let portals = self.kept().unwrap_or(self.settings.portals.clone());
        let taken = portals
            .into_iter()
            .find_map(|portal| self.free(portal).err());
        taken.map(Trouble::NoPortal)
    }

    /// The portals, with the ports that were free when they were first asked for.
    fn remembered(&self) -> io::Result<Vec<SocketAddrV6>> {
        let settings = &self.settings;
        if settings.portals.iter().all(|portal| portal.port() != 0) {
            return Ok(settings.portals.clone());
        }
        if let Some(known) = self.kept() {
            return Ok(known);
        }
        let chosen = settings.portals.iter().map(|portal| {
            let port = stream::can_listen_v6(&settings.base, *portal)?;
            Ok(SocketAddrV6::new(*portal.ip(), port, 0, 0))
        });
        let chosen = chosen.collect::<io::Result<Vec<_>>>()?;
        let new = settings.ports.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&chosen)?)?;
        file.sync_all()?;
        fs::rename(&new, &settings.ports)?;
        Ok(chosen)
    }

    /// The portals that were free once, with the ports they had.
    fn kept(&self) -> Option<Vec<SocketAddrV6>> {
        let text = fs::read(&self.settings.ports).ok()?;
        let known: Vec<SocketAddrV6> = serde_json::from_slice(&text).ok()?;
        fits(&self.settings.portals, &known).then_some(known)
    }

    fn free(&self, portal: SocketAddrV6) -> Result<(), String> {
        let why = match stream::can_listen_v6(&self.settings.base, portal) {
            Ok(_) => return Ok(()),
            Err(e) => e,
        };
        let name = match self.settings.base.name() {
            "" => "this node".to_owned(),
            name => format!("the network namespace {name}"),
        };
        Err(match why.kind() {
            io::ErrorKind::AddrNotAvailable => format!(
                "no volumes on {portal}: {name} does not have that address, or another host uses it; add it, or change portals in [node.volumes]"
            ),
            io::ErrorKind::AddrInUse => format!(
                "no volumes on {portal}: another program listens there; end it, or change portals in [node.volumes]"
            ),
            _ => format!("no volumes on {portal}: {why}"),
        })
    }
}

/// Whether remembered portals are those of the settings.
fn fits(wanted: &[SocketAddrV6], known: &[SocketAddrV6]) -> bool {
    let same = |(wanted, known): (&SocketAddrV6, &SocketAddrV6)| {
        wanted.ip() == known.ip() && (wanted.port() == 0 || wanted.port() == known.port())
    };
    wanted.len() == known.len() && wanted.iter().zip(known).all(same)
}

fn on_path(program: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.is_absolute() && program.is_file()
        || std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn missing(program: &Path) -> String {
    format!(
        "{} is not on this node: install the package tgt to keep volumes here",
        program.display()
    )
}
