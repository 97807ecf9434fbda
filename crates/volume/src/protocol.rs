//! What is said on tgtd's control socket: one request and one answer a connection, in the host's
//! byte order (`struct tgtadm_req` and `struct tgtadm_rsp` of tgt's usr/tgtadm.h). Spoken here and
//! not through `tgtadm`, which takes passwords as arguments, for every user of the host to read.

use std::io;

/// Octets of a request before its parameters.
const HEADER: usize = 120;

/// Octets of an answer before its text.
pub const ANSWER: usize = 8;

/// The longest answer believed. A target's listing takes one to two thousand octets.
pub const LONGEST: u32 = 64 << 20;

/// Our one LUN in each target. 0 is tgtd's own controller.
pub const LUN: u64 = 1;

/// Something asked of tgtd.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Every target with its LUNs, sessions, accounts and admitted addresses.
    ListTargets,
    ListAccounts,
    ListPortals,
    NewTarget {
        tid: u32,
        name: String,
    },
    /// With its sessions, if it has any.
    DeleteTarget {
        tid: u32,
    },
    /// A file, by its path in tgtd's working directory.
    NewLun {
        tid: u32,
        path: String,
    },
    /// Takes UNMAP from now on, so that what a guest discards is given back.
    ThinLun {
        tid: u32,
    },
    DeleteLun {
        tid: u32,
    },
    /// Initiators at any address may log in, if they know an account.
    AdmitAll {
        tid: u32,
    },
    NewAccount {
        user: String,
        secret: String,
    },
    DeleteAccount {
        user: String,
    },
    BindAccount {
        tid: u32,
        user: String,
    },
    UnbindAccount {
        tid: u32,
        user: String,
    },
    CloseConnection {
        tid: u32,
        session: u64,
        connection: u32,
    },
}

const NEW: u32 = 0;
const DELETE: u32 = 1;
const SHOW: u32 = 2;
const BIND: u32 = 3;
const UNBIND: u32 = 4;
const UPDATE: u32 = 5;

const TARGET: u32 = 1;
const DEVICE: u32 = 2;
const PORTAL: u32 = 3;
const CONNECTION: u32 = 6;
const ACCOUNT: u32 = 7;

/// The fields of a request that differ between ours.
#[derive(Default)]
struct Header {
    tid: i32,
    session: u64,
    lun: u64,
    connection: u32,
    force: u32,
}

impl Request {
    /// The kind of it.
    pub(crate) fn name(&self) -> String {
        let words = self.doing();
        words.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// What the request does, in words; never a secret.
    pub fn doing(&self) -> String {
        match self {
            Request::ListTargets => "listing its targets".into(),
            Request::ListAccounts => "listing its accounts".into(),
            Request::ListPortals => "listing its portals".into(),
            Request::NewTarget { name, .. } => format!("making target {name}"),
            Request::DeleteTarget { tid } => format!("deleting target {tid}"),
            Request::NewLun { path, .. } => format!("serving {path}"),
            Request::ThinLun { tid } => format!("letting target {tid} discard"),
            Request::DeleteLun { tid } => format!("taking the LUN of target {tid} away"),
            Request::AdmitAll { tid } => format!("opening target {tid}"),
            Request::NewAccount { user, .. } => format!("making account {user}"),
            Request::DeleteAccount { user } => format!("deleting account {user}"),
            Request::BindAccount { user, .. } => format!("admitting account {user}"),
            Request::UnbindAccount { user, .. } => format!("locking account {user} out"),
            Request::CloseConnection { tid, .. } => format!("ending a session of target {tid}"),
        }
    }

    /// Whether all its words mean to tgtd what they mean here.
    ///
    /// # Errors
    /// Which does not.
    pub fn check(&self) -> Result<(), String> {
        let words: &[&str] = match self {
            Request::NewTarget { name, .. } => &[name],
            Request::NewAccount { user, secret } if secret.contains(['\0', '\n']) => {
                return Err(format!(
                    "the secret of account {user} has a line's end in it"
                ));
            }
            Request::NewAccount { user, .. }
            | Request::DeleteAccount { user }
            | Request::BindAccount { user, .. }
            | Request::UnbindAccount { user, .. } => &[user],
            _ => &[],
        };
        let odd = |c: char| c == ',' || c == '=' || c.is_whitespace() || c.is_control();
        match words
            .iter()
            .find(|word| word.is_empty() || word.contains(odd))
        {
            Some(word) => Err(format!(
                "the name {word:?} has characters that tgtd does not take"
            )),
            None => Ok(()),
        }
    }

    /// Whether it takes something away, and is done when that is not there.
    pub fn is_done_when_missing(&self) -> bool {
        matches!(
            self,
            Request::DeleteTarget { .. }
                | Request::DeleteAccount { .. }
                | Request::CloseConnection { .. }
        )
    }

    /// The request as octets.
    pub fn emit(&self) -> Vec<u8> {
        let (mode, op, parameters) = self.words();
        let header = self.header();
        let parameters = parameters.unwrap_or_default();
        let length = HEADER + parameters.len() + usize::from(!parameters.is_empty());
        let mut out = Vec::with_capacity(length);
        out.extend(mode.to_ne_bytes());
        out.extend(op.to_ne_bytes());
        let mut driver = [0; 64];
        driver[..5].copy_from_slice(b"iscsi");
        out.extend(driver);
        out.extend((length as u32).to_ne_bytes());
        out.extend(header.tid.to_ne_bytes());
        out.extend(header.session.to_ne_bytes());
        out.extend(header.lun.to_ne_bytes());
        // Device type 0 is a disk, direction 0 an account that initiators prove; no host, no padding.
        for field in [header.connection, 0, 0, 0, 0, header.force] {
            out.extend(field.to_ne_bytes());
        }
        out.extend(parameters.as_bytes());
        if !parameters.is_empty() {
            out.push(0); // tgtd takes them for a C string
        }
        out
    }

    fn words(&self) -> (u32, u32, Option<String>) {
        match self {
            Request::ListTargets => (TARGET, SHOW, None),
            Request::ListAccounts => (ACCOUNT, SHOW, None),
            Request::ListPortals => (PORTAL, SHOW, None),
            Request::NewTarget { name, .. } => (TARGET, NEW, Some(format!("targetname={name}"))),
            Request::DeleteTarget { .. } => (TARGET, DELETE, None),
            Request::NewLun { path, .. } => (DEVICE, NEW, Some(format!("path={path},bstype=rdwr"))),
            Request::ThinLun { .. } => (DEVICE, UPDATE, Some("thin_provisioning=1".into())),
            Request::DeleteLun { .. } => (DEVICE, DELETE, None),
            Request::AdmitAll { .. } => (TARGET, BIND, Some("initiator-address=ALL".into())),
            Request::NewAccount { user, secret } => {
                (ACCOUNT, NEW, Some(format!("user={user},password={secret}")))
            }
            Request::DeleteAccount { user } => (ACCOUNT, DELETE, Some(format!("user={user}"))),
            Request::BindAccount { user, .. } => (ACCOUNT, BIND, Some(format!("user={user}"))),
            Request::UnbindAccount { user, .. } => (ACCOUNT, UNBIND, Some(format!("user={user}"))),
            Request::CloseConnection { .. } => (CONNECTION, DELETE, None),
        }
    }

    fn header(&self) -> Header {
        let of = |tid: &u32| Header {
            tid: tid.cast_signed(),
            ..Header::default()
        };
        let lun = |tid| Header {
            lun: LUN,
            ..of(tid)
        };
        match self {
            // A negative number asks for all targets.
            Request::ListTargets => Header {
                tid: -1,
                ..Header::default()
            },
            Request::ListAccounts
            | Request::ListPortals
            | Request::NewAccount { .. }
            | Request::DeleteAccount { .. } => Header::default(),
            Request::NewTarget { tid, .. }
            | Request::AdmitAll { tid }
            | Request::BindAccount { tid, .. }
            | Request::UnbindAccount { tid, .. } => of(tid),
            Request::DeleteTarget { tid } => Header {
                force: 1,
                ..of(tid)
            },
            Request::NewLun { tid, .. } | Request::ThinLun { tid } | Request::DeleteLun { tid } => {
                lun(tid)
            }
            Request::CloseConnection {
                tid,
                session,
                connection,
            } => Header {
                session: *session,
                connection: *connection,
                ..of(tid)
            },
        }
    }
}

/// Reads an answer's first octets: how many octets of text follow.
///
/// # Errors
/// Why tgtd refused, in words, or that this is no answer.
pub fn parse_answer(header: [u8; ANSWER]) -> io::Result<usize> {
    let [a, b, c, d, e, f, g, h] = header;
    let (error, length) = (
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    );
    if error != 0 {
        return Err(io::Error::new(kind(error), reason(error)));
    }
    let text = length.checked_sub(ANSWER as u32);
    match text.filter(|length| *length <= LONGEST) {
        Some(length) => Ok(length as usize),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("an answer of {length} octets"),
        )),
    }
}

fn kind(error: u32) -> io::ErrorKind {
    match error {
        4..=8 | 13 | 15 => io::ErrorKind::NotFound,
        9..=12 | 14 => io::ErrorKind::AlreadyExists,
        19..=21 => io::ErrorKind::ResourceBusy,
        _ => io::ErrorKind::Other,
    }
}

/// `enum tgtadm_errno` of tgt's usr/tgtadm_error.h.
fn reason(error: u32) -> String {
    let words = [
        "it does not know why",
        "it has no memory",
        "it has no iSCSI driver",
        "there is no such target",
        "there is no such LUN",
        "there is no such session",
        "there is no such connection",
        "there is no such binding",
        "there is a target of that name or number",
        "there is such a LUN",
        "there is such a binding",
        "that address is admitted already",
        "that address is not admitted",
        "there is such an account",
        "there is no such account",
        "it has too many accounts",
        "it takes the request for wrong, or cannot open the file",
        "there is an outgoing account",
        "the target is in use",
        "the LUN is in use",
        "the driver is in use",
        "it does not support that",
        "it does not know the parameter",
        "removal is prevented",
    ];
    let index = usize::try_from(error).unwrap_or(usize::MAX);
    match index.checked_sub(1).and_then(|i| words.get(i)) {
        Some(words) => (*words).to_owned(),
        None => format!("error {error}"),
    }
}

#[cfg(test)]
mod tests;
