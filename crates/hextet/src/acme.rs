//! `[acme]` of the settings: the certificate that is issued by the company's own ACME server, and
//! renewed while the cloud runs.

use std::net::{IpAddr, SocketAddrV6};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use acme::{Challenge, Client, External, Place, Settings, schedule};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;
use crate::certificates::Watched;
use crate::config::{Config, Places, host_of};

/// The longest sleep: a clock that was set, or a machine that slept, is noticed by then.
const NAP: Duration = Duration::from_secs(600);
/// The fewest octets of a key that two sides share.
const KEY_LEAST: usize = 16;

/// `[acme]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcmeConfig {
    /// `https://CA/DIRECTORY`
    directory: String,
    /// In PEM, what the server's own certificate must lead to; `ca.pem` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    /// URLs, `mailto:NAME@HOST`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contact: Vec<String>,
    challenge: ChallengeConfig,
    /// What http-01 listens on, while a name is proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddrV6>,
    /// The host of the URL when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account: Option<ExternalConfig>,
}

/// How names are proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ChallengeConfig {
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    #[serde(rename = "http-01")]
    Http01,
}

/// `[acme.external_account]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalConfig {
    key_id: String,
    /// A file with the key in base64url, as servers give it out.
    key: PathBuf,
}

impl AcmeConfig {
    /// What is wanted, with every file named in full.
    ///
    /// # Errors
    /// A sentence that says which setting cannot be, and why.
    pub(crate) fn settings(&self, places: &Places, url: &str) -> Result<Settings, Failure> {
        let directory = Place::parse(&self.directory);
        Ok(Settings {
            directory: directory.map_err(|why| format!("[acme] directory {why}"))?,
            server_ca: self
                .ca
                .as_ref()
                .map_or_else(|| places.ca(), |ca| places.etc.join(ca)),
            contact: self.contact.clone(),
            external: self
                .external_account
                .as_ref()
                .map(|external| external.read(&places.etc))
                .transpose()?,
            challenge: self.challenge()?,
            names: self.names(&host_of(url)?)?,
            ca: places.ca(),
            account: places.state.join("acme-account.json"),
            certificate: places.acme_certificate(),
        })
    }

    fn challenge(&self) -> Result<Challenge, String> {
        match (self.challenge, self.http) {
            (ChallengeConfig::TlsAlpn01, None) => Ok(Challenge::TlsAlpn01),
            (ChallengeConfig::Http01, Some(address)) => Ok(Challenge::Http01(address)),
            (ChallengeConfig::TlsAlpn01, Some(_)) => {
                Err("[acme] http means nothing without challenge = \"http-01\"".into())
            }
            (ChallengeConfig::Http01, None) => Err(
                "[acme] challenge http-01 needs an address to listen on: http = \"[::]:80\"".into(),
            ),
        }
    }

    /// What the certificate is to carry, addresses as RFC 5952 writes them.
    fn names(&self, host: &str) -> Result<Vec<String>, String> {
        if self.names.is_empty() {
            return Ok(vec![canonical(host)?]);
        }
        let names: Result<Vec<_>, _> = self.names.iter().map(|name| canonical(name)).collect();
        let mut names = names?;
        if !names.contains(&canonical(host)?) {
            return Err(format!(
                "[acme] names lacks '{host}', the url's host, which clients will ask for: add it"
            ));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn canonical(name: &str) -> Result<String, String> {
    match model::parse_ip(name) {
        Some(IpAddr::V6(address)) => return Ok(address.to_string()),
        Some(IpAddr::V4(_)) => {
            return Err(format!(
                "[acme] names: '{name}' is an IPv4 address, and this cloud is reached over IPv6 only"
            ));
        }
        None => {}
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match rustls::pki_types::DnsName::try_from(name.as_str()) {
        Ok(_) => Ok(name),
        Err(_) => Err(format!(
            "[acme] names: '{name}' is no name that http-01 or tls-alpn-01 could prove"
        )),
    }
}

impl ExternalConfig {
    fn read(&self, etc: &Path) -> Result<External, Failure> {
        let file = etc.join(&self.key);
        let shown = file.display();
        let text = std::fs::read_to_string(&file)
            .map_err(|e| format!("[acme.external_account] key: cannot read {shown}: {e}"))?;
        let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(format!(
                "[acme.external_account] key: {shown} can be read by everybody on this host (mode {mode:03o}): `chmod 600 {shown}`"
            )
            .into());
        }
        let padding =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let key = GeneralPurpose::new(&URL_SAFE, padding).decode(text.trim());
        match key {
            Ok(key) if key.len() >= KEY_LEAST => Ok(External {
                key_id: self.key_id.clone(),
                key,
            }),
            _ => Err(format!(
                "[acme.external_account] key: {shown} holds no key of at least {KEY_LEAST} octets in base64url"
            )
            .into()),
        }
    }
}

/// How attempts went since the start.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) issued: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Has certificates issued, and lets listeners take them up.
pub(crate) struct Issuer {
    client: Client,
    watched: Watched,
    attempts: Arc<Attempts>,
    hangup: Signal,
}

impl Issuer {
    /// Begins, where the settings ask for it. Must be called where the runtime is.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub(crate) fn start(
        places: &Places,
        config: &Config,
        watched: &Watched,
    ) -> Result<Option<Arc<Attempts>>, Failure> {
        let Some(acme) = &config.acme else {
            return Ok(None);
        };
        let settings = acme.settings(places, &config.url)?;
        let resolver = Arc::new(net::Resolver::new(config.dns.upstreams()?));
        let challenges = watched.certificates.challenges().clone();
        let attempts = Arc::new(Attempts::default());
        let issuer = Issuer {
            client: Client::new(settings, resolver, challenges),
            watched: watched.clone(),
            attempts: attempts.clone(),
            hangup: signal(SignalKind::hangup())?,
        };
        tokio::spawn(issuer.run());
        Ok(Some(attempts))
    }

    async fn run(mut self) {
        let now = SystemTime::now();
        let mut due = match self.client.valid(now) {
            Ok((from, end)) => schedule::due(from, end, schedule::chance()),
            Err(_) => now,
        };
        let mut failures = 0;
        loop {
            self.sleep_until(due, failures > 0).await;
            match self.client.issue().await {
                Ok(()) => {
                    failures = 0;
                    due = self.taken_up().await;
                }
                Err(error) => {
                    failures += 1;
                    due = self.failed(&error, failures);
                }
            }
        }
    }

    /// Waits for a moment; after a failure a SIGHUP, which says that something was mended, ends the
    /// wait.
    async fn sleep_until(&mut self, due: SystemTime, may_be_called: bool) {
        while let Ok(left) = due.duration_since(SystemTime::now()) {
            tokio::select! {
                () = tokio::time::sleep(left.min(NAP)) => {}
                _ = self.hangup.recv() => if may_be_called { return },
            }
        }
    }

    /// Shows clients the new certificate, and says when the next is due.
    async fn taken_up(&self) -> SystemTime {
        self.attempts.issued.fetch_add(1, Ordering::Relaxed);
        let settings = self.client.settings();
        tracing::info!(
            "a certificate for {} was issued by {}",
            settings.names.join(", "),
            settings.directory
        );
        self.watched.reload().await;
        let now = SystemTime::now();
        match self.client.valid(now) {
            Ok((from, end)) => schedule::due_of_new(from, end, now, schedule::chance()),
            Err(_) => now + schedule::pause(1, None, None, schedule::chance()),
        }
    }

    /// Says what failed, and when the next attempt is.
    fn failed(&self, error: &acme::Error, failures: u32) -> SystemTime {
        self.attempts.failed.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now();
        let shown = self.watched.certificates.ends();
        let ours = |ends: &&net::Ends| Some(&*ends.file) == self.watched.certificates.awaited();
        let left = shown.iter().find(ours);
        let left = left.map(|ends| ends.at.duration_since(now).unwrap_or_default());
        let pause = schedule::pause(failures, left, error.retry_after(), schedule::chance());
        let stays = match left {
            Some(Duration::ZERO) => "the one in force has ended, and clients refuse it".into(),
            Some(left) => format!("the one in force is good for another {}", told(left)),
            None => "clients are turned away until there is one".into(),
        };
        tracing::error!(
            "no certificate was issued: {}; {stays}; the next attempt is in {}, or at a SIGHUP",
            cloud::chain(error),
            told(pause)
        );
        now + pause
    }
}

/// A time in the largest unit that says enough.
fn told(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let places = Places::below(Path::new("/nowhere")).unwrap();
        match toml::from_str::<AcmeConfig>(text) {
            Ok(config) => match config.settings(&places, "https://cloud.example:8443") {
                Ok(settings) => format!("{settings:?}"),
                Err(why) => why.to_string(),
            },
            Err(e) => e.message().to_owned(),
        }
    }

    #[test]
    fn settings_that_cannot_be_are_refused_in_words() {
        let base = "directory = 'https://ca.example/dir'\nchallenge = 'tls-alpn-01'\n";
        assert!(refusal(base).contains("names: [\"cloud.example\"]"));
        let both = format!("{base}names = ['Cloud.Example.', '[2001:DB8::1]', 'cloud.example']");
        assert!(refusal(&both).contains("names: [\"2001:db8::1\", \"cloud.example\"]"));
        for (text, why) in [
            (
                "directory = 'http://ca.example/dir'\nchallenge = 'tls-alpn-01'",
                "is not https",
            ),
            (
                "directory = 'https://192.0.2.1/'\nchallenge = 'tls-alpn-01'",
                "IPv4",
            ),
            (
                "directory = 'https://ca.example/'\nchallenge = 'dns-01'",
                "unknown variant `dns-01`",
            ),
            (
                "directory = 'https://ca.example/'\nchallenge = 'http-01'",
                "http = \"[::]:80\"",
            ),
            (&format!("{base}http = '[::]:80'"), "means nothing"),
            (&format!("{base}http = '0.0.0.0:80'"), "invalid"),
            (
                &format!("{base}names = ['other.example']"),
                "lacks 'cloud.example'",
            ),
            (&format!("{base}names = ['*.example']"), "no name that"),
            (&format!("{base}names = ['192.0.2.1']"), "IPv4 address"),
            (
                &format!("{base}[external_account]\nkey_id = 'a'\nkey = 'b'"),
                "cannot read /nowhere/etc/hextet/b",
            ),
        ] {
            let said = refusal(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn times_are_told_in_a_unit_that_says_enough() {
        let all = [0, 119, 120, 7_200, 172_800].map(|s| told(Duration::from_secs(s)));
        assert_eq!(all, ["0 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
