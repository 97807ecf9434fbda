//! DHCP for IPv4 (RFC 2131): its one message, and the options a server needs (RFC 2132).

mod option;

use std::net::Ipv4Addr;

pub use option::{DhcpOption, Kind};

use crate::{MacBytes, Malformed};

/// Where servers listen, and clients.
pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;

/// From the first octet to the options.
const FIXED: usize = 240;
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
const COOKIE: [u8; 4] = [99, 130, 83, 99]; // RFC 2131, section 3
const ETHERNET: [u8; 2] = [1, 6]; // RFC 2131, section 2: hardware type and length of an address
const BROADCAST: u16 = 0x8000;
/// Clients may take a shorter message for a broken one (RFC 1542, section 2.1).
const MESSAGE_MIN: usize = 300;

/// A message between a client on Ethernet and a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp4 {
    pub op: Op,
    /// The client's number for its exchange.
    pub transaction: u32,
    pub seconds: u16,
    /// The client cannot take unicast before it has an address.
    pub broadcast: bool,
    /// `ciaddr`: the address that the client has.
    pub client: Ipv4Addr,
    /// `yiaddr`: the address that it is to have.
    pub yours: Ipv4Addr,
    /// `siaddr`: where it would boot from.
    pub next_server: Ipv4Addr,
    /// `giaddr`: who passed the message on.
    pub relay: Ipv4Addr,
    /// `chaddr`
    pub mac: MacBytes,
    pub options: Vec<DhcpOption>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The client.
    Request,
    /// The server.
    Reply,
}

impl Dhcp4 {
    /// Reads a datagram's payload.
    ///
    /// ```text
    ///  0              8              16             24             31
    /// | op           | htype 1      | hlen 6       | hops         |
    /// | transaction (xid)                                         |
    /// | seconds                     | B | 0                       |
    /// | ciaddr (4), yiaddr (4), siaddr (4), giaddr (4)            |
    /// | chaddr (6 of 16)                                          |
    /// | sname (64), file (128): options too, if one says so       |
    /// | 99, 130, 83, 99                                           |
    /// | options                                                   |
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Dhcp4, Malformed> {
        let wrong = Malformed("dhcp message");
        let (fixed, options) = bytes.split_first_chunk::<FIXED>().ok_or(wrong)?;
        let op = match fixed[0] {
            1 => Op::Request,
            2 => Op::Reply,
            _ => return Err(wrong),
        };
        if fixed[1..3] != ETHERNET || fixed[236..] != COOKIE {
            return Err(wrong);
        }
        let [a, b, c, d, e, f] = [28, 29, 30, 31, 32, 33].map(|at| fixed[at]);
        Ok(Dhcp4 {
            op,
            transaction: u32::from_be_bytes(four(fixed, 4)),
            seconds: u16::from_be_bytes([fixed[8], fixed[9]]),
            broadcast: u16::from_be_bytes([fixed[10], fixed[11]]) & BROADCAST != 0,
            client: four(fixed, 12).into(),
            yours: four(fixed, 16).into(),
            next_server: four(fixed, 20).into(),
            relay: four(fixed, 24).into(),
            mac: [a, b, c, d, e, f],
            options: option::parse(options, &fixed[FILE], &fixed[SNAME])?,
        })
    }

    /// Appends the message, filled up to 300 octets.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let op = match self.op {
            Op::Request => 1,
            Op::Reply => 2,
        };
        out.extend([op, ETHERNET[0], ETHERNET[1], 0]);
        out.extend(self.transaction.to_be_bytes());
        out.extend(self.seconds.to_be_bytes());
        out.extend((if self.broadcast { BROADCAST } else { 0 }).to_be_bytes());
        for address in [self.client, self.yours, self.next_server, self.relay] {
            out.extend(address.octets());
        }
        out.extend(self.mac);
        out.resize(start + FIXED - COOKIE.len(), 0);
        out.extend(COOKIE);
        option::emit(&self.options, out);
        if out.len() < start + MESSAGE_MIN {
            out.resize(start + MESSAGE_MIN, 0);
        }
    }

    /// What kind of message it is; none without option 53, which BOOTP lacks.
    pub fn kind(&self) -> Option<Kind> {
        self.options.iter().find_map(|option| match option {
            DhcpOption::Kind(kind) => Some(*kind),
            _ => None,
        })
    }
}

fn four(fixed: &[u8; FIXED], at: usize) -> [u8; 4] {
    [0, 1, 2, 3].map(|i| fixed[at + i])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Dhcp4 {
        Dhcp4 {
            op: Op::Request,
            transaction: 0x0102_0304,
            seconds: 5,
            broadcast: true,
            client: Ipv4Addr::UNSPECIFIED,
            yours: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay: Ipv4Addr::UNSPECIFIED,
            mac: [2, 0, 0, 0, 0, 9],
            options: vec![
                DhcpOption::Kind(Kind::Discover),
                DhcpOption::RequestedAddress("192.0.2.5".parse().unwrap()),
                DhcpOption::ParameterList(vec![1, 3, 121]),
            ],
        }
    }

    #[test]
    fn golden() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        assert_eq!(bytes.len(), MESSAGE_MIN);
        assert_eq!(bytes[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 5, 0x80, 0]);
        assert_eq!(bytes[28..36], [2, 0, 0, 0, 0, 9, 0, 0]);
        let options = [
            99, 130, 83, 99, 53, 1, 1, 50, 4, 192, 0, 2, 5, 55, 3, 1, 3, 121, 255, 0,
        ];
        assert_eq!(bytes[236..256], options);
        assert_eq!(Dhcp4::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        for at in [0, 1, 2, 236, 239] {
            let mut bytes = bytes.clone();
            bytes[at] = 7;
            assert!(Dhcp4::parse(&bytes).is_err(), "octet {at}");
        }
        assert!(Dhcp4::parse(&bytes[..239]).is_err());
    }

    #[test]
    fn options_may_go_on_in_other_fields() {
        let mut bytes = Vec::new();
        let mut message = sample();
        message.options = vec![DhcpOption::Kind(Kind::Request)];
        message.emit(&mut bytes);
        bytes[243..247].copy_from_slice(&[52, 1, 3, 255]);
        bytes[FILE.start..FILE.start + 4].copy_from_slice(&[12, 1, b'a', 255]);
        bytes[SNAME.start..SNAME.start + 4].copy_from_slice(&[12, 1, b'b', 255]);
        let read = Dhcp4::parse(&bytes).unwrap();
        assert_eq!(read.options[1], DhcpOption::HostName(b"ab".to_vec()));
    }

    proptest! {
        #[test]
        fn parse_never_panics(
            fixed in proptest::collection::vec(any::<u8>(), FIXED - 4),
            options in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = [fixed, COOKIE.to_vec(), options].concat();
            bytes[0] = 1;
            bytes[1..3].copy_from_slice(&ETHERNET);
            if let Ok(read) = Dhcp4::parse(&bytes) {
                let mut out = Vec::new();
                read.emit(&mut out);
                prop_assert_eq!(Dhcp4::parse(&out), Ok(read));
            }
        }
    }
}
