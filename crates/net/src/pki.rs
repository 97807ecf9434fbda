//! The built-in certificate authority: for one host, and for tests. And what another authority is
//! asked with.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use crate::certificates::alternative;

const DAY: Duration = Duration::from_secs(86_400);
const AUTHORITY_DAYS: u32 = 3650;
/// What browsers take at most of a private authority's leaf.
const LEAF_DAYS: u32 = 825;

/// A certificate with its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// A certificate authority with its key at hand.
pub struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Authority, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, AUTHORITY_DAYS);
        let certificate = params.self_signed(&key)?;
        Ok(Authority { certificate, key })
    }

    /// The authority's own certificate, in PEM: what clients trust.
    pub fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// The authority's key, in PEM.
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// A server's certificate for names and addresses.
    ///
    /// # Errors
    /// When a name is no DNS name, or no key can be made.
    pub fn issue(&self, hosts: &[String]) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        let common = hosts.first().cloned().unwrap_or_default();
        params.distinguished_name.push(DnType::CommonName, common);
        for host in hosts {
            params.subject_alt_names.push(alternative(host)?);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, LEAF_DAYS);
        let certificate = params.signed_by(&key, &self.certificate, &self.key)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// What an authority is asked with for a certificate, and the key that it will be for.
pub struct Requested {
    /// PKCS #10, in DER.
    pub request: Vec<u8>,
    /// A new one, ECDSA on P-256, in PEM.
    pub key: String,
}

impl Requested {
    /// For names and addresses.
    ///
    /// # Errors
    /// When a name is no DNS name, or no key can be made.
    pub fn new(hosts: &[String]) -> Result<Requested, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Names stand in the subjectAltName alone: a common name may have 64 octets at most.
        params.distinguished_name = DistinguishedName::new();
        for host in hosts {
            params.subject_alt_names.push(alternative(host)?);
        }
        Ok(Requested {
            request: params.serialize_request(&key)?.der().to_vec(),
            key: key.serialize_pem(),
        })
    }
}

/// From a day ago, so that a peer whose clock is a little behind agrees.
fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
}
