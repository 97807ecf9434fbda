//! One certificate with its key: read, and judged before anybody is served with it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::certificates::Ends;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Why a certificate cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {file}; give hextet a readable PEM file", file = file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("{file} holds no certificate in PEM; give the certificate first, then its chain", file = file.display())]
    NoCertificate { file: PathBuf },
    #[error("{file} holds no private key in PEM", file = file.display())]
    NoKey { file: PathBuf },
    #[error("the private key {file} can be read by everybody on this host (mode {mode:03o}): `chmod 600 {file}`, and think whether it has to be replaced", file = file.display())]
    Exposed { file: PathBuf, mode: u32 },
    #[error("{certificate} and {key} cannot be used together: {why}; give the key the certificate was made for", certificate = certificate.display(), key = key.display())]
    Mismatch {
        certificate: PathBuf,
        key: PathBuf,
        why: String,
    },
    #[error("the certificate in {file} is signed by itself: have one issued by your authority, and give that authority's certificate as {ca}", file = file.display(), ca = ca.display())]
    SelfSigned { file: PathBuf, ca: PathBuf },
    #[error("the certificate in {file} does not lead to an authority in {ca}: {why}; {file} must hold the certificate first and then those between it and the authority", file = file.display(), ca = ca.display())]
    Untrusted {
        file: PathBuf,
        ca: PathBuf,
        why: String,
    },
    #[error("the certificate in {file} ended on {end}: have a new one issued", file = file.display())]
    Expired { file: PathBuf, end: String },
    #[error("the certificate in {file} is not valid before {start}: wait, use the one before, or set this host's clock right", file = file.display())]
    NotYet { file: PathBuf, start: String },
    #[error("the certificate in {file} does not carry '{host}', which clients will ask for: have it issued with that name (an address needs an iPAddress SAN)", file = file.display())]
    WrongName { file: PathBuf, host: String },
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// Where a certificate (first itself, then its chain) and its key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A certificate that was judged good.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) file: PathBuf,
    pub(crate) signed: Arc<CertifiedKey>,
    /// The DNS names it carries, in lower case.
    pub(crate) names: Vec<String>,
    /// The addresses it carries.
    pub(crate) addresses: Vec<std::net::IpAddr>,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
}

/// The authorities that certificates must lead to.
pub(crate) struct Roots {
    file: PathBuf,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Roots {
    /// Reads authorities' certificates.
    ///
    /// # Errors
    /// When there is none in the file.
    pub(crate) fn read(file: &Path) -> Result<Roots, TlsError> {
        let none = || TlsError::NoCertificate { file: file.into() };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(read_chain(file)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        Ok(Roots {
            file: file.into(),
            verifier: verifier.map_err(|_| none())?,
        })
    }
}

impl Certificate {
    /// Reads a certificate with its key, and judges both as a client would at this moment.
    ///
    /// # Errors
    /// Those of [`TlsError`].
    pub(crate) fn read(
        pair: &Pair,
        roots: &Roots,
        now: SystemTime,
    ) -> Result<Certificate, TlsError> {
        match exposed(&pair.key) {
            Some(error) => Err(error),
            None => Certificate::judge(pair, roots, now),
        }
    }

    /// The same whoever can read the key.
    ///
    /// # Errors
    /// Those of [`TlsError`] but `Exposed`.
    pub(crate) fn judge(
        pair: &Pair,
        roots: &Roots,
        now: SystemTime,
    ) -> Result<Certificate, TlsError> {
        let (file, key) = (&pair.certificate, &pair.key);
        let chain = read_chain(file)?;
        let private = read_key(key)?;
        let mismatch = |e: rustls::Error| TlsError::Mismatch {
            certificate: file.clone(),
            key: key.clone(),
            why: match e {
                rustls::Error::InconsistentKeys(_) => "the key is another's".into(),
                e => e.to_string(),
            },
        };
        let no_certificate = || TlsError::NoCertificate { file: file.clone() };
        let leaf = chain.first().ok_or_else(no_certificate)?.clone();
        let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|_| no_certificate())?;
        if parsed.subject() == parsed.issuer() {
            return Err(TlsError::SelfSigned {
                file: file.clone(),
                ca: roots.file.clone(),
            });
        }
        let provider = rustls::crypto::ring::default_provider();
        let signed = CertifiedKey::from_der(chain, private, &provider).map_err(mismatch)?;
        signed.keys_match().map_err(mismatch)?;
        let (names, addresses) = carried(&parsed);
        let certificate = Certificate {
            file: file.clone(),
            signed: Arc::new(signed),
            names,
            addresses,
            start: at(parsed.validity().not_before.timestamp()),
            end: at(parsed.validity().not_after.timestamp()),
        };
        certificate.trusted(roots, &parsed, now)?;
        Ok(certificate)
    }

    /// When it begins and ends.
    pub(crate) fn ends(&self) -> Ends {
        Ends {
            file: self.file.clone(),
            from: self.start,
            at: self.end,
        }
    }

    /// Whether a client that trusts the authorities would take it, whatever name it asked for.
    fn trusted(
        &self,
        roots: &Roots,
        parsed: &X509Certificate,
        now: SystemTime,
    ) -> Result<(), TlsError> {
        let file = self.file.clone();
        let untrusted = |why: String| TlsError::Untrusted {
            file: self.file.clone(),
            ca: roots.file.clone(),
            why,
        };
        let any = match (self.addresses.first(), self.names.first()) {
            (Some(address), _) => Some(ServerName::IpAddress((*address).into())),
            // A wildcard stands for any one label.
            (None, Some(name)) => ServerName::try_from(name.replace('*', "any")).ok(),
            (None, None) => None,
        };
        let any =
            any.ok_or_else(|| untrusted("it carries neither a name nor an address".into()))?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = UnixTime::since_unix_epoch(since.unwrap_or_default());
        let Some((leaf, between)) = self.signed.cert.split_first() else {
            return Err(TlsError::NoCertificate { file });
        };
        let verdict = roots
            .verifier
            .verify_server_cert(leaf, between, &any, &[], now);
        match verdict {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) if self.end <= at(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)) => {
                Err(TlsError::Expired {
                    file,
                    end: parsed.validity().not_after.to_string(),
                })
            }
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) => Err(TlsError::NotYet {
                file,
                start: parsed.validity().not_before.to_string(),
            }),
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Err(untrusted(
                    "its issuer is neither there nor in the chain, or did not sign it".into(),
                ))
            }
            Err(e) => Err(untrusted(e.to_string())),
        }
    }

    /// Whether it carries a host: an address as an iPAddress (RFC 9525, section 6.3), or a name,
    /// in whose stead one with `*` as its first label will do.
    pub(crate) fn carries(&self, host: &str) -> bool {
        match host.parse::<std::net::IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let parent = host.split_once('.').map_or("", |(_, parent)| parent);
                let like = |name: &String| {
                    *name == host || name.strip_prefix("*.").is_some_and(|rest| rest == parent)
                };
                !parent.is_empty() && self.names.iter().any(like) || self.names.contains(&host)
            }
        }
    }
}

/// The names and addresses of a certificate's subjectAltName; the common name does not count.
fn carried(parsed: &X509Certificate) -> (Vec<String>, Vec<std::net::IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    for name in alternative.iter().flat_map(|a| &a.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(octets) => {
                if let Ok(octets) = <[u8; 16]>::try_from(*octets) {
                    addresses.push(octets.into());
                } else if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                    addresses.push(octets.into());
                }
            }
            _ => {}
        }
    }
    (names, addresses)
}

/// A moment from seconds since 1970.
fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable {
        file: file.into(),
        source,
    })
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let chain: Result<Vec<_>, _> = rustls_pemfile::certs(&mut text.as_slice()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(TlsError::NoCertificate { file: file.into() }),
    }
}

/// The complaint about a key that everybody can read.
pub(crate) fn exposed(file: &Path) -> Option<TlsError> {
    let mode = std::fs::metadata(file).map_or(0, |m| m.permissions().mode() & 0o777);
    (mode & 0o007 != 0).then(|| TlsError::Exposed {
        file: file.into(),
        mode,
    })
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    let key = rustls_pemfile::private_key(&mut text.as_slice())
        .ok()
        .flatten();
    key.ok_or_else(|| TlsError::NoKey { file: file.into() })
}
