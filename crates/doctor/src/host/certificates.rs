//! The certificates that the cloud is known by.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use net::{Ends, TlsError};

use super::{at, found, mended};
use crate::finding::{Edit, Finding, Kind};
use crate::table;

const DAY: u64 = 86_400;

/// What became of each certificate as a start would judge it.
#[derive(Debug)]
pub struct Seen {
    pub now: SystemTime,
    pub judged: Vec<Result<Ends, TlsError>>,
    /// The one that ACME brings, which need not be there yet.
    pub awaited: Option<PathBuf>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen {
            now: SystemTime::UNIX_EPOCH,
            judged: Vec::new(),
            awaited: None,
        }
    }
}

pub(super) fn check(seen: &Seen) -> Vec<Finding> {
    let judged = seen.judged.iter();
    judged
        .filter_map(|one| match one {
            Ok(end) => soon(end, seen.now),
            Err(TlsError::Unreadable { file, source })
                if source.kind() == ErrorKind::NotFound && seen.awaited.as_ref() == Some(file) =>
            {
                Some(awaited(file))
            }
            Err(error) => Some(refused(error)),
        })
        .collect()
}

fn soon(end: &Ends, now: SystemTime) -> Option<Finding> {
    let left = end.at.duration_since(now).unwrap_or_default();
    let days = left.as_secs() / DAY;
    let file = end.file.display();
    let what = format!("the certificate in {file} ends in {days} days");
    let fix = format!("have a new one issued and put in its place as {file}: no restart is needed");
    let place = at(file.to_string());
    end.is_near(now)
        .then(|| found(&table::CERTIFICATE_ENDS_SOON, place, what, fix))
}

fn awaited(file: &Path) -> Finding {
    let what = "there is no certificate yet: ACME has to bring it".to_owned();
    let fix = "start `hextet up`, which has it issued; its log says what the ACME server answers (docs/acme.md)";
    let place = at(file.display().to_string());
    found(&table::CERTIFICATE_AWAITED, place, what, fix.into())
}

fn refused(error: &TlsError) -> Finding {
    let shown = |path: &Path| path.display().to_string();
    let say = |kind: &'static Kind, file: &Path, what: String, fix: String| {
        found(kind, at(shown(file)), what, fix)
    };
    match error {
        TlsError::Exposed { file, mode } => exposed(file, *mode),
        TlsError::Mismatch {
            certificate,
            key,
            why,
        } => say(
            &table::KEY_MISMATCH,
            key,
            format!("it is not the key of the certificate in {}: {why}", shown(certificate)),
            format!("put the key that {} was made for in its place", shown(certificate)),
        ),
        TlsError::SelfSigned { file, ca } => say(
            &table::CERTIFICATE_UNTRUSTED,
            file,
            "the certificate is signed by itself".into(),
            format!("have one issued by your authority, and put the authority's certificate into {}", shown(ca)),
        ),
        TlsError::Untrusted { file, ca, why } => say(
            &table::CERTIFICATE_UNTRUSTED,
            file,
            format!("the certificate does not lead to an authority in {}: {why}", shown(ca)),
            format!("{} must hold the certificate first and then those between it and the authority, whose own is in {}", shown(file), shown(ca)),
        ),
        TlsError::Expired { file, end } => say(
            &table::CERTIFICATE_EXPIRED,
            file,
            format!("the certificate ended on {end}"),
            format!("have a new one issued and put in its place as {}", shown(file)),
        ),
        TlsError::NotYet { file, start } => say(
            &table::CERTIFICATE_NOT_YET,
            file,
            format!("the certificate is not valid before {start}"),
            "set this host's clock right if it is late (`date`), or put the certificate of before in its place".into(),
        ),
        TlsError::WrongName { file, host } => say(
            &table::CERTIFICATE_WITHOUT_HOST,
            file,
            format!("no certificate carries '{host}', the host in the cloud's url"),
            format!("have it issued with {host} in its subjectAltName (an address as iPAddress)"),
        ),
        TlsError::Unreadable { file, source } => say(
            &table::CERTIFICATE_UNREADABLE,
            file,
            format!("it cannot be read: {source}"),
            format!("put a PEM file that hextet's user can read in its place as {}", shown(file)),
        ),
        TlsError::NoCertificate { file } | TlsError::NoKey { file } => say(
            &table::CERTIFICATE_UNREADABLE,
            file,
            error.to_string(),
            format!("put the right PEM file in its place as {}", shown(file)),
        ),
        TlsError::Setup(why) => say(
            &table::CERTIFICATE_UNREADABLE,
            Path::new("TLS"),
            format!("TLS cannot be set up: {why}"),
            "see what the error says".into(),
        ),
    }
}

fn exposed(file: &Path, mode: u32) -> Finding {
    let file = file.display();
    let what = format!("everybody on this host can read the private key (mode {mode:03o})");
    let fix = format!(
        "`chmod 600 {file}` (`hextet doctor --fix` does it), and have a new key made if somebody may have read it"
    );
    mended(
        found(&table::KEY_EXPOSED, at(file.to_string()), what, fix),
        Edit::Mode { mode: 0o600 },
    )
}
