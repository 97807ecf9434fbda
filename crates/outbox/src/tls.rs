//! How a broker is known, and how this cloud is known to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Where the certificates are, in PEM. They are read at each connection, so new ones need no restart.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The authorities that brokers' certificates are issued by.
    pub ca: PathBuf,
    /// A certificate of this cloud's own and its key, where brokers ask for one.
    pub own: Option<net::Pair>,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {file}: {source}", file = file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{file} holds no certificate in PEM", file = file.display())]
    NoCertificate { file: PathBuf },
    #[error("{file} holds no private key in PEM", file = file.display())]
    NoKey { file: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl Tls {
    /// What the files say now.
    ///
    /// # Errors
    /// Those of [`TlsError`].
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(match &self.own {
            None => config.with_no_client_auth(),
            Some(own) => {
                config.with_client_auth_cert(certificates(&own.certificate)?, key(&own.key)?)?
            }
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable {
        file: file.to_owned(),
        source,
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem.as_slice()).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| TlsError::NoCertificate {
        file: file.to_owned(),
    })
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(file)?;
    let found = rustls_pemfile::private_key(&mut pem.as_slice());
    found.ok().flatten().ok_or_else(|| TlsError::NoKey {
        file: file.to_owned(),
    })
}
