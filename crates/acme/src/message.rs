//! What an ACME server says, as values (RFC 8555, section 7.1). It comes from outside: members we
//! do not know are passed over, and text is shown without what steers terminals.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Characters of a text of the server's that are shown.
const SHOWN: usize = 300;
/// Problems within a problem that are shown.
const SHOWN_WITHIN: usize = 5;
/// Characters a challenge's token may have; 22 are the least (RFC 8555, section 8.3).
const TOKEN_MAX: usize = 256;
/// What all of ACME's own problem types begin with (RFC 8555, section 6.7).
const ACME_ERROR: &str = "urn:ietf:params:acme:error:";

/// Where what is (RFC 8555, section 7.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    pub new_nonce: String,
    pub new_account: String,
    pub new_order: String,
}

/// How far an order, an authorization or a challenge is (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
    /// `deactivated`, `expired`, `revoked`, and what is not known: nothing comes of it any more.
    #[serde(other)]
    Gone,
}

/// An order (RFC 8555, section 7.1.3).
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub status: Status,
    #[serde(default)]
    pub authorizations: Vec<String>,
    pub finalize: String,
    pub certificate: Option<String>,
    pub error: Option<Problem>,
}

/// What is to be proved about a name (RFC 8555, section 7.1.4).
#[derive(Clone, Debug, Deserialize)]
pub struct Authorization {
    pub status: Status,
    pub identifier: Identifier,
    #[serde(default)]
    pub challenges: Vec<Challenge>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Identifier {
    pub value: String,
}

/// A way to prove it (RFC 8555, section 7.1.5).
#[derive(Clone, Debug, Deserialize)]
pub struct Challenge {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    token: Option<String>,
    pub error: Option<Problem>,
}

impl Challenge {
    /// Its token, where it is made of the letters it may have (RFC 8555, section 8.1).
    pub fn token(&self) -> Option<&str> {
        let token = self.token.as_deref()?;
        let letter = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        let good = !token.is_empty() && token.len() <= TOKEN_MAX && token.bytes().all(letter);
        good.then_some(token)
    }
}

/// Why something was refused (RFC 8555, section 6.7; RFC 7807).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Problem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    subproblems: Vec<Problem>,
}

impl Problem {
    /// One that is known by an answer's status alone.
    pub fn of_status(status: u16) -> Problem {
        Problem {
            kind: format!("HTTP status {status}"),
            ..Problem::default()
        }
    }

    /// Whether it is one of ACME's own, as `badNonce`.
    pub fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(ACME_ERROR) == Some(kind)
    }

    /// What an operator can do.
    fn advice(&self) -> Option<&'static str> {
        Some(match self.kind.strip_prefix(ACME_ERROR)? {
            "rejectedIdentifier" | "caa" => {
                "have the authority allow the name, or take it out of names in [acme]"
            }
            "externalAccountRequired" => {
                "have the authority's operator give you a key, and name it in [acme.external_account]"
            }
            "connection" | "dns" | "tls" | "unauthorized" | "incorrectResponse" => {
                "the authority must reach this host by the name, over IPv6, at port 443 for tls-alpn-01 or 80 for http-01"
            }
            "unsupportedContact" | "invalidContact" => "mend contact in [acme]",
            "userActionRequired" => "the authority's operator must do something first",
            "unsupportedIdentifier" => {
                "this authority does not issue for addresses: give the cloud a name in url"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.strip_prefix(ACME_ERROR).unwrap_or(&self.kind);
        f.write_str(&shown(kind))?;
        let within = self.subproblems.iter().take(SHOWN_WITHIN);
        for problem in std::iter::once(self).chain(within) {
            let detail = shown(problem.detail.trim_end_matches('.'));
            if !detail.is_empty() {
                write!(f, ": {detail}")?;
            }
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// Text of somebody else's on one line, not endless, and without what steers terminals.
pub fn shown(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| match c.is_control() || turns(c) || c == '\u{2028}' || c == '\u{2029}' {
        true => ' ',
        false => c,
    };
    text.chars().take(SHOWN).map(plain).collect()
}

/// Reads one of these.
///
/// # Errors
/// What is wrong with it, in words that hold nothing of it that could do harm.
pub fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, String> {
    serde_json::from_slice(octets).map_err(|e| shown(&e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_sentence_that_steers_no_terminal() {
        let problem = |text: &str| parse::<Problem>(text.as_bytes()).unwrap().to_string();
        assert_eq!(
            problem(
                r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"No \u001b[31mway.",
                "subproblems":[{"type":"x","detail":"a.example\n"}],"status":400}"#
            ),
            "rejectedIdentifier: No  [31mway: a.example ; have the authority allow the name, or take it out of names in [acme]"
        );
        assert_eq!(
            problem(r#"{"type":"about:blank","detail":"x"}"#),
            "about:blank: x"
        );
        assert_eq!(problem("{}"), "");
        assert_eq!(Problem::of_status(503).to_string(), "HTTP status 503");
        let long = "x".repeat(9999);
        assert!(problem(&format!(r#"{{"detail":"{long}"}}"#)).len() < 400);
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_needed_must_be_there() {
        let order = r#"{"status":"on hold","finalize":"https://ca/f","notAfter":"x"}"#;
        let order: Order = parse(order.as_bytes()).unwrap();
        assert_eq!(order.status, Status::Gone);
        assert!(order.authorizations.is_empty() && order.certificate.is_none());
        for bad in [
            "",
            "[]",
            r#"{"status":"valid"}"#,
            "{\"status\":1,\"finalize\":\"\"}",
        ] {
            assert!(parse::<Order>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_of_its_letters_alone() {
        let challenge = |token: &str| Challenge {
            kind: "http-01".into(),
            url: String::new(),
            token: Some(token.into()),
            error: None,
        };
        assert_eq!(challenge("aZ0-_").token(), Some("aZ0-_"));
        for bad in ["", "a/../b", "a b", "ä", &"x".repeat(257)] {
            assert_eq!(challenge(bad).token(), None, "{bad}");
        }
    }
}
