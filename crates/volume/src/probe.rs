//! Logs in to a target as far as its password check and hangs up: whether QEMU, which stops its
//! guest while it tries and says little when it fails, would get in.
//!
//! ```text
//!   us: Login, security negotiation: our name, the target's, AuthMethod=CHAP
//!  tgt: AuthMethod=CHAP                 or a status that refuses (RFC 7143, section 11.13.5)
//!   us: CHAP_A=5                        MD5 (RFC 7143, section 12.1.3)
//!  tgt: CHAP_I=7 CHAP_C=0x..
//!   us: CHAP_N=name CHAP_R=0x..
//!  tgt: status
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV6, TcpStream};
use std::time::{Duration, Instant};

use linux::netns::Netns;
use linux::stream;
use md5::{Digest, Md5};
use model::Chap;

/// Octets of every PDU's header (RFC 7143, section 11.2).
const HEADER: usize = 48;

/// The most text believed in one answer; a challenge is up to 1024 octets (section 12.1.3).
const LONGEST: usize = 8 << 10;

const LOGIN: u8 = 0x03 | 0x40; // immediate, as section 11.12 asks
const LOGIN_RESPONSE: u8 = 0x23;

/// Leave for the next stage, from security negotiation to operational negotiation.
const TRANSIT: u8 = 0x80 | 0x01;

/// Whether one portal would let a name and password in to a target.
///
/// # Errors
/// A sentence that names the portal and says why not.
pub fn probe(
    ns: &Netns,
    portal: SocketAddrV6,
    target: &str,
    chap: &Chap,
    within: Duration,
) -> Result<(), String> {
    let end = Instant::now() + within;
    let silent = || format!("{portal} did not answer within {} s", within.as_secs());
    let stream = stream::connect_v6(ns, portal, within).map_err(|e| match e.kind() {
        io::ErrorKind::ConnectionRefused => format!("{portal} refused the connection"),
        io::ErrorKind::TimedOut => silent(),
        _ => format!("{portal} cannot be reached: {e}"),
    })?;
    let mut login = Login {
        stream,
        end,
        target,
    };
    login.run(chap).map_err(|e| match e.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => silent(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            format!("{portal} closed the connection during login")
        }
        _ => format!("{portal}: {e}"),
    })
}

struct Login<'a> {
    stream: TcpStream,
    end: Instant,
    target: &'a str,
}

impl Login<'_> {
    fn run(&mut self, chap: &Chap) -> io::Result<()> {
        let offer = [
            ("InitiatorName", "iqn.2026-11.org.hextet:probe"),
            ("SessionType", "Normal"),
            ("TargetName", self.target),
            ("AuthMethod", "CHAP"),
        ];
        let answer = self.exchange(0, &offer)?;
        if answer.get("AuthMethod").map(String::as_str) != Some("CHAP") {
            return Err(io::Error::other(
                "the target does not ask for a password (CHAP)",
            ));
        }
        let challenge = self.exchange(0, &[("CHAP_A", "5")])?;
        let response = response(&challenge, &chap.secret)
            .ok_or_else(|| io::Error::other("the target sent no challenge (CHAP)"))?;
        let proof = [("CHAP_N", chap.user.as_str()), ("CHAP_R", &response)];
        self.exchange(TRANSIT, &proof).map(drop)
    }

    fn exchange(
        &mut self,
        flags: u8,
        keys: &[(&str, &str)],
    ) -> io::Result<BTreeMap<String, String>> {
        let left = self.end.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write_all(&emit(flags, keys))?;
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header)?;
        let length = parse_header(&header, self.target)?;
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        Ok(parse_keys(&text))
    }
}

/// A Login Request (section 11.12) of a session of its own.
fn emit(flags: u8, keys: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in keys {
        text.extend(format!("{key}={value}\0").bytes());
    }
    let mut out = vec![0; HEADER];
    (out[0], out[1]) = (LOGIN, flags);
    out[4..8].copy_from_slice(&(text.len() as u32).to_be_bytes());
    out[8] = 0x80; // an ISID chosen at random (section 11.12.5); nobody else has this name
    out.extend(&text);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Reads a Login Response's header: how many octets of text follow, with their padding.
///
/// # Errors
/// Why the target refused, or that this is no such response.
pub fn parse_header(header: &[u8; HEADER], target: &str) -> io::Result<usize> {
    if header[0] & 0x3f != LOGIN_RESPONSE {
        return Err(io::Error::other("what answers there does not speak iSCSI"));
    }
    let refused = match (header[36], header[37]) {
        (0, _) => None,
        (2, 1) => Some("the target refused the name and password (CHAP)".to_owned()),
        (2, 2) => Some("the target does not admit this node".to_owned()),
        (2, 3 | 4) => Some(format!("there is no target {target}")),
        (1, _) => Some("the target has moved elsewhere".to_owned()),
        (class, detail) => Some(format!(
            "the target refused the login, status {class:02x}{detail:02x}"
        )),
    };
    if let Some(why) = refused {
        return Err(io::Error::other(why));
    }
    let length = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
    match length <= LONGEST {
        true => Ok(length.next_multiple_of(4)),
        false => Err(io::Error::other(format!("an answer of {length} octets"))),
    }
}

/// Reads `KEY=VALUE` pairs, each ended by a NUL; what is none is skipped.
pub fn parse_keys(text: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(text);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The answer to a challenge: MD5 of its number, the secret and itself (RFC 1994, section 4.1).
fn response(challenge: &BTreeMap<String, String>, secret: &str) -> Option<String> {
    let number: u8 = challenge.get("CHAP_I")?.parse().ok()?;
    let octets = hex(challenge.get("CHAP_C")?)?;
    let sum = Md5::new()
        .chain_update([number])
        .chain_update(secret)
        .chain_update(octets)
        .finalize();
    let digits: String = sum.iter().map(|octet| format!("{octet:02x}")).collect();
    Some(format!("0x{digits}"))
}

/// A large binary value in hex (section 6.1); tgtd writes them so.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"))?;
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_words() {
        let bytes = emit(TRANSIT, &[("A", "b"), ("C", "de")]);
        assert_eq!(bytes.len(), HEADER + 12);
        assert_eq!((bytes[0], bytes[1], bytes[7]), (0x43, 0x81, 9));
        assert_eq!(&bytes[HEADER..], b"A=b\0C=de\0\0\0\0");
    }

    #[test]
    fn refusals_are_sentences() {
        let answer = |class, detail| {
            let mut header = [0; HEADER];
            (header[0], header[36], header[37], header[7]) = (LOGIN_RESPONSE, class, detail, 5);
            parse_header(&header, "iqn.x:a").map_err(|e| e.to_string())
        };
        assert_eq!(answer(0, 0), Ok(8));
        for (class, detail, words) in [
            (2, 1, "the target refused the name and password (CHAP)"),
            (2, 2, "the target does not admit this node"),
            (2, 3, "there is no target iqn.x:a"),
            (3, 1, "the target refused the login, status 0301"),
        ] {
            assert_eq!(answer(class, detail).unwrap_err(), words);
        }
        assert!(parse_header(&[0; HEADER], "x").is_err());
        let mut long = [0; HEADER];
        (long[0], long[5]) = (LOGIN_RESPONSE, 0xff);
        assert!(parse_header(&long, "x").is_err());
    }

    #[test]
    fn a_challenge_is_answered() {
        let challenge = parse_keys(b"CHAP_A=5\0CHAP_I=7\0CHAP_C=0x00ff10\0\0\0nonsense\0");
        assert_eq!(challenge.len(), 3);
        // printf '\007secret\000\377\020' | md5sum
        let expected = "0x6521ace46a249970e35f3d1e781c2013";
        assert_eq!(response(&challenge, "secret").unwrap(), expected);
        for bad in [
            "CHAP_I=x\0CHAP_C=0x00",
            "CHAP_I=256\0CHAP_C=0x00",
            "CHAP_I=1\0CHAP_C=0b00",
            "CHAP_I=1",
            "CHAP_I=1\0CHAP_C=0xé",
        ] {
            assert_eq!(response(&parse_keys(bad.as_bytes()), "s"), None, "{bad}");
        }
    }
}
