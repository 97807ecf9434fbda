//! What a client asks.

use super::{HEADER, LEAST_PAYLOAD, Name, PAYLOAD, flag, header, opt, rcode, word};

/// One question (RFC 9619 says that there is never another number of them).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub id: u16,
    pub recursion_desired: bool,
    pub checking_disabled: bool,
    pub name: Name,
    /// The type of records that is asked for.
    pub kind: u16,
    pub class: u16,
    pub edns: Option<Edns>,
    /// Name, type and class as they were written: the answer repeats them.
    pub(super) question: Vec<u8>,
}

/// What a client says of itself (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The longest answer that it takes over UDP, in octets.
    pub payload: u16,
    pub dnssec_ok: bool,
}

/// Octets that are no question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// An answer, or too short to be answered.
    Silence,
    /// The message that says what is wrong.
    Tell(Vec<u8>),
}

impl Query {
    /// Reads one question.
    ///
    /// # Errors
    /// What to do about octets that are none.
    pub fn parse(bytes: &[u8]) -> Result<Query, Unreadable> {
        let head: [u16; HEADER / 2] =
            std::array::from_fn(|i| word(bytes, 2 * i).unwrap_or_default());
        let [id, flags, questions, answers, authorities, additional] = head;
        if bytes.len() < HEADER || flags & flag::RESPONSE != 0 {
            return Err(Unreadable::Silence);
        }
        if flags & flag::OPCODE != 0 {
            return Err(refusal(id, flags, rcode::NOTIMP));
        }
        let malformed = || refusal(id, flags, rcode::FORMERR);
        if questions != 1 || answers != 0 || authorities != 0 {
            return Err(malformed());
        }
        let asked = &bytes[HEADER..];
        let (name, rest) = Name::parse(asked).map_err(|_| malformed())?;
        let (kind, class) = word(rest, 0).zip(word(rest, 2)).ok_or_else(malformed)?;
        let question = asked[..name.as_bytes().len() + 4].to_vec();
        let edns = match edns(&rest[4..], additional) {
            Some(Said::Nothing) => None,
            Some(Said::Edns(edns)) => Some(edns),
            Some(Said::OtherVersion) => return Err(refusal(id, flags, rcode::BADVERS)),
            None => return Err(malformed()),
        };
        Ok(Query {
            id,
            recursion_desired: flags & flag::RECURSION_DESIRED != 0,
            checking_disabled: flags & flag::CHECKING_DISABLED != 0,
            name,
            kind,
            class,
            edns,
            question,
        })
    }

    /// A question of our own about a name's records of one kind.
    pub fn about(name: Name, kind: u16) -> Query {
        let mut question = name.as_bytes().to_vec();
        question.extend(kind.to_be_bytes());
        question.extend(super::IN.to_be_bytes());
        Query {
            id: 0,
            recursion_desired: true,
            checking_disabled: false,
            name,
            kind,
            class: super::IN,
            edns: Some(Edns {
                payload: PAYLOAD,
                dnssec_ok: false,
            }),
            question,
        }
    }

    /// The longest answer over UDP, in octets.
    pub fn payload(&self) -> usize {
        let wanted = self.edns.map_or(LEAST_PAYLOAD, |edns| edns.payload);
        wanted.clamp(LEAST_PAYLOAD, PAYLOAD).into()
    }

    /// A message that asks this of a resolver, under another id.
    pub fn emit(&self, id: u16) -> Vec<u8> {
        let mut flags = flag::RECURSION_DESIRED;
        if self.checking_disabled {
            flags |= flag::CHECKING_DISABLED;
        }
        let mut out = Vec::with_capacity(HEADER + self.question.len() + 11);
        let additional = u16::from(self.edns.is_some());
        header(&mut out, id, flags, [1, 0, 0, additional]);
        out.extend(&self.question);
        if let Some(edns) = self.edns {
            // The guest is told no more than it takes, so neither need we be.
            opt(&mut out, self.payload() as u16, 0, edns.dnssec_ok, &[]);
        }
        out
    }
}

enum Said {
    Nothing,
    Edns(Edns),
    OtherVersion,
}

/// Goes through the additional records. `None` when they are not what their number says, when
/// there are two of EDNS, or something follows.
fn edns(mut rest: &[u8], count: u16) -> Option<Said> {
    let mut said = Said::Nothing;
    for _ in 0..count {
        let (name, record) = Name::parse(rest).ok()?;
        let (kind, class) = (word(record, 0)?, word(record, 2)?);
        let (version, flags) = (*record.get(5)?, word(record, 6)?);
        let length = usize::from(word(record, 8)?);
        rest = record.get(10 + length..)?;
        if kind == super::kind::OPT {
            if !matches!(said, Said::Nothing) || name.as_bytes().len() != 1 {
                return None;
            }
            said = match version {
                0 => Said::Edns(Edns {
                    payload: class,
                    dnssec_ok: flags & 0x8000 != 0,
                }),
                _ => Said::OtherVersion,
            };
        }
    }
    rest.is_empty().then_some(said)
}

/// An answer without the question, which could not be read.
fn refusal(id: u16, asked: u16, rcode: u16) -> Unreadable {
    let flags = flag::RESPONSE
        | asked & (flag::OPCODE | flag::RECURSION_DESIRED)
        | flag::RECURSION_AVAILABLE
        | rcode & flag::RCODE;
    let extended = rcode > flag::RCODE;
    let mut out = Vec::new();
    header(&mut out, id, flags, [0, 0, 0, extended.into()]);
    if extended {
        opt(&mut out, PAYLOAD, rcode, false, &[]);
    }
    Unreadable::Tell(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `www.Example AAAA IN`, recursion desired, and what follows.
    fn asked(additional: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
        bytes.extend(b"\x03www\x07Example\x00\x00\x1c\x00\x01");
        bytes.extend(rest);
        bytes
    }

    const OPT: &[u8] = &[0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0];

    #[test]
    fn a_question_is_read() {
        let plain = Query::parse(&asked(0, &[])).unwrap();
        assert_eq!(plain.name, "www.example".parse().unwrap());
        assert_eq!((plain.id, plain.kind, plain.class), (0x1234, 28, 1));
        assert_eq!((plain.edns, plain.payload()), (None, 512));
        assert!(plain.recursion_desired && !plain.checking_disabled);
        let edns = Query::parse(&asked(1, OPT)).unwrap();
        let said = Edns {
            payload: 4096,
            dnssec_ok: true,
        };
        assert_eq!((edns.edns, edns.payload()), (Some(said), 1232));
        for query in [plain, edns] {
            let again = Query::parse(&query.emit(7)).unwrap();
            let payload = query.payload() as u16;
            let edns = query.edns.map(|edns| Edns { payload, ..edns });
            assert_eq!(
                again,
                Query {
                    id: 7,
                    edns,
                    ..query
                }
            );
        }
    }

    #[test]
    fn what_is_no_question_is_told_so_or_nothing() {
        let told = |bytes: &[u8]| match Query::parse(bytes) {
            Err(Unreadable::Tell(said)) => Some((u16::from(said[3] & 15), said[11])),
            Err(Unreadable::Silence) => None,
            Ok(query) => panic!("{query:?}"),
        };
        let changed = |at: usize, to: u8| {
            let mut bytes = asked(0, &[]);
            bytes[at] = to;
            bytes
        };
        assert_eq!(told(&[0; 11]), None);
        assert_eq!(told(&changed(2, 0x81)), None, "an answer");
        assert_eq!(
            told(&changed(2, 0x28)),
            Some((rcode::NOTIMP, 0)),
            "an update"
        );
        for bad in [
            changed(5, 0),
            changed(5, 2),
            changed(7, 1),
            changed(9, 1),
            changed(12, 0xc0),
            asked(0, &[1]),
            asked(1, &[]),
            asked(1, &OPT[..10]),
            asked(2, &[OPT, OPT].concat()),
            asked(0, &[])[..27].to_vec(),
        ] {
            assert_eq!(told(&bad), Some((rcode::FORMERR, 0)), "{bad:?}");
        }
        let mut other_version = OPT.to_vec();
        other_version[6] = 1;
        assert_eq!(told(&asked(1, &other_version)), Some((0, 1)), "BADVERS");
    }

    proptest! {
        /// The fuzz target does this for longer.
        #[test]
        fn any_octets_are_read_or_answered(
            flags in any::<u8>(),
            counts in proptest::collection::vec(0_u8..3, 4),
            rest in proptest::collection::vec(prop_oneof![Just(0), 0_u8..5, any::<u8>()], 0..80),
        ) {
            let mut bytes = vec![0x12, 0x34, flags & 0x7f, 0];
            bytes.extend(counts.iter().flat_map(|count| [0, *count]));
            bytes.extend(rest);
            match Query::parse(&bytes) {
                Ok(query) => {
                    let again = Query::parse(&query.emit(query.id)).unwrap();
                    prop_assert_eq!(again.question, query.question);
                }
                Err(Unreadable::Tell(said)) => prop_assert_eq!(said[..2].to_vec(), [0x12, 0x34]),
                Err(Unreadable::Silence) => prop_assert!(false, "a question is answered"),
            }
        }
    }
}
