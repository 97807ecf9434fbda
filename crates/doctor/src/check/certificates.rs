//! Certificates that the configuration names.

use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::exam::Exam;
use crate::finding::{Finding, Kind, Place};
use crate::table;

pub(super) fn check(exam: &mut Exam) {
    let trusted = authorities(exam);
    for (path, place) in std::mem::take(&mut exam.certificates) {
        let Some(bytes) = exam.tree.bytes(&path) else {
            continue;
        };
        let Some(der) = first_certificate(&bytes) else {
            continue;
        };
        let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
            continue;
        };
        for finding in judge(&certificate, &path, &place, exam.now_s, &trusted) {
            exam.take(finding);
        }
    }
}

/// The subjects of the authorities that clients on this host trust.
fn authorities(exam: &mut Exam) -> Vec<Vec<u8>> {
    let mut subjects = Vec::new();
    for path in std::mem::take(&mut exam.authorities) {
        let bytes = exam.tree.bytes(&path).unwrap_or_default();
        for pem in Pem::iter_from_buffer(&bytes).flatten() {
            if let Ok((_, certificate)) = X509Certificate::from_der(&pem.contents) {
                subjects.push(certificate.subject().as_raw().to_vec());
            }
        }
    }
    subjects
}

/// The server's own certificate stands first; keys may stand before it.
fn first_certificate(bytes: &[u8]) -> Option<Vec<u8>> {
    let certificates = Pem::iter_from_buffer(bytes).flatten();
    certificates
        .into_iter()
        .find(|pem| pem.label == "CERTIFICATE")
        .map(|pem| pem.contents)
}

fn judge(
    certificate: &X509Certificate,
    path: &str,
    place: &Place,
    now_s: i64,
    trusted: &[Vec<u8>],
) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut say = |kind: &'static Kind, what: String, fix: String| {
        out.push(Finding {
            kind,
            what,
            fix,
            source: None,
            place: place.clone(),
            edit: None,
        });
    };
    let issuer = certificate.issuer();
    let own = issuer.as_raw() == certificate.subject().as_raw();
    if own {
        say(
            &table::CERTIFICATE_SELF_SIGNED,
            format!("{path} is signed by itself"),
            format!("put one of your authority's into {path}"),
        );
    } else if !trusted.is_empty() && !trusted.iter().any(|subject| subject == issuer.as_raw()) {
        say(
            &table::CERTIFICATE_FOREIGN,
            format!("{path} was issued by {issuer}, which no cafile here holds"),
            format!("add {issuer} to the cafile"),
        );
    }
    if certificate.validity().not_after.timestamp() < now_s {
        let end = certificate.validity().not_after;
        say(
            &table::CERTIFICATE_EXPIRED,
            format!("{path} ended on {end}"),
            format!("renew {path}"),
        );
    }
    if !has_name(certificate) {
        say(
            &table::CERTIFICATE_WITHOUT_NAME,
            format!("{path} has no DNS name and no IPv6 address in subjectAltName"),
            format!("issue {path} with the name clients use"),
        );
    }
    out
}

fn has_name(certificate: &X509Certificate) -> bool {
    let names = certificate.subject_alternative_name().ok().flatten();
    names.is_some_and(|names| {
        names.value.general_names.iter().any(|name| match name {
            GeneralName::DNSName(_) => true,
            GeneralName::IPAddress(octets) => octets.len() == 16,
            _ => false,
        })
    })
}
