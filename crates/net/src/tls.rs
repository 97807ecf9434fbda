//! TLS settings: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

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
    #[error("{certificate} and {key} cannot be used together: {why}; give the key the certificate was made for", certificate = certificate.display(), key = key.display())]
    Mismatch {
        certificate: PathBuf,
        key: PathBuf,
        why: String,
    },
    #[error("the certificate in {file} does not carry '{host}', which clients will ask for: have it issued with that name (an address needs an iPAddress SAN)", file = file.display())]
    WrongName { file: PathBuf, host: String },
}

/// What a listener needs to speak TLS with the certificate and key in two PEM files.
///
/// # Errors
/// Those of [`TlsError`], each with what to do.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, private) = (read_chain(certificate)?, read_key(key)?);
    let mismatch = |e: rustls::Error| TlsError::Mismatch {
        certificate: certificate.into(),
        key: key.into(),
        why: e.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether a certificate belongs to its key and carries a host's name or address.
///
/// # Errors
/// Those of [`TlsError`].
pub fn check_certificate(certificate: &Path, key: &Path, host: &str) -> Result<(), TlsError> {
    let (chain, private) = (read_chain(certificate)?, read_key(key)?);
    let mismatch = |e: rustls::Error| TlsError::Mismatch {
        certificate: certificate.into(),
        key: key.into(),
        why: e.to_string(),
    };
    let provider = rustls::crypto::ring::default_provider();
    let pair = CertifiedKey::from_der(chain, private, &provider).map_err(mismatch)?;
    pair.keys_match().map_err(mismatch)?;
    let wrong_name = || TlsError::WrongName {
        file: certificate.into(),
        host: host.to_owned(),
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong_name())?;
    let leaf = pair.end_entity_cert().map_err(mismatch)?;
    let parsed = ParsedCertificate::try_from(leaf).map_err(mismatch)?;
    verify_server_name(&parsed, &name).map_err(|_| wrong_name())
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

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    let key = rustls_pemfile::private_key(&mut text.as_slice())
        .ok()
        .flatten();
    key.ok_or_else(|| TlsError::NoKey { file: file.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    #[test]
    fn a_certificate_must_carry_the_host_and_fit_its_key() {
        let dir = std::env::temp_dir().join(format!("hextet-tls-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let authority = Authority::new("test").unwrap();
        let issued = authority
            .issue(&["::1".into(), "cloud.example".into()])
            .unwrap();
        let (certificate, key) = (dir.join("c.pem"), dir.join("k.pem"));
        std::fs::write(&certificate, &issued.certificate).unwrap();
        std::fs::write(&key, &issued.key).unwrap();
        assert!(check_certificate(&certificate, &key, "::1").is_ok());
        assert!(check_certificate(&certificate, &key, "cloud.example").is_ok());
        assert!(server_config(&certificate, &key).is_ok());
        let wrong = check_certificate(&certificate, &key, "2001:db8::1").unwrap_err();
        assert!(matches!(wrong, TlsError::WrongName { .. }), "{wrong}");
        std::fs::write(&key, authority.key()).unwrap();
        let wrong = check_certificate(&certificate, &key, "::1").unwrap_err();
        assert!(matches!(wrong, TlsError::Mismatch { .. }), "{wrong}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
