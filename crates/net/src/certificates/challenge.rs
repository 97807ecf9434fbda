//! What an ACME server looks for at the listener to know that a name is ours (tls-alpn-01,
//! RFC 8737): a certificate of this moment that only a client who speaks nothing but `acme-tls/1`
//! is shown.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use crate::certificate::TlsError;

/// The protocol that an ACME server asks for, and nobody else (RFC 8737, section 6.2).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// The names that are to be proved now.
#[derive(Clone, Debug, Default)]
pub struct Challenges {
    shown: Arc<Mutex<HashMap<String, Arc<CertifiedKey>>>>,
}

/// A name's certificate is shown as long as this is held.
#[derive(Debug)]
pub struct Shown {
    name: String,
    challenges: Challenges,
}

impl Challenges {
    /// Shows, to who asks for a host, that we know what stands for its challenge: the SHA-256 of
    /// the key authorization.
    ///
    /// # Errors
    /// When the host is no DNS name or address, or no key can be made.
    pub fn show(&self, host: &str, digest: &[u8; 32]) -> Result<Shown, TlsError> {
        let certified = Arc::new(certificate(host, digest)?);
        let name = asked_as(host);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.insert(name.clone(), certified);
        Ok(Shown {
            name,
            challenges: self.clone(),
        })
    }

    pub(super) fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.get(&name?.to_ascii_lowercase()).cloned()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let shown = &self.challenges.shown;
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.remove(&self.name);
    }
}

/// Whether a client speaks `acme-tls/1` and nothing else.
pub(super) fn asked(hello: &ClientHello) -> bool {
    hello
        .alpn()
        .is_some_and(|mut names| names.next() == Some(ACME_TLS) && names.next().is_none())
}

/// What is asked for as the server's name: an address is written as its reverse name (RFC 8738,
/// section 6), because an address cannot be.
fn asked_as(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev();
            let labels = nibbles.map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4));
            labels.chain(["ip6.arpa".to_owned()]).collect()
        }
        _ => host.to_ascii_lowercase(),
    }
}

fn certificate(host: &str, digest: &[u8; 32]) -> Result<CertifiedKey, TlsError> {
    let made = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![alternative(host)?];
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        Ok((params.self_signed(&key)?.der().clone(), key.serialize_der()))
    };
    let other = |e: rcgen::Error| rustls::Error::General(e.to_string());
    let (certificate, key) = made().map_err(other)?;
    let provider = rustls::crypto::ring::default_provider();
    let key = PrivatePkcs8KeyDer::from(key).into();
    let key = provider.key_provider.load_private_key(key)?;
    // Not compared with the certificate: the extension is critical, and rustls knows it not.
    Ok(CertifiedKey::new(vec![certificate], key))
}

/// A host in a subjectAltName. An address literal in a URL is checked against an iPAddress of 16
/// octets (RFC 9525), never against the common name.
pub(crate) fn alternative(host: &str) -> Result<SanType, rcgen::Error> {
    Ok(match host.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(host.try_into()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        assert_eq!(asked_as("Cloud.Example"), "cloud.example");
        assert_eq!(
            asked_as("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
