//! The PROXY protocol, version 2: how a balancer says whose connection it passes on
//! (HAProxy's `proxy-protocol.txt`, section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets that every header has; the last two say how many follow.
pub const FIXED: usize = 16;
/// Octets that may follow: the addresses, and what a balancer may tell beside them.
pub const MOST: usize = 2048;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Octets that are no PROXY header of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY header of version 2: {0}")]
pub struct Malformed(pub &'static str);

/// The fixed part of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    command: Command,
    family: u8,
    /// Octets that follow, at most [`MOST`].
    pub length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// The balancer speaks for itself, to see whether we are well.
    Local,
    /// It speaks for a client.
    Proxy,
}

impl Fixed {
    /// Reads the first sixteen octets.
    ///
    /// # Errors
    /// When they are no such header, or announce more than [`MOST`].
    pub fn parse(octets: &[u8; FIXED]) -> Result<Fixed, Malformed> {
        let [signature @ .., version, family, high, low] = octets;
        if *signature != SIGNATURE {
            return Err(Malformed("the signature is another"));
        }
        let command = match version {
            0x20 => Command::Local,
            0x21 => Command::Proxy,
            _ => return Err(Malformed("version or command is unknown")),
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > MOST {
            return Err(Malformed("it is too long"));
        }
        Ok(Fixed {
            command,
            family: *family,
            length,
        })
    }

    /// Whose connection it is, of the octets that follow; `None`: the balancer's own, or one of a
    /// family without addresses.
    ///
    /// # Errors
    /// When they are fewer than the family needs.
    pub fn client(&self, rest: &[u8]) -> Result<Option<IpAddr>, Malformed> {
        let short = Malformed("its addresses are cut short");
        match (self.command, self.family >> 4) {
            (Command::Proxy, 1) if rest.len() < 12 => Err(short),
            (Command::Proxy, 2) if rest.len() < 36 => Err(short),
            (Command::Proxy, 1) => Ok(rest
                .first_chunk::<4>()
                .map(|o| IpAddr::V4(Ipv4Addr::from(*o)))),
            (Command::Proxy, 2) => Ok(rest
                .first_chunk::<16>()
                .map(|o| IpAddr::V6(Ipv6Addr::from(*o)))),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend([version, family]);
        octets.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        octets.extend(rest);
        octets
    }

    fn read(octets: &[u8]) -> Result<Option<IpAddr>, Malformed> {
        let fixed = Fixed::parse(octets.first_chunk().unwrap())?;
        fixed.client(&octets[FIXED..])
    }

    #[test]
    fn the_client_is_the_one_the_balancer_names() {
        let mut six = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        six.extend([0; 16]);
        six.extend([0x12, 0x34, 0x20, 0xfb]);
        let more = [six.clone(), vec![3, 0, 4, 1, 2, 3, 4]].concat();
        let four = [192, 0, 2, 9, 192, 0, 2, 1, 0x12, 0x34, 0x20, 0xfb];
        for (version, family, rest, client) in [
            (0x21, 0x21, &six[..], Some("2001:db8::7")),
            (0x21, 0x21, &more, Some("2001:db8::7")),
            (0x21, 0x11, &four, Some("192.0.2.9")),
            (0x21, 0x00, &[], None),
            (0x20, 0x21, &six, None),
            (0x20, 0x00, &[], None),
        ] {
            let expected = client.map(|c| c.parse().unwrap());
            assert_eq!(read(&header(version, family, rest)), Ok(expected));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = header(0x21, 0x21, &[0; 36]);
        for at in 0..13 {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(read(&bad).is_err(), "octet {at}");
        }
        for (version, family, rest) in [(0x21, 0x21, 35), (0x21, 0x11, 11), (0x21, 0x21, MOST + 1)]
        {
            assert!(read(&header(version, family, &vec![0; rest])).is_err());
        }
    }
}
