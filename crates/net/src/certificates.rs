//! The certificates a listener has, which one a client is shown, and how new ones take their place.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SignatureAlgorithm};

use crate::certificate::{Certificate, Pair, Roots, TlsError, exposed};

mod challenge;
pub(crate) use challenge::alternative;
pub use challenge::{ACME_TLS, Challenges, Shown};

/// How long before its end a certificate is spoken of.
pub const WARNED: Duration = Duration::from_secs(30 * 86_400);

/// What certificates are made of, and what they are for.
#[derive(Clone, Debug)]
pub struct Source {
    /// At least one, where none is awaited. Of two that carry the same name, one client may get the
    /// one and another the other: an ECDSA one is shown to all who can read it, an RSA one to the
    /// rest.
    pub pairs: Vec<Pair>,
    /// The authorities, in PEM, that all of them must lead to.
    pub ca: PathBuf,
    /// One more that need not be there at the start, because we have it issued: see
    /// [`Certificates::read_or_wait`].
    pub awaited: Option<Pair>,
    /// The host in the cloud's URL: one of them must carry it.
    pub host: String,
}

impl Source {
    fn all(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().chain(&self.awaited)
    }
}

/// The certificates in use. They can be read anew while connections are made.
#[derive(Debug)]
pub struct Certificates {
    source: Source,
    current: RwLock<Arc<Vec<Arc<Certificate>>>>,
    challenges: Challenges,
}

/// When a certificate begins to be valid and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    pub file: PathBuf,
    pub from: SystemTime,
    pub at: SystemTime,
}

impl Ends {
    /// Whether the end is so near that somebody should be told: in the last 30 days, or the last
    /// quarter of a shorter life.
    pub fn is_near(&self, now: SystemTime) -> bool {
        let life = self.at.duration_since(self.from).unwrap_or_default();
        let left = self.at.duration_since(now).unwrap_or_default();
        left < WARNED.min(life / 4)
    }
}

impl Certificates {
    /// Reads all of them.
    ///
    /// # Errors
    /// The first one's that cannot be used.
    pub fn read(source: Source, now: SystemTime) -> Result<Arc<Certificates>, TlsError> {
        let current = read(&source, now)?;
        Ok(Certificates::with(source, current))
    }

    /// Reads all of them, but does without the awaited one where it is not there or cannot be used:
    /// until [`Certificates::reload`] finds a good one, clients are shown the others, or a TLS alert
    /// where none carries the name they ask for. With them comes why it is awaited.
    ///
    /// # Errors
    /// The first one's of the others that cannot be used.
    pub fn read_or_wait(
        source: Source,
        now: SystemTime,
    ) -> Result<(Arc<Certificates>, Option<TlsError>), TlsError> {
        let why = match read(&source, now) {
            Ok(current) => return Ok((Certificates::with(source, current), None)),
            Err(why) => why,
        };
        let roots = Roots::read(&source.ca)?;
        let others = read_pairs(source.pairs.iter(), &roots, now)?;
        Ok((Certificates::with(source, others), Some(why)))
    }

    fn with(source: Source, current: Vec<Arc<Certificate>>) -> Arc<Certificates> {
        Arc::new(Certificates {
            source,
            current: RwLock::new(Arc::new(current)),
            challenges: Challenges::default(),
        })
    }

    /// What is shown to an ACME server.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// What [`Certificates::read`] would make of each, though another cannot be used.
    pub fn judge(source: &Source, now: SystemTime) -> Vec<Result<Ends, TlsError>> {
        let roots = match Roots::read(&source.ca) {
            Ok(roots) => roots,
            Err(e) => return vec![Err(e)],
        };
        let mut judged = Vec::new();
        let (mut carried, mut whole) = (false, true);
        for pair in source.all() {
            judged.extend(exposed(&pair.key).map(Err));
            let read = Certificate::judge(pair, &roots, now);
            whole &= read.is_ok();
            carried |= read.as_ref().is_ok_and(|c| c.carries(&source.host));
            judged.push(read.map(|c| c.ends()));
        }
        // One that cannot be read may carry the host.
        if whole && !carried {
            judged.push(Err(wrong_name(source)));
        }
        judged
    }

    /// Reads them anew. New connections are shown the new ones; those that are there go on.
    ///
    /// # Errors
    /// The first one's that cannot be used; then all stay as they were.
    pub fn reload(&self, now: SystemTime) -> Result<(), TlsError> {
        let new = Arc::new(read(&self.source, now)?);
        *self.current.write().unwrap_or_else(|e| e.into_inner()) = new;
        Ok(())
    }

    /// What TLS needs: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, and sessions that go on
    /// in a new connection without a new key exchange, whatever certificate was shown before.
    ///
    /// # Errors
    /// When this host gives no random octets.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.source.awaited.is_some() {
            config.alpn_protocols.push(ACME_TLS.to_vec());
        }
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        // One is what a client uses; two cost as much again in each handshake.
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }

    /// When each ends.
    pub fn ends(&self) -> Vec<Ends> {
        self.now().iter().map(|c| c.ends()).collect()
    }

    /// Whether one of them carries the URL's host: always, but where it is awaited still.
    pub fn complete(&self) -> bool {
        self.now().iter().any(|c| c.carries(&self.source.host))
    }

    /// The file of the one that was awaited, or is.
    pub fn awaited(&self) -> Option<&Path> {
        self.source.awaited.as_ref().map(|pair| &*pair.certificate)
    }

    /// The files they are read from.
    pub fn files(&self) -> Vec<PathBuf> {
        let pairs = self.source.all();
        let files = pairs.flat_map(|p| [p.certificate.clone(), p.key.clone()]);
        files.chain([self.source.ca.clone()]).collect()
    }

    fn now(&self) -> Arc<Vec<Arc<Certificate>>> {
        self.current
            .read()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }
}

fn read(source: &Source, now: SystemTime) -> Result<Vec<Arc<Certificate>>, TlsError> {
    let roots = Roots::read(&source.ca)?;
    let mut all = read_pairs(source.all(), &roots, now)?;
    let Some(first) = all.iter().position(|c| c.carries(&source.host)) else {
        return Err(wrong_name(source));
    };
    // Who names nobody, as all do who have an address in their URL, is meant for the URL's host.
    all[..=first].rotate_right(1);
    Ok(all)
}

fn wrong_name(source: &Source) -> TlsError {
    let first = source.all().next();
    TlsError::WrongName {
        file: first.map(|p| p.certificate.clone()).unwrap_or_default(),
        host: source.host.clone(),
    }
}

fn read_pairs<'a>(
    pairs: impl Iterator<Item = &'a Pair>,
    roots: &Roots,
    now: SystemTime,
) -> Result<Vec<Arc<Certificate>>, TlsError> {
    pairs
        .map(|pair| Certificate::read(pair, roots, now).map(Arc::new))
        .collect()
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello) -> Option<Arc<CertifiedKey>> {
        if challenge::asked(&hello) {
            return self.challenges.find(hello.server_name());
        }
        let all = self.now();
        let named: Vec<_> = match hello.server_name() {
            Some(name) => all.iter().filter(|c| c.carries(name)).collect(),
            None => Vec::new(),
        };
        let default = all.first()?;
        let candidates = match named.is_empty() {
            false => named,
            // An RSA one for the same host may stand beside the default.
            true => {
                let same = |c: &&Arc<Certificate>| {
                    c.names == default.names && c.addresses == default.addresses
                };
                all.iter().filter(same).collect()
            }
        };
        let readable = |c: &&Arc<Certificate>| readable(&c.signed, &hello);
        let best = candidates
            .iter()
            .copied()
            .filter(readable)
            .min_by_key(|c| u8::from(c.signed.key.algorithm() != SignatureAlgorithm::ECDSA));
        Some(best.unwrap_or(candidates.first()?).signed.clone())
    }
}

/// Whether a client can check what this key signs. TLS 1.2 says so twice, by signature schemes and
/// by cipher suites (RFC 5246, section 7.4.2).
fn readable(signed: &CertifiedKey, hello: &ClientHello) -> bool {
    let mark = match signed.key.algorithm() {
        SignatureAlgorithm::RSA => "_RSA_",
        _ => "_ECDSA_",
    };
    let suits = |suite: &CipherSuite| {
        let name = suite.as_str().unwrap_or_default();
        name.starts_with("TLS13_") || name.contains(mark)
    };
    signed
        .key
        .choose_scheme(hello.signature_schemes())
        .is_some()
        && hello.cipher_suites().iter().any(suits)
}

#[cfg(test)]
mod tests;
