//! What is answered from our own knowledge.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{HEADER, IN, Name, PAYLOAD, Query, flag, header, kind, opt};

/// A compressed name that repeats the question's, which stands behind the header (RFC 1035,
/// section 4.1.4).
const AS_ASKED: u16 = 0xc000 | HEADER as u16;
/// The option that carries an extended error (RFC 8914, section 2).
const EXTENDED_ERROR: u16 = 15;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// One of [`super::rcode`].
    pub rcode: u16,
    /// It comes from who decides what the name means.
    pub authoritative: bool,
    /// Of the name that was asked for.
    pub answers: Vec<Record>,
    /// Says for how long it holds that there is no such record (RFC 2308).
    pub soa: Option<Soa>,
    /// One of [`super::extended`], and words about it. Told to clients with EDNS.
    pub error: Option<(u16, &'static str)>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub ttl_s: u32,
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(Name),
    Soa(Soa),
}

/// The start of a zone of authority (RFC 1035, section 3.3.13), which is its own primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    pub zone: Name,
    /// The mailbox of who is responsible.
    pub mailbox: Name,
    /// How long a negative answer holds, in seconds.
    pub negative_s: u32,
}

impl Reply {
    /// The message, of at most `limit` octets: when it does not fit it is empty, and says so.
    pub fn emit(&self, query: &Query, limit: usize) -> Vec<u8> {
        let mut flags = self.rcode & flag::RCODE;
        if self.authoritative {
            flags |= flag::AUTHORITATIVE;
        }
        let edns = query.edns.is_some();
        let counts = [
            self.answers.len() as u16,
            self.soa.is_some().into(),
            edns.into(),
        ];
        let mut out = begun(query, flags, counts);
        for record in &self.answers {
            out.extend(AS_ASKED.to_be_bytes());
            record.data.emit(record.ttl_s, &mut out);
        }
        if let Some(soa) = &self.soa {
            out.extend(soa.zone.as_bytes());
            Data::Soa(soa.clone()).emit(soa.negative_s, &mut out);
        }
        if edns {
            opt(&mut out, PAYLOAD, self.rcode, false, &self.options());
        }
        match out.len() > limit {
            true => truncated(query, self.rcode),
            false => out,
        }
    }

    fn options(&self) -> Vec<u8> {
        let Some((code, text)) = self.error else {
            return Vec::new();
        };
        let mut option = EXTENDED_ERROR.to_be_bytes().to_vec();
        option.extend((text.len() as u16 + 2).to_be_bytes());
        option.extend(code.to_be_bytes());
        option.extend(text.bytes());
        option
    }
}

/// The answer to a client that is to ask again over TCP.
pub fn truncated(query: &Query, rcode: u16) -> Vec<u8> {
    let edns = query.edns.is_some();
    let flags = flag::TRUNCATED | rcode & flag::RCODE;
    let mut out = begun(query, flags, [0, 0, edns.into()]);
    if edns {
        opt(&mut out, PAYLOAD, rcode, false, &[]);
    }
    out
}

/// Header and question.
fn begun(query: &Query, mut flags: u16, [answers, authority, additional]: [u16; 3]) -> Vec<u8> {
    flags |= flag::RESPONSE | flag::RECURSION_AVAILABLE;
    if query.recursion_desired {
        flags |= flag::RECURSION_DESIRED;
    }
    if query.checking_disabled {
        flags |= flag::CHECKING_DISABLED;
    }
    let mut out = Vec::new();
    let counts = [1, answers, authority, additional];
    header(&mut out, query.id, flags, counts);
    out.extend(&query.question);
    out
}

impl Data {
    /// Type, class, lifetime and data.
    fn emit(&self, ttl_s: u32, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Data::A(address) => (kind::A, address.octets().to_vec()),
            Data::Aaaa(address) => (kind::AAAA, address.octets().to_vec()),
            Data::Ptr(name) => (kind::PTR, name.as_bytes().to_vec()),
            Data::Soa(soa) => (kind::SOA, soa.data()),
        };
        out.extend(kind.to_be_bytes());
        out.extend(IN.to_be_bytes());
        out.extend(ttl_s.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
}

impl Soa {
    fn data(&self) -> Vec<u8> {
        let mut out = self.zone.as_bytes().to_vec();
        out.extend(self.mailbox.as_bytes());
        // Nobody transfers the zone, so serial, refresh, retry and expiry mean nothing.
        for number in [1, 3600, 600, 86_400, self.negative_s] {
            out.extend(u32::to_be_bytes(number));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{extended, rcode};

    fn query(edns: bool) -> Query {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns.into()];
        bytes.extend(b"\x01A\x00\x00\x1c\x00\x01");
        if edns {
            bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        }
        Query::parse(&bytes).unwrap()
    }

    #[test]
    fn an_address_is_written() {
        let reply = Reply {
            authoritative: true,
            answers: vec![Record {
                ttl_s: 60,
                data: Data::Aaaa("2001:db8::1".parse().unwrap()),
            }],
            ..Reply::default()
        };
        let mut expected = b"\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00".to_vec();
        expected.extend(b"\x01A\x00\x00\x1c\x00\x01");
        expected.extend(b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10");
        expected.extend(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
        assert_eq!(reply.emit(&query(false), 512), expected);
    }

    #[test]
    fn nothing_is_written_with_its_reason() {
        let soa = Soa {
            zone: "b".parse().unwrap(),
            mailbox: "m.b".parse().unwrap(),
            negative_s: 5,
        };
        let reply = Reply {
            rcode: rcode::NXDOMAIN,
            soa: Some(soa),
            error: Some((extended::OTHER, "no")),
            ..Reply::default()
        };
        let mut expected = b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x01\x00\x01".to_vec();
        expected.extend(b"\x01A\x00\x00\x1c\x00\x01");
        expected
            .extend(b"\x01b\x00\x00\x06\x00\x01\x00\x00\x00\x05\x00\x1c\x01b\x00\x01m\x01b\x00");
        expected.extend(b"\0\0\0\x01\0\0\x0e\x10\0\0\x02\x58\0\x01\x51\x80\0\0\0\x05");
        expected.extend(b"\x00\x00\x29\x04\xd0\0\0\0\0\0\x08\x00\x0f\x00\x04\0\0no");
        assert_eq!(reply.emit(&query(true), 512), expected);
    }

    #[test]
    fn what_does_not_fit_is_asked_for_again() {
        let record = Record {
            ttl_s: 60,
            data: Data::A("192.0.2.1".parse().unwrap()),
        };
        let reply = Reply {
            answers: vec![record; 40],
            ..Reply::default()
        };
        let whole = reply.emit(&query(true), 1232);
        assert_eq!((whole[2] & 2, whole[7]), (0, 40));
        let cut = reply.emit(&query(true), 512);
        assert_eq!((cut[2] & 2, cut[7], cut.len()), (2, 0, 30));
    }
}
