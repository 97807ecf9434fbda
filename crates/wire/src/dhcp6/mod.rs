//! DHCP for IPv6 (RFC 9915, which replaces RFC 8415): the message between client and server, and
//! the options a server needs.

mod identity;
mod option;

use std::net::Ipv6Addr;

pub use identity::{Addresses, Association, Lease, Prefixes};
pub use option::{Dhcp6Option, Status};

use crate::Malformed;

/// Where servers listen, and clients (section 7.2).
pub const SERVER_PORT: u16 = 547;
pub const CLIENT_PORT: u16 = 546;
/// All relay agents and servers on the link (section 7.1).
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A message between a client and a server on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp6 {
    pub kind: Kind,
    /// The client's number for its exchange.
    pub transaction: [u8; 3],
    pub options: Vec<Dhcp6Option>,
}

/// What a message is about: those without a relay (RFC 9915, section 7.3; RFC 9686, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Solicit,
    Advertise,
    Request,
    Confirm,
    Renew,
    Rebind,
    Reply,
    Release,
    Decline,
    Reconfigure,
    InformationRequest,
    AddressInform,
    AddressReply,
}

impl Kind {
    const CODES: [(Kind, u8); 13] = [
        (Kind::Solicit, 1),
        (Kind::Advertise, 2),
        (Kind::Request, 3),
        (Kind::Confirm, 4),
        (Kind::Renew, 5),
        (Kind::Rebind, 6),
        (Kind::Reply, 7),
        (Kind::Release, 8),
        (Kind::Decline, 9),
        (Kind::Reconfigure, 10),
        (Kind::InformationRequest, 11),
        (Kind::AddressInform, 36),
        (Kind::AddressReply, 37),
    ];

    fn parse(code: u8) -> Option<Kind> {
        let found = Kind::CODES.iter().find(|(_, c)| *c == code);
        found.map(|(kind, _)| *kind)
    }

    fn code(self) -> u8 {
        let found = Kind::CODES.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| *code) // the table has every kind: see the test
    }
}

impl Dhcp6 {
    /// Reads a datagram's payload. A relay's message is malformed here: no guest is one.
    ///
    /// ```text
    ///  0              8                                          31
    /// | kind         | transaction                                |
    /// | option code (2), length (2), value ...                    |
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Dhcp6, Malformed> {
        let wrong = Malformed("dhcpv6 message");
        let (&[code, a, b, c], options) = bytes.split_first_chunk::<4>().ok_or(wrong)?;
        Ok(Dhcp6 {
            kind: Kind::parse(code).ok_or(wrong)?,
            transaction: [a, b, c],
            options: option::parse(options)?,
        })
    }

    /// Appends the message.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let [a, b, c] = self.transaction;
        out.extend([self.kind.code(), a, b, c]);
        option::emit(&self.options, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Dhcp6 {
        Dhcp6 {
            kind: Kind::Solicit,
            transaction: [1, 2, 3],
            options: vec![
                Dhcp6Option::ClientId(vec![0, 4, 9]),
                Dhcp6Option::OptionRequest(vec![23, 24]),
                Dhcp6Option::ElapsedTime(7),
                Dhcp6Option::Addresses(Addresses {
                    id: 0x0a0b_0c0d,
                    ..Addresses::default()
                }),
                Dhcp6Option::RapidCommit,
            ],
        }
    }

    #[test]
    fn golden() {
        let mut bytes = Vec::new();
        sample().emit(&mut bytes);
        let expected = [
            1, 1, 2, 3, 0, 1, 0, 3, 0, 4, 9, 0, 6, 0, 4, 0, 23, 0, 24, 0, 8, 0, 2, 0, 7, 0, 3, 0,
            12, 10, 11, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14, 0, 0,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(Dhcp6::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn every_kind_has_its_code() {
        for (kind, code) in Kind::CODES {
            assert_eq!((Kind::parse(code), kind.code()), (Some(kind), code));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [
            &[][..],
            &[1, 2, 3],
            &[0, 1, 2, 3],
            &[12, 0, 0, 0],
            &[1, 0, 0, 0, 0],
        ] {
            assert!(Dhcp6::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_the_same(
            kind in 0..12_u8,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [&[kind, 0, 0, 0][..], &bytes].concat();
            if let Ok(read) = Dhcp6::parse(&bytes) {
                let mut out = Vec::new();
                read.emit(&mut out);
                prop_assert_eq!(Dhcp6::parse(&out), Ok(read));
            }
        }
    }
}
