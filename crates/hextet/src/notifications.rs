//! `[notifications]` of the settings: whom this cloud tells what happens.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::notification::{Notifier, PRIORITIES, SERVICES};
use outbox::{Counts, Courier, Queues, Tls, TransportUrl};
use serde::{Deserialize, Serialize};
use store::Store;

use crate::Failure;
use crate::config::{Config, Places};

/// Octets of a topic: with its priority it is a queue's name, which has at most 255.
const TOPIC_MAX: usize = 200;

/// `[notifications]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NotificationsConfig {
    /// The brokers, as oslo.messaging writes them. Nobody is told anything when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transport_url: Option<String>,
    /// Holds the password of users that have none in the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    /// The authority of the brokers' certificates, in PEM; this cloud's own when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    /// What this cloud shows brokers that ask for a certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    topics: Vec<String>,
    amqp_durable_queues: bool,
    rabbit_quorum_queue: bool,
}

impl Default for NotificationsConfig {
    /// As oslo.messaging's own.
    fn default() -> NotificationsConfig {
        NotificationsConfig {
            transport_url: None,
            password_file: None,
            ca: None,
            certificate: None,
            key: None,
            topics: vec!["notifications".into()],
            amqp_durable_queues: false,
            rabbit_quorum_queue: false,
        }
    }
}

impl std::fmt::Debug for NotificationsConfig {
    /// Without the URL, which may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotificationsConfig")
            .finish_non_exhaustive()
    }
}

impl NotificationsConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == NotificationsConfig::default()
    }

    /// Where to send, if anywhere.
    ///
    /// # Errors
    /// A sentence that says which setting cannot be, and why. `file` is where the settings stand.
    pub(crate) fn url(&self, file: &Path) -> Result<Option<TransportUrl>, String> {
        let wrong = |why: String| format!("[notifications] {why}");
        let Some(text) = &self.transport_url else {
            return match self.is_default() {
                true => Ok(None),
                false => Err(wrong("means nothing without transport_url".into())),
            };
        };
        let url = TransportUrl::parse(text);
        let url = url.map_err(|why| wrong(format!("transport_url: {why}")))?;
        if url.brokers.iter().any(|b| b.password.is_some()) && exposed(file) {
            return Err(wrong(format!(
                "transport_url: it holds a password, and this file can be read by everybody: `chmod 600 {}`, or give the password by password_file",
                file.display()
            )));
        }
        let lacks = url.brokers.iter().find(|b| b.password.is_none());
        match (lacks, &self.password_file) {
            (Some(broker), None) => Err(wrong(format!(
                "transport_url: the user '{}' has no password there: give it, or password_file",
                broker.user
            ))),
            _ => self.check().map(|()| Some(url)).map_err(wrong),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("certificate and key come together".into());
        }
        let fits = |topic: &String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            (1..=TOPIC_MAX).contains(&topic.len()) && topic.chars().all(plain)
        };
        match self.topics.iter().find(|topic| !fits(topic)) {
            Some(topic) => Err(format!(
                "topics: '{topic}' is not made of 1 to {TOPIC_MAX} letters, digits, '-', '_' and '.'"
            )),
            None if self.topics.is_empty() => Err("topics: there is none".into()),
            None => Ok(()),
        }
    }

    /// What the password file says, for brokers' users that need it.
    fn complete(&self, mut url: TransportUrl) -> Result<TransportUrl, Failure> {
        let Some(file) = &self.password_file else {
            return Ok(url);
        };
        let name = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|e| format!("[notifications] password_file: cannot read {name}: {e}"))?;
        if exposed(file) {
            return Err(format!("[notifications] password_file: {name} can be read by everybody: `chmod 600 {name}`, and think whether the password has to be another").into());
        }
        let password = text.trim_end_matches(['\r', '\n']);
        for broker in &mut url.brokers {
            broker.password.get_or_insert_with(|| password.to_owned());
        }
        Ok(url)
    }

    fn queues(&self) -> Queues {
        Queues {
            exchanges: SERVICES.map(|s| s.exchange.to_owned()).to_vec(),
            topics: self.topics.clone(),
            priorities: PRIORITIES.map(str::to_ascii_lowercase).to_vec(),
            durable: self.amqp_durable_queues,
            quorum: self.rabbit_quorum_queue,
        }
    }
}

/// Whether others than its owner and group can read a file.
fn exposed(file: &Path) -> bool {
    let mode = std::fs::metadata(file).map(|m| m.permissions().mode());
    mode.is_ok_and(|mode| mode & 0o004 != 0)
}

/// Has notifications written from now on, if anybody is to be told.
pub(crate) fn watch(config: &Config, store: &Store) -> Result<(), Failure> {
    if config.notifications.transport_url.is_some() {
        let notifier = Notifier::new(config.node_name()?, config.url.clone());
        store.watch(Box::new(notifier))?;
    }
    Ok(())
}

/// Delivers them until the process ends, if anybody is to be told; how it goes.
pub(crate) fn deliver(
    places: &Places,
    config: &Config,
    store: &Store,
) -> Result<Option<Arc<Counts>>, Failure> {
    let wanted = &config.notifications;
    let Some(url) = wanted.url(&places.config())? else {
        return Ok(None);
    };
    let own = wanted.certificate.clone().zip(wanted.key.clone());
    let tls = Tls {
        ca: wanted.ca.clone().unwrap_or_else(|| places.ca()),
        own: own.map(|(certificate, key)| net::Pair { certificate, key }),
    };
    // What is wrong with the files is better known now than found in the log.
    tls.config().map_err(|e| format!("[notifications]: {e}"))?;
    let counts = Arc::new(Counts::default());
    let courier = Courier {
        store: store.clone(),
        resolver: net::Resolver::new(config.dns.upstreams()?),
        url: wanted.complete(url)?,
        tls,
        queues: wanted.queues(),
        counts: counts.clone(),
    };
    tokio::spawn(courier.run());
    Ok(Some(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said() {
        let file =
            std::env::temp_dir().join(format!("hextet-notifications-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let mode =
            |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let check = |text: &str| {
            let config: NotificationsConfig = toml::from_str(text).unwrap();
            config
                .url(&file)
                .map(|url| url.map(|url| url.brokers.len()))
        };
        mode(0o600);
        let url = "transport_url = 'rabbit://u:secret@h/'";
        assert_eq!(check(""), Ok(None));
        assert_eq!(check(url), Ok(Some(1)));
        let two = "transport_url = 'rabbit://u:p@h,u@[::1]/'\npassword_file = 'p'";
        assert_eq!(check(two), Ok(Some(2)));
        for (text, why) in [
            ("ca = 'x'".to_owned(), "nothing without transport_url"),
            (
                "transport_url = 'rabbit://u@h/'".to_owned(),
                "'u' has no password",
            ),
            (
                "transport_url = 'amqp://u:secret@h/'".to_owned(),
                "must begin with rabbit://",
            ),
            (format!("{url}\ncertificate = 'c'"), "come together"),
            (format!("{url}\ntopics = []"), "there is none"),
            (format!("{url}\ntopics = ['a b']"), "'a b' is not made of"),
        ] {
            let error = check(&text).unwrap_err();
            assert!(
                error.contains(why) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
        mode(0o644);
        assert!(check(url).unwrap_err().contains("chmod 600"));
        assert_eq!(
            check("transport_url = 'rabbit://u@h/'\npassword_file = 'p'"),
            Ok(Some(1))
        );
        std::fs::remove_file(&file).unwrap();
        let shown = format!("{:?}", toml::from_str::<NotificationsConfig>(url).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
