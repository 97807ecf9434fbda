//! Volumes' attachments to servers: asked for, seen to be there, and taken away.
//!
//! ```text
//!              wanted, not joined          wanted, joined           not wanted
//!   attach ---> attaching -- seen ------> in-use -- detach ------> detaching -- unseen ---> (gone)
//!                  |                                                   ^
//!                  +-- the server's node says that it cannot have it --+
//! ```
//! A volume is free for another server only once the server's node no longer speaks of its
//! attachment: until then a guest may write to it.

mod seen;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{
    AttachmentId, Caller, Chap, DiskBus, Error, Key, Kind, NodeId, Result, ServerId, VolumeId,
};
use store::{Field, Json, Order, Query, Tx, row};

use crate::server::{log, unlocked, visible};
use crate::{Cloud, now_ms, password, volume};

pub(crate) use seen::{let_go, settle, volume_made};

/// Where a config drive is, always.
const CONFIG_DRIVE: &str = "/dev/vdb";
/// The letters of `/dev/vdb` to `/dev/vdz`; the root disk is `/dev/vda`.
const LETTERS: std::ops::RangeInclusive<u8> = b'b'..=b'z';

/// How a volume is to be attached.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewAttachment {
    pub device: Option<String>,
    pub root: bool,
    pub delete_on_termination: bool,
}

impl Cloud {
    /// Wants a server to have a volume.
    ///
    /// # Errors
    /// `Invalid` unless the volume is available and of the server's project, `Conflict` when the
    /// server's state does not allow it.
    pub fn attach_volume(
        &self,
        caller: &Caller,
        server: &ServerId,
        id: &VolumeId,
        device: Option<&str>,
    ) -> Result<row::Attachment> {
        caller.require_member()?;
        self.store().write(|tx| {
            let server = unlocked(tx, caller, server)?;
            let mut volume = volume::visible(tx, caller, id)?;
            require_settled(&server, "attach_volume")?;
            require_available(&volume)?;
            let new = NewAttachment {
                device: device.map(str::to_owned),
                ..NewAttachment::default()
            };
            let mut attachment = insert(tx, &server, &mut volume, &new)?;
            log::record(tx, caller, &server.id, "attach_volume", Some(attachment.id))?;
            if server.status == "SHUTOFF" {
                // It gets the volume with its next start.
                seen::join(tx, &mut attachment)?;
            }
            tx.touch(Key::Server(server.id))?;
            Ok(attachment)
        })
    }

    /// Wants a server to have a volume no longer.
    ///
    /// # Errors
    /// `Invalid` for the volume it boots from and for one it does not have yet, `Conflict` when the
    /// server's state does not allow it.
    pub fn detach_volume(&self, caller: &Caller, server: &ServerId, id: &VolumeId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let server = unlocked(tx, caller, server)?;
            let mut attachment = find(tx, &server.id, id)?;
            // One that could not start, perhaps for want of this very volume, lets go of it too.
            if server.status != "ERROR" || server.task_state.is_some() || server.fault.is_some() {
                require_settled(&server, "detach_volume")?;
            }
            if attachment.root {
                return Err(Error::invalid("Cannot detach a root device volume"));
            }
            if !(attachment.wanted && attachment.joined) {
                let volume: row::Volume = tx.get(id)?;
                return Err(Error::invalid(format!(
                    "Invalid volume: Unable to detach volume {id}. Its status must be 'in-use', and it is '{}'.",
                    volume.status
                )));
            }
            log::record(tx, caller, &server.id, "detach_volume", Some(attachment.id))?;
            attachment.wanted = false;
            if server.status == "SHUTOFF" {
                // No guest has it.
                seen::remove(tx, &attachment)?;
            } else {
                write(tx, &attachment)?;
            }
            tx.touch(Key::Server(server.id))
        })
    }

    /// The attachments of a server, in the order in which they were made.
    pub fn list_attachments(&self, caller: &Caller, id: &ServerId) -> Result<Vec<row::Attachment>> {
        self.store().read(|tx| {
            let server = visible(tx, caller, id)?;
            of_server(tx, &server.id)
        })
    }

    /// The attachment of a volume to a server.
    pub fn get_attachment(
        &self,
        caller: &Caller,
        server: &ServerId,
        id: &VolumeId,
    ) -> Result<row::Attachment> {
        self.store().read(|tx| {
            let server = visible(tx, caller, server)?;
            find(tx, &server.id, id)
        })
    }
}

/// The attachments of a server, in the order in which they were made.
pub(crate) fn of_server(tx: &Tx<'_>, id: &ServerId) -> Result<Vec<row::Attachment>> {
    let mut query = Query::equal("server_id", id.to_value());
    query.order.push(("place", Order::Ascending));
    tx.list(&query)
}

/// Writes a new attachment, and lets the volume's node hear of who will log in. What the server's
/// node hears must be a later change.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    server: &row::Server,
    volume: &mut row::Volume,
    new: &NewAttachment,
) -> Result<row::Attachment> {
    if volume.project_id != server.project_id {
        return Err(Error::invalid(format!(
            "Volume {} belongs to another project than the server.",
            volume.id
        )));
    }
    let others = of_server(tx, &server.id)?;
    let attachment = row::Attachment {
        id: AttachmentId::random(),
        volume_id: volume.id,
        server_id: server.id,
        place: others.last().map_or(0, |last| last.place + 1),
        device: device(has_config_disk(server), new, &others)?,
        root: new.root,
        read_only: volume.read_only,
        delete_on_termination: new.delete_on_termination,
        chap: Json(chap()?),
        wanted: true,
        joined: false,
        created_ms: now_ms(),
    };
    tx.insert(&attachment)?;
    volume::refresh(tx, volume)?;
    tx.touch(Key::Volume(volume.id))?;
    Ok(attachment)
}

/// # Errors
/// `Invalid` unless a volume is free.
pub(crate) fn require_available(volume: &row::Volume) -> Result<()> {
    match volume.status.as_str() {
        "available" => Ok(()),
        other => Err(Error::invalid(format!(
            "Invalid volume: volume '{}' status must be 'available'. Currently in '{other}' status.",
            volume.id
        ))),
    }
}

/// A node serves its volumes elsewhere now: servers that have one hear of it.
pub(crate) fn portals_changed(tx: &mut Tx<'_>, node: NodeId) -> Result<()> {
    let condition = "t.volume_id IN (SELECT v.id FROM volume v WHERE v.node_id = ?)";
    let held = Query::all().matching(condition, vec![node.to_value()]);
    let attachments: Vec<row::Attachment> = tx.list(&held)?;
    attachments
        .iter()
        .try_for_each(|a| tx.touch(Key::Server(a.server_id)))
}

fn find(tx: &Tx<'_>, server: &ServerId, id: &VolumeId) -> Result<row::Attachment> {
    let attachment = volume::attachment_of(tx, id)?.filter(|a| a.server_id == *server);
    attachment.ok_or_else(|| Error::not_found(Kind::Attachment, id))
}

/// Writes a changed attachment, and the volume's status that follows.
fn write(tx: &mut Tx<'_>, attachment: &row::Attachment) -> Result<()> {
    tx.update(attachment)?;
    let mut volume: row::Volume = tx.get(&attachment.volume_id)?;
    volume::refresh(tx, &mut volume)
}

/// # Errors
/// `Conflict` unless the server runs or is off, and nothing else is being done with it.
fn require_settled(server: &row::Server, verb: &str) -> Result<()> {
    if let Some(task) = &server.task_state {
        return Err(Error::conflict(format!(
            "Cannot '{verb}' instance {} while it is in task_state {task}",
            server.id
        )));
    }
    match server.status.as_str() {
        "ACTIVE" | "SHUTOFF" => Ok(()),
        other => Err(Error::conflict(format!(
            "Cannot '{verb}' instance {} while it is in vm_state {}",
            server.id,
            crate::vm_state(other)
        ))),
    }
}

/// Whether the guest sees a config drive among its virtio disks; elsewhere it is a CD.
fn has_config_disk(server: &row::Server) -> bool {
    server.config_drive && server.boot.0.hardware.disk_bus == DiskBus::Virtio
}

/// What clients call the new disk: what was asked for, or the first letter that is free.
fn device(config_drive: bool, new: &NewAttachment, others: &[row::Attachment]) -> Result<String> {
    if new.root {
        return Ok("/dev/vda".into());
    }
    let named = |letter: u8| format!("/dev/vd{}", char::from(letter));
    let taken = |name: &str| {
        config_drive && name == CONFIG_DRIVE || others.iter().any(|a| a.device == name)
    };
    let Some(asked) = new.device.as_deref().filter(|d| !d.is_empty()) else {
        let free = LETTERS.map(named).find(|name| !taken(name));
        return free.ok_or_else(|| {
            Error::Forbidden("A server takes at most 25 volumes beside its root disk.".into())
        });
    };
    // Guests name their disks themselves; of a name that was asked for, only the letter counts.
    let letter = match asked.strip_prefix("/dev/").unwrap_or(asked).as_bytes() {
        [b'v' | b's' | b'h' | b'x', b'd', letter] if LETTERS.contains(letter) => *letter,
        _ => {
            return Err(Error::invalid(format!(
                "The supplied device path ({asked}) is invalid: it must be one of /dev/vdb to /dev/vdz, or left out"
            )));
        }
    };
    match taken(&named(letter)) {
        true => Err(Error::conflict(format!(
            "The supplied device path ({asked}) is in use."
        ))),
        false => Ok(named(letter)),
    }
}

/// A name and a secret of 128 bits each: RFC 7143, section 9.2.1, asks for 96 at least.
fn chap() -> Result<Chap> {
    let text = || password::random::<16>().map(|octets| URL_SAFE_NO_PAD.encode(octets));
    Ok(Chap {
        user: text()?,
        secret: text()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(device: &str) -> row::Attachment {
        row::Attachment {
            id: AttachmentId::random(),
            volume_id: VolumeId::random(),
            server_id: ServerId::random(),
            place: 0,
            device: device.into(),
            root: false,
            read_only: false,
            delete_on_termination: false,
            chap: Json(chap().unwrap()),
            wanted: true,
            joined: true,
            created_ms: 0,
        }
    }

    #[test]
    fn devices_have_letters_of_their_own() {
        let check = |asked: Option<&str>, taken: &[&str], expected: Option<&str>| {
            let others: Vec<_> = taken.iter().map(|d| held(d)).collect();
            let new = NewAttachment {
                device: asked.map(str::to_owned),
                ..NewAttachment::default()
            };
            assert_eq!(
                device(false, &new, &others).ok().as_deref(),
                expected,
                "{asked:?}"
            );
        };
        check(None, &[], Some("/dev/vdb"));
        let beside = device(true, &NewAttachment::default(), &[]);
        assert_eq!(
            beside.unwrap(),
            "/dev/vdc",
            "a config drive has the letter b"
        );
        check(
            None,
            &["/dev/vda", "/dev/vdb", "/dev/vdd"],
            Some("/dev/vdc"),
        );
        check(Some(""), &[], Some("/dev/vdb"));
        check(Some("/dev/sdc"), &[], Some("/dev/vdc"));
        check(Some("vdz"), &[], Some("/dev/vdz"));
        for bad in [
            "/dev/vda",
            "/dev/vdB",
            "/dev/vdbb",
            "/dev/",
            "../x",
            "/dev/vd\u{e9}",
        ] {
            check(Some(bad), &[], None);
        }
        check(Some("/dev/vdb"), &["/dev/vdb"], None);
        let all: Vec<String> = LETTERS
            .map(|l| format!("/dev/vd{}", char::from(l)))
            .collect();
        check(
            None,
            &all.iter().map(String::as_str).collect::<Vec<_>>(),
            None,
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let attachment = held("/dev/vdb");
        let text = format!("{attachment:?}");
        assert!(!text.contains(&attachment.chap.0.secret), "{text}");
    }
}
