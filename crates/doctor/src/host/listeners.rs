//! Sockets that hextet's processes hold, and those that it wants to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV6};

use linux::sockets::Socket;

use super::{at, found};
use crate::finding::{Finding, Kind, Place};
use crate::table;

/// What was seen of sockets.
#[derive(Debug, Default)]
pub struct Listeners {
    pub held: Vec<Held>,
    /// What cannot be listened on, when nothing listens there for us.
    pub doors: Vec<Door>,
}

/// A socket of a process of hextet's.
#[derive(Clone, Debug)]
pub struct Held {
    pub process: Process,
    pub socket: Socket,
    pub space: Space,
}

/// A process by its number and its program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub name: String,
}

/// Whose network namespace a socket is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Host,
    /// A guests' network's.
    Network,
}

/// An address that the settings name, and cannot be had.
#[derive(Clone, Debug)]
pub struct Door {
    pub address: SocketAddrV6,
    pub place: Place,
    pub trouble: Trouble,
}

/// Why an address cannot be listened on.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Another listens there.
    Taken(Option<Process>),
    /// No interface of this host has it.
    Absent,
    Other(String),
}

/// What is wrong with a socket of hextet's, if something is.
pub fn wrong(socket: &Socket, space: Space) -> Option<&'static Kind> {
    match socket {
        Socket { inet4: true, .. } if serves_guests(socket, space) => None,
        Socket { inet4: true, .. } => Some(&table::SOCKET_IPV4),
        Socket { mapped: true, .. } => Some(&table::SOCKET_TAKES_IPV4),
        Socket {
            listens: true,
            v6only: Some(false),
            ..
        } => Some(&table::SOCKET_TAKES_IPV4),
        _ => None,
    }
}

/// Whether it serves guests by IPv4: metadata at 169.254.169.254:80, or names at port 53 of an
/// address of the network's own.
fn serves_guests(socket: &Socket, space: Space) -> bool {
    let (address, port) = (socket.local.ip(), socket.local.port());
    let metadata = socket.table == "tcp"
        && (address, port) == (IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
    let names = matches!(socket.table, "tcp" | "udp") && port == 53 && !address.is_unspecified();
    space == Space::Network && (metadata || names)
}

pub(super) fn check(seen: &Listeners) -> Vec<Finding> {
    let held = seen.held.iter().filter_map(|held| {
        let kind = wrong(&held.socket, held.space)?;
        Some(against_the_rule(held, kind))
    });
    held.chain(seen.doors.iter().map(door)).collect()
}

fn against_the_rule(held: &Held, kind: &'static Kind) -> Finding {
    let Socket { table, local, .. } = &held.socket;
    let Process { pid, name } = &held.process;
    let what = format!("process {pid} ({name}) holds {table} {local}");
    let fix = "report it with the output of `ss -anpe`; until it is mended, end the process, or drop what comes by IPv4 with nft".to_owned();
    found(kind, at(format!("process {pid} ({name})")), what, fix)
}

fn door(door: &Door) -> Finding {
    let Door { address, place, .. } = door;
    let (kind, what, fix) = match &door.trouble {
        Trouble::Taken(by) => {
            let (who, end) = match by {
                Some(Process { pid, name }) => (
                    format!("process {pid} ({name})"),
                    format!("end it (`kill {pid}`, or stop its service)"),
                ),
                None => ("another program".into(), "end it".into()),
            };
            (
                &table::LISTENER_TAKEN,
                format!("{who} listens on {address}, so `hextet up` cannot"),
                format!("{end}, or write another port here"),
            )
        }
        Trouble::Absent => (
            &table::LISTENER_ADDRESS_ABSENT,
            format!("no interface of this host has {}", address.ip()),
            format!(
                "`ip address add {}/64 dev INTERFACE` (and where your distribution keeps it), or write another address here",
                address.ip()
            ),
        ),
        Trouble::Other(why) => (
            &table::LISTENER_TAKEN,
            format!("nobody can listen on {address}: {why}"),
            "write another address or port here".into(),
        ),
    };
    found(kind, place.clone(), what, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(table: &'static str, local: &str) -> Socket {
        let local: std::net::SocketAddr = local.parse().unwrap();
        Socket {
            table,
            inet4: local.is_ipv4(),
            local,
            mapped: false,
            listens: true,
            v6only: local.is_ipv6().then_some(true),
        }
    }

    #[test]
    fn only_ipv6_is_right() {
        let right = socket("tcp6", "[::]:8443");
        let is = |socket| wrong(&socket, Space::Host).map(|kind| kind.id);
        assert_eq!(is(right.clone()), None);
        let (mapped, v6only) = (true, Some(false));
        let both = Socket {
            v6only,
            ..right.clone()
        };
        assert_eq!(is(both), Some("socket-takes-ipv4"));
        let caller = Socket { mapped, ..right };
        assert_eq!(is(caller), Some("socket-takes-ipv4"));
        assert_eq!(is(socket("udp", "192.0.2.1:9")), Some("socket-ipv4"));
    }

    #[test]
    fn ipv4_is_right_only_where_guests_ask() {
        let metadata = socket("tcp", "169.254.169.254:80");
        let names = socket("udp", "192.0.2.254:53");
        for right in [&metadata, &names] {
            assert!(wrong(right, Space::Network).is_none(), "{right:?}");
            assert!(wrong(right, Space::Host).is_some(), "{right:?}");
        }
        for (table, local) in [
            ("udp", "0.0.0.0:53"),
            ("raw", "192.0.2.254:53"),
            ("udp", "169.254.169.254:80"),
            ("tcp", "0.0.0.0:80"),
        ] {
            let bad = socket(table, local);
            assert!(wrong(&bad, Space::Network).is_some(), "{bad:?}");
        }
    }
}
