//! What an upstream answered.

use super::{HEADER, Query, flag, rcode, truncated, word};

/// The longest answer over UDP that meets no fragmentation: what fits the least MTU of IPv6
/// (RFC 9715, section 3.1), in octets.
pub const PAYLOAD: u16 = 1232;

/// An answer to our question, as far as it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded(Vec<u8>);

impl Forwarded {
    /// Takes a message that answers `query`, which was sent under `id`; `None` for any other.
    pub fn accept(query: &Query, id: u16, bytes: &[u8]) -> Option<Forwarded> {
        let (answered, flags, questions) = (word(bytes, 0)?, word(bytes, 2)?, word(bytes, 4)?);
        let question = bytes.get(HEADER..HEADER + query.question.len())?;
        let ours = answered == id
            && flags & (flag::RESPONSE | flag::OPCODE) == flag::RESPONSE
            && questions == 1
            && question.eq_ignore_ascii_case(&query.question);
        ours.then(|| Forwarded(bytes.to_vec()))
    }

    /// Whether the rest is to be had over TCP only.
    pub fn is_truncated(&self) -> bool {
        self.flags() & flag::TRUNCATED != 0
    }

    /// Whether the upstream could not say: another may.
    pub fn is_failure(&self) -> bool {
        let code = self.flags() & flag::RCODE;
        code != rcode::NOERROR && code != rcode::NXDOMAIN
    }

    /// The message for the client, of at most `limit` octets.
    pub fn emit(mut self, query: &Query, limit: usize) -> Vec<u8> {
        let mut flags = self.flags();
        if flags & flag::TRUNCATED != 0 || self.0.len() > limit {
            return truncated(query, flags & flag::RCODE);
        }
        // Nothing proves to the client that this way is safe (RFC 6840, section 5.8).
        flags &= !(flag::AUTHENTIC | flag::RECURSION_DESIRED);
        flags |= flag::RECURSION_AVAILABLE;
        if query.recursion_desired {
            flags |= flag::RECURSION_DESIRED;
        }
        self.0[..2].copy_from_slice(&query.id.to_be_bytes());
        self.0[2..4].copy_from_slice(&flags.to_be_bytes());
        self.0[HEADER..HEADER + query.question.len()].copy_from_slice(&query.question);
        self.0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn flags(&self) -> u16 {
        word(&self.0, 2).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(b"\x01A\x00\x00\x1c\x00\x01");
        Query::parse(&bytes).unwrap()
    }

    /// An answer under id 0x0007 with these flags.
    fn answer(flags: u16) -> Vec<u8> {
        let mut bytes = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes.extend(b"\x01a\x00\x00\x1c\x00\x01and so on");
        bytes
    }

    #[test]
    fn only_our_answer_is_taken() {
        let query = query();
        assert!(Forwarded::accept(&query, 7, &answer(0x8180)).is_some());
        let changed = |at: usize, to: u8| {
            let mut bytes = answer(0x8180);
            bytes[at] = to;
            bytes
        };
        for (what, bytes) in [
            ("another id", changed(1, 8)),
            ("a question", changed(2, 1)),
            ("another opcode", changed(2, 0xa8)),
            ("no question", changed(5, 0)),
            ("another name", changed(13, b'b')),
            ("another type", changed(16, 1)),
            ("cut", answer(0x8180)[..18].to_vec()),
            ("empty", Vec::new()),
        ] {
            assert_eq!(Forwarded::accept(&query, 7, &bytes), None, "{what}");
        }
    }

    #[test]
    fn the_client_sees_its_own_question() {
        let query = query();
        let forwarded = Forwarded::accept(&query, 7, &answer(0x81a0)).unwrap();
        assert!(!forwarded.is_truncated() && !forwarded.is_failure());
        let told = forwarded.clone().emit(&query, 512);
        assert_eq!(told[..4], [0x12, 0x34, 0x81, 0x80]);
        assert_eq!(&told[12..], b"\x01A\x00\x00\x1c\x00\x01and so on");
        assert_eq!(forwarded.emit(&query, 20)[2..4], [0x83, 0x80], "too long");
        for (flags, cut, failed) in [
            (0x8380, true, false),
            (0x8182, false, true),
            (0x8183, false, false),
        ] {
            let forwarded = Forwarded::accept(&query, 7, &answer(flags)).unwrap();
            assert_eq!(
                (forwarded.is_truncated(), forwarded.is_failure()),
                (cut, failed)
            );
        }
    }
}
