//! One certificate, from the order to its file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use net::{Certificates, Challenges, Pair, Requested, Resolver, Shown, Source, TlsError};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::account::{Account, unwritten};
use crate::http01::Board;
use crate::message::{Authorization, Challenge, Order, Problem, Status};
use crate::server::{Server, value};
use crate::{Challenge as How, Error, Settings, file, jws};

/// How long a server may take to look at a challenge, or to issue.
const PATIENCE: Duration = Duration::from_secs(300);
/// How soon one looks again, unless the server says so; then twice as long each time.
const LOOK: Duration = Duration::from_millis(250);
/// The longest between two looks, whatever the server says.
const LOOK_MOST: Duration = Duration::from_secs(30);
/// Names that an order may have; the settings have few.
const AUTHORIZATIONS_MAX: usize = 100;

/// Has certificates issued.
pub struct Client {
    settings: Settings,
    resolver: Arc<Resolver>,
    challenges: Challenges,
}

/// An attempt: an account that the server knows.
struct Attempt<'a> {
    settings: &'a Settings,
    challenges: &'a Challenges,
    server: Server,
    account: Account,
}

/// What answers a challenge, as long as it is held.
enum Answered {
    Tls { _shown: Shown },
    Http,
}

impl Client {
    /// One for these settings. Challenges by TLS are shown by the listener that they belong to.
    pub fn new(settings: Settings, resolver: Arc<Resolver>, challenges: Challenges) -> Client {
        Client {
            settings,
            resolver,
            challenges,
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the certificate in the file began and ends.
    ///
    /// # Errors
    /// When there is none that is good for each of the names.
    pub fn valid(&self, now: SystemTime) -> Result<(SystemTime, SystemTime), TlsError> {
        judged(&self.settings, &self.settings.certificate, now)
    }

    /// Has a certificate issued, judges it as clients would, and puts it in its file.
    ///
    /// # Errors
    /// Those of [`Error`]; then the file is as it was.
    pub async fn issue(&self) -> Result<(), Error> {
        let settings = &self.settings;
        let mut account = Account::read(settings)?;
        let resolver = self.resolver.clone();
        let mut server = Server::open(resolver, &settings.directory, &settings.server_ca).await?;
        if account.url.is_none() {
            account.register(&mut server, settings).await?;
        }
        let mut attempt = Attempt {
            settings,
            challenges: &self.challenges,
            server,
            account,
        };
        let (url, order) = attempt.order().await?;
        attempt.prove(&order).await?;
        let requested = requested(&settings.names)?;
        let chain = attempt.finalize(&url, &requested.request).await?;
        crash::point("acme issued");
        // The key comes first, so that none that somebody else put behind it counts.
        self.keep(&format!("{}{chain}", requested.key))
    }

    fn keep(&self, text: &str) -> Result<(), Error> {
        let path = &self.settings.certificate;
        let fresh = path.with_extension("new");
        let failed = |source| unwritten(path, source);
        file::write_new(&fresh, text.as_bytes()).map_err(failed)?;
        crash::point("acme certificate written");
        judged(&self.settings, &fresh, SystemTime::now()).map_err(Error::Judged)?;
        file::rename(&fresh, path).map_err(failed)?;
        crash::point("acme certificate in force");
        Ok(())
    }
}

/// Judges a certificate for each name, and tells when it began and ends.
fn judged(
    settings: &Settings,
    path: &std::path::Path,
    now: SystemTime,
) -> Result<(SystemTime, SystemTime), TlsError> {
    let mut valid = (now, now);
    for name in &settings.names {
        let source = Source {
            pairs: vec![Pair {
                certificate: path.into(),
                key: path.into(),
            }],
            awaited: None,
            ca: settings.ca.clone(),
            host: name.clone(),
        };
        for ends in Certificates::read(source, now)?.ends() {
            valid = (ends.from, ends.at);
        }
    }
    Ok(valid)
}

fn requested(names: &[String]) -> Result<Requested, Error> {
    Requested::new(names).map_err(|e| Error::Request(e.to_string()))
}

/// Names and addresses as identifiers (RFC 8555, section 7.1.4; RFC 8738, section 3).
fn identifiers(names: &[String]) -> Value {
    let one = |name: &String| match name.parse::<std::net::IpAddr>() {
        Ok(address) => json!({"type": "ip", "value": address.to_string()}),
        Err(_) => json!({"type": "dns", "value": name}),
    };
    names.iter().map(one).collect()
}

impl Attempt<'_> {
    /// A new order and its URL. A server that has forgotten the account is told of it again.
    async fn order(&mut self) -> Result<(String, Order), Error> {
        let doing = "an order";
        let payload = json!({"identifiers": identifiers(&self.settings.names)});
        let url = self.server.directory.new_order.clone();
        let mut answer = self.post(doing, &url, Some(&payload)).await;
        if let Err(Error::Refused { problem, .. }) = &answer
            && problem.is("accountDoesNotExist")
        {
            let account = &mut self.account;
            account.register(&mut self.server, self.settings).await?;
            answer = self.post(doing, &url, Some(&payload)).await;
        }
        let answer = answer?;
        let none = || Error::Nonsense {
            doing,
            why: "it does not say where the order is".into(),
        };
        let at = answer.header("location").ok_or_else(none)?.to_owned();
        crash::point("acme order");
        Ok((at, value(&answer, doing)?))
    }

    /// Proves each name that the server does not remember to be proved.
    async fn prove(&mut self, order: &Order) -> Result<(), Error> {
        let doing = "a name";
        let board = match self.settings.challenge {
            How::Http01(address) => Some(Board::open(address).map_err(Error::Listen)?),
            How::TlsAlpn01 => None,
        };
        for url in order.authorizations.iter().take(AUTHORIZATIONS_MAX) {
            let asked: Authorization = value(&self.post(doing, url, None).await?, doing)?;
            if asked.status == Status::Valid {
                continue;
            }
            let challenge = self.challenge(&asked)?;
            let _answered = self.answer(&asked, challenge, board.as_ref())?;
            crash::point("acme challenge");
            let go = json!({});
            self.post(doing, &challenge.url, Some(&go)).await?;
            let open = |a: &Authorization| a.status == Status::Pending;
            let seen: Authorization = self.wait(doing, url, open).await?;
            if seen.status != Status::Valid {
                return Err(unproved(seen));
            }
        }
        Ok(())
    }

    fn challenge<'a>(&self, asked: &'a Authorization) -> Result<&'a Challenge, Error> {
        let kind = self.settings.challenge.kind();
        let found = asked.challenges.iter().find(|c| c.kind == kind);
        found.ok_or_else(|| Error::Nonsense {
            doing: "a name",
            why: format!(
                "it does not offer {kind} for '{}': choose another challenge in [acme], or have the authority allow it",
                crate::message::shown(&asked.identifier.value)
            ),
        })
    }

    fn answer(
        &self,
        asked: &Authorization,
        challenge: &Challenge,
        board: Option<&Board>,
    ) -> Result<Answered, Error> {
        let nonsense = |why: &str| Error::Nonsense {
            doing: "a name",
            why: why.into(),
        };
        let token = challenge.token();
        let token = token.ok_or_else(|| nonsense("its token is none"))?;
        let authorization = self.account.key.authorization(token);
        if let Some(board) = board {
            board.pin(token, authorization);
            return Ok(Answered::Http);
        }
        // Only for a name that we asked for is anything shown.
        let ours = |name: &&String| name.eq_ignore_ascii_case(&asked.identifier.value);
        let name = self.settings.names.iter().find(ours);
        let name = name.ok_or_else(|| nonsense("it is about a name that was not asked for"))?;
        let mut octets = [0; 32];
        octets.copy_from_slice(digest(&SHA256, authorization.as_bytes()).as_ref());
        let _shown = self.challenges.show(name, &octets)?;
        Ok(Answered::Tls { _shown })
    }

    /// Sends the request, and waits for the certificate with its chain, in PEM.
    async fn finalize(&mut self, url: &str, request: &[u8]) -> Result<String, Error> {
        let doing = "a certificate";
        let proved = |o: &Order| o.status == Status::Pending;
        let order: Order = self.wait(doing, url, proved).await?;
        if order.status == Status::Ready {
            let payload = json!({"csr": jws::encode(request)});
            self.post(doing, &order.finalize, Some(&payload)).await?;
            crash::point("acme asked");
        }
        let busy = |o: &Order| matches!(o.status, Status::Processing | Status::Ready);
        let order: Order = self.wait(doing, url, busy).await?;
        let place = match (order.status, order.certificate) {
            (Status::Valid, Some(place)) => place,
            _ => return Err(refused(doing, order.error)),
        };
        let answer = self.post(doing, &place, None).await?;
        String::from_utf8(answer.body.to_vec()).map_err(|_| Error::Nonsense {
            doing,
            why: "it is no text".into(),
        })
    }

    /// Looks until something is no longer as it was.
    async fn wait<T: serde::de::DeserializeOwned>(
        &mut self,
        doing: &'static str,
        url: &str,
        still: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let began = tokio::time::Instant::now();
        let mut pause = LOOK;
        loop {
            let answer = self.post(doing, url, None).await?;
            let seen = value(&answer, doing)?;
            if !still(&seen) {
                return Ok(seen);
            }
            if began.elapsed() > PATIENCE {
                let after = PATIENCE;
                return Err(Error::Late { doing, after });
            }
            let asked = answer.retry_after(SystemTime::now());
            tokio::time::sleep(asked.unwrap_or(pause).min(LOOK_MOST).max(LOOK)).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    }

    async fn post(
        &mut self,
        doing: &'static str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<crate::transport::Answer, Error> {
        let signer = self.account.signer();
        self.server.post(doing, signer, url, payload).await
    }
}

/// What a name failed by: the challenge that was looked at says it.
fn unproved(seen: Authorization) -> Error {
    let why = seen.challenges.into_iter().find_map(|c| c.error);
    refused("a name", why)
}

fn refused(doing: &'static str, problem: Option<Problem>) -> Error {
    let unsaid = || Error::Nonsense {
        doing,
        why: "it does not say why there is none".into(),
    };
    problem.map_or_else(unsaid, |problem| Error::Refused {
        doing,
        problem,
        retry_after: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_identifiers_of_their_own() {
        let names = ["cloud.example".to_owned(), "2001:DB8:0::1".to_owned()];
        assert_eq!(
            identifiers(&names),
            json!([{"type": "dns", "value": "cloud.example"}, {"type": "ip", "value": "2001:db8::1"}])
        );
    }
}
