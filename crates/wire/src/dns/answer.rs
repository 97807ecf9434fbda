//! What an upstream says about a name's addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Forwarded, HEADER, IN, Name, Query, flag, kind, rcode, word};
use crate::Malformed;

const WRONG: Malformed = Malformed("answer");
/// Longer chains of CNAMEs than anybody means.
const CHAIN_MAX: usize = 16;

/// The addresses of a name, of the family that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub addresses: Vec<IpAddr>,
    /// For how long they hold, in seconds; 0 where there are none.
    pub ttl_s: u32,
    /// Whether there is no such name at all, for any kind of record.
    pub no_such_name: bool,
}

struct Line {
    owner: Name,
    kind: u16,
    ttl_s: u32,
    /// Where its data lies in the message.
    data: std::ops::Range<usize>,
}

impl Forwarded {
    /// The addresses that the answer to a question of [`Query::about`] gives, through its CNAMEs.
    ///
    /// # Errors
    /// When it is not what its numbers say.
    pub fn addresses(&self, query: &Query) -> Result<Addresses, Malformed> {
        let message = self.bytes();
        let lines = lines(message, HEADER + query.question.len())?;
        let mut found = Addresses {
            addresses: Vec::new(),
            ttl_s: u32::MAX,
            no_such_name: word(message, 2).unwrap_or(0) & flag::RCODE == rcode::NXDOMAIN,
        };
        let mut owner = query.name.clone();
        for _ in 0..CHAIN_MAX {
            for line in lines.iter().filter(|l| l.owner == owner) {
                let data = &message[line.data.clone()];
                let address = match (line.kind, data) {
                    (kind, _) if kind != query.kind => continue,
                    (kind::AAAA, data) => {
                        <[u8; 16]>::try_from(data).map(|o| IpAddr::V6(Ipv6Addr::from(o)))
                    }
                    (kind::A, data) => {
                        <[u8; 4]>::try_from(data).map(|o| IpAddr::V4(Ipv4Addr::from(o)))
                    }
                    _ => return Err(WRONG),
                };
                found.addresses.push(address.map_err(|_| WRONG)?);
                found.ttl_s = found.ttl_s.min(line.ttl_s);
            }
            let alias = lines
                .iter()
                .find(|l| l.kind == kind::CNAME && l.owner == owner);
            let Some(alias) = alias.filter(|_| found.addresses.is_empty()) else {
                break;
            };
            found.ttl_s = found.ttl_s.min(alias.ttl_s);
            (owner, _) = expand(message, alias.data.start)?;
        }
        if found.addresses.is_empty() {
            found.ttl_s = 0;
        }
        Ok(found)
    }
}

/// The records of the answer section, of the Internet's class.
fn lines(message: &[u8], mut at: usize) -> Result<Vec<Line>, Malformed> {
    let count = word(message, 6).ok_or(WRONG)?;
    let mut lines = Vec::new();
    for _ in 0..count {
        let (owner, rest) = expand(message, at)?;
        let field = |offset| word(message, rest + offset).ok_or(WRONG);
        let (kind, class, length) = (field(0)?, field(2)?, usize::from(field(8)?));
        let ttl_s = u32::from(field(4)?) << 16 | u32::from(field(6)?);
        let data = rest + 10..rest + 10 + length;
        if data.end > message.len() {
            return Err(WRONG);
        }
        at = data.end;
        if class == IN {
            lines.push(Line {
                owner,
                kind,
                // With its first bit set it counts as zero (RFC 2181, section 8).
                ttl_s: if ttl_s >> 31 == 0 { ttl_s } else { 0 },
                data,
            });
        }
    }
    Ok(lines)
}

/// The name at a place, which may end in a pointer to what stands before it (RFC 1035, section
/// 4.1.4), and where the next thing stands.
fn expand(message: &[u8], start: usize) -> Result<(Name, usize), Malformed> {
    let (mut at, mut next, mut wire) = (start, None, Vec::new());
    // A pointer leads back, so there is an end to them.
    let mut before = start;
    loop {
        let length = *message.get(at).ok_or(WRONG)?;
        match length >> 6 {
            0 => {
                let label = message.get(at..=at + usize::from(length)).ok_or(WRONG)?;
                wire.extend(label);
                at += label.len();
                if wire.len() > 255 {
                    return Err(WRONG);
                }
                if length == 0 {
                    let (name, _) = Name::parse(&wire)?;
                    return Ok((name, next.unwrap_or(at)));
                }
            }
            3 => {
                let to = usize::from(word(message, at).ok_or(WRONG)? & 0x3fff);
                if to >= before {
                    return Err(WRONG);
                }
                next.get_or_insert(at + 2);
                (at, before) = (to, to);
            }
            _ => return Err(WRONG),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(kind: u16) -> Query {
        Query::about("www.example".parse().unwrap(), kind)
    }

    /// An answer to `query` with records: owner, type, TTL, data.
    fn answer(query: &Query, code: u8, records: &[(&[u8], u16, u32, &[u8])]) -> Forwarded {
        let mut bytes = query.emit(7);
        bytes.truncate(HEADER + query.question.len());
        bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
        bytes[6..12].copy_from_slice(&[0, records.len() as u8, 0, 0, 0, 0]);
        for (owner, kind, ttl, data) in records {
            bytes.extend(*owner);
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(ttl.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(*data);
        }
        Forwarded::accept(query, 7, &bytes).unwrap()
    }

    const ASKED: &[u8] = &[0xc0, 12];
    const ONE: &[u8] = &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    #[test]
    fn addresses_are_read_through_aliases() {
        let query = query(kind::AAAA);
        // www.example CNAME a.example, whose tail is a pointer to the question's.
        let alias: &[u8] = &[1, b'a', 0xc0, 16];
        let target: &[u8] = &[1, b'A', 0xc0, 16];
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        for (records, addresses, ttl_s) in [
            (vec![(ASKED, kind::AAAA, 300, ONE)], vec![one], 300),
            (
                vec![
                    (ASKED, kind::CNAME, 60, alias),
                    (target, kind::AAAA, 300, ONE),
                ],
                vec![one],
                60,
            ),
            (vec![(target, kind::AAAA, 300, ONE)], vec![], 0),
            (vec![(ASKED, kind::CNAME, 60, ASKED)], vec![], 0),
            (vec![(ASKED, kind::AAAA, 1 << 31, ONE)], vec![one], 0),
            (vec![], vec![], 0),
        ] {
            let found = answer(&query, 0, &records).addresses(&query).unwrap();
            assert_eq!((found.addresses, found.ttl_s), (addresses, ttl_s));
        }
        let none = answer(&query, 3, &[]).addresses(&query).unwrap();
        assert!(none.no_such_name);
        let query = self::query(kind::A);
        let four = [(ASKED, kind::A, 5, &[192, 0, 2, 1][..])];
        let found = answer(&query, 0, &four).addresses(&query).unwrap();
        assert_eq!(found.addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let query = query(kind::AAAA);
        let itself = (HEADER + query.question.len()) as u8;
        for records in [
            (ASKED, kind::AAAA, 1, &ONE[1..]),
            (&[0xc0, itself][..], kind::AAAA, 1, ONE),
            (&[0xc0, 0xff][..], kind::AAAA, 1, ONE),
            (&[0x80, 0][..], kind::AAAA, 1, ONE),
            (&[9, b'a'][..], kind::AAAA, 1, &[][..]),
        ] {
            let read = answer(&query, 0, &[records]).addresses(&query);
            assert!(read.is_err(), "{records:?}: {read:?}");
        }
    }
}
