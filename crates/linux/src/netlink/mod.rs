//! A synchronous rtnetlink socket that stays in the namespace it was opened in.
//!
//! Every call is repeatable: `ensure` and `remove` succeed when there is nothing left to do. No
//! route, link or address is cached; the kernel is asked each time.

mod address;
mod link;
mod proxy;
mod route;

use std::fmt;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::netns::Netns;

pub use link::{Link, LinkKind, VethEnd};
pub use proxy::Proxy;
pub use route::Route;

/// What failed, on which object, in which namespace. The kernel's reason is the source.
#[derive(Debug, thiserror::Error)]
#[error("{doing} in {place}")]
pub struct Error {
    doing: String,
    place: String,
    #[source]
    source: io::Error,
}

impl Error {
    /// The kernel's error number.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the kernel was built without the kind of object that was to be made.
    pub fn is_of_unknown_kind(&self) -> bool {
        matches!(self.errno(), Some(libc::EOPNOTSUPP | libc::ENOENT))
    }
}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        io::Error::new(e.source.kind(), format!("{e}: {}", e.source))
    }
}

/// The outcome of a netlink call.
pub type Result<T> = std::result::Result<T, Error>;

/// An open rtnetlink socket.
pub struct Netlink {
    socket: Socket,
    place: String,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket inside a namespace.
    pub fn open(ns: &Netns) -> Result<Netlink> {
        let place = match ns.name() {
            "" => "the node's own namespace".to_owned(),
            name => format!("namespace {name}"),
        };
        match ns.run(connect) {
            Ok(socket) => Ok(Netlink {
                socket,
                place,
                sequence: 0,
            }),
            Err(source) => Err(Error {
                doing: "opening netlink".into(),
                place,
                source,
            }),
        }
    }

    /// Names the object in an error.
    pub(crate) fn failed(&self, doing: impl fmt::Display, source: io::Error) -> Error {
        Error {
            doing: doing.to_string(),
            place: self.place.clone(),
            source,
        }
    }

    /// Sends a request that changes something, and waits for the kernel's word.
    pub(crate) fn change(
        &mut self,
        doing: impl fmt::Display,
        ask: RouteNetlinkMessage,
        how: How,
    ) -> Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | how.flags();
        match self.exchange(ask, flags) {
            Ok(_) => Ok(()),
            Err(e) => Err(self.failed(doing, e)),
        }
    }

    /// Sends a request for a whole table.
    pub(crate) fn dump(
        &mut self,
        doing: &str,
        ask: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        self.exchange(ask, NLM_F_REQUEST | NLM_F_DUMP)
            .map_err(|e| self.failed(doing, e))
    }

    fn exchange(
        &mut self,
        ask: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(ask));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        self.answers()
    }

    /// Reads until the acknowledgement, the error or the end of the dump.
    fn answers(&mut self) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut found = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while rest.len() >= 16 {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                let aligned = (message.header.length as usize).next_multiple_of(4);
                rest = rest.get(aligned..).unwrap_or_default();
                // An answer to a request that was given up on.
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => found.push(inner),
                    NetlinkPayload::Done(_) => return Ok(found),
                    NetlinkPayload::Error(e) if e.code.is_none() => return Ok(found),
                    NetlinkPayload::Error(e) => return Err(e.to_io()),
                    _ => {}
                }
            }
        }
    }
}

/// What a change does with an object that is there already.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// Only a new object will do.
    Create,
    /// An old object is replaced.
    Replace,
    /// An old object is altered or removed.
    Alter,
}

impl How {
    fn flags(self) -> u16 {
        match self {
            How::Create => NLM_F_CREATE | NLM_F_EXCL,
            How::Replace => NLM_F_CREATE | NLM_F_REPLACE,
            How::Alter => 0,
        }
    }
}

fn connect() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Takes `errno` for success: the object is in the wanted state already.
pub(crate) fn unless(result: Result<()>, errno: &[i32]) -> Result<()> {
    match result {
        Err(e) if e.errno().is_some_and(|n| errno.contains(&n)) => Ok(()),
        other => other,
    }
}
