//! A guest that asks, and takes the time.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use linux::socket::interface_index;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt,
};
use wire::dhcp6::{Addresses, CLIENT_PORT, Dhcp6, Dhcp6Option, Kind, SERVER_PORT, SERVERS};
use wire::icmpv6::ALL_ROUTERS;
use wire::nd::RouterSolicit;

use crate::site::{CLIENT, Site};
use crate::{Failure, median};

/// A server that has just been started may need so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is lost is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// Exchanges under way at a time.
const WINDOW: usize = 16;
const ROUTER_ADVERT: u8 = 134;

/// How long a solicitation's answer takes: the median of many, one after the other.
pub(crate) fn solicit(site: &Site, count: usize) -> Result<Duration, Failure> {
    let (socket, index) = icmpv6(site)?;
    let to = SocketAddr::from(SocketAddrV6::new(ALL_ROUTERS, 0, 0, index));
    let mut message = Vec::new();
    RouterSolicit {
        source_link_address: None,
    }
    .emit(&mut message);
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < count {
        // What nobody asked for, and what came late, is no answer.
        drain(&socket)?;
        let asked = Instant::now();
        socket.send_to(&message, to)?;
        match heard_advert(&socket) {
            Ok(()) => times.push(asked.elapsed()),
            Err(_) if began.elapsed() < PATIENCE => continue,
            Err(e) => return Err(format!("no advertisement came: {e}").into()),
        }
    }
    Ok(median(&mut times))
}

/// How long so many exchanges take, from the first answer on.
pub(crate) fn exchange(site: &Site, count: u32) -> Result<Duration, Failure> {
    let (socket, index) = udp(site)?;
    let to = SocketAddr::from(SocketAddrV6::new(SERVERS, SERVER_PORT, 0, index));
    await_server(&socket, to)?;
    let began = Instant::now();
    let (mut next, mut done) = (0, 0);
    let mut under_way: HashMap<[u8; 3], (Dhcp6, Instant)> = HashMap::new();
    let mut buffer = [0; 1500];
    while done < count {
        while under_way.len() < WINDOW && next < count {
            let message = solicit6(next);
            socket.send_to(&octets(&message), to)?;
            under_way.insert(message.transaction, (message, Instant::now()));
            next += 1;
        }
        let answer = match socket.recv(&mut buffer) {
            Ok(length) => Dhcp6::parse(&buffer[..length]).ok(),
            Err(_) => None,
        };
        if let Some(answer) = answer
            && let Some((asked, _)) = under_way.remove(&answer.transaction)
        {
            match (asked.kind, answer.kind) {
                (Kind::Solicit, Kind::Advertise) => {
                    let message = request6(&answer);
                    socket.send_to(&octets(&message), to)?;
                    under_way.insert(message.transaction, (message, Instant::now()));
                }
                (Kind::Request, Kind::Reply) => done += 1,
                other => return Err(format!("answered {other:?}").into()),
            }
        }
        for (message, asked) in under_way.values_mut() {
            if asked.elapsed() > AGAIN {
                socket.send_to(&octets(message), to)?;
                *asked = Instant::now();
            }
        }
        if began.elapsed() > 6 * PATIENCE {
            return Err(format!(
                "{done} of {count} exchanges were done in {:?}",
                began.elapsed()
            )
            .into());
        }
    }
    Ok(began.elapsed())
}

/// One exchange's first half, again and again until somebody answers.
fn await_server(socket: &UdpSocket, to: SocketAddr) -> Result<(), Failure> {
    let began = Instant::now();
    let mut buffer = [0; 1500];
    while began.elapsed() < PATIENCE {
        socket.send_to(&octets(&solicit6(u32::MAX)), to)?;
        if socket.recv(&mut buffer).is_ok() {
            // What answers late must not be taken for another's.
            while socket.recv(&mut buffer).is_ok() {}
            return Ok(());
        }
    }
    Err("no DHCPv6 server answered".into())
}

/// Each exchange is another client's, by its DUID.
fn solicit6(number: u32) -> Dhcp6 {
    let [_, a, b, c] = number.to_be_bytes();
    let duid = [&[0, 3, 0, 1, 2][..], &number.to_be_bytes(), &[9]].concat();
    Dhcp6 {
        kind: Kind::Solicit,
        transaction: [a, b, c],
        options: vec![
            Dhcp6Option::ClientId(duid),
            Dhcp6Option::Addresses(Addresses {
                id: number,
                ..Addresses::default()
            }),
            Dhcp6Option::ElapsedTime(0),
            Dhcp6Option::OptionRequest(vec![23, 24]),
        ],
    }
}

/// Asks for what was offered.
fn request6(offer: &Dhcp6) -> Dhcp6 {
    let wanted = |option: &&Dhcp6Option| {
        matches!(
            option,
            Dhcp6Option::ClientId(_) | Dhcp6Option::ServerId(_) | Dhcp6Option::Addresses(_)
        )
    };
    let [a, b, c] = offer.transaction;
    Dhcp6 {
        kind: Kind::Request,
        transaction: [a ^ 0x80, b, c],
        options: offer.options.iter().filter(wanted).cloned().collect(),
    }
}

fn octets(message: &Dhcp6) -> Vec<u8> {
    let mut out = Vec::new();
    message.emit(&mut out);
    out
}

/// Reads what is there already.
fn drain(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    while socket.recv(&mut [0; 1500]).is_ok() {}
    socket.set_nonblocking(false)
}

fn heard_advert(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        let length = socket.recv(&mut buffer)?;
        if buffer[..length].first() == Some(&ROUTER_ADVERT) {
            return Ok(());
        }
    }
}

/// A socket of ICMPv6: its addresses are those of UDP, but for the port.
fn icmpv6(site: &Site) -> Result<(UdpSocket, u32), Failure> {
    Ok(site.client.run(|| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(
            AddressFamily::Inet6,
            SockType::Raw,
            flags,
            SockProtocol::IcmpV6,
        )?;
        setsockopt(&fd, sockopt::Ipv6MulticastHops, &255)?;
        setsockopt(&fd, sockopt::BindToDevice, &CLIENT.into())?;
        let index = interface_index(&fd, CLIENT)?;
        let socket = UdpSocket::from(fd);
        socket.set_read_timeout(Some(AGAIN))?;
        Ok((socket, index))
    })?)
}

fn udp(site: &Site) -> Result<(UdpSocket, u32), Failure> {
    Ok(site.client.run(|| {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, CLIENT_PORT))?;
        socket.set_read_timeout(Some(AGAIN / 2))?;
        let index = interface_index(&socket, CLIENT)?;
        Ok((socket, index))
    })?)
}
