//! Certificates while the cloud runs: new files are taken up, and an end that comes near is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use net::{Certificates, WARNED};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often an end that is near is spoken of.
const SPEAK: Duration = Duration::from_secs(86_400);

const DAY: u64 = 86_400;

/// The certificates, and what became of their files.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) certificates: Arc<Certificates>,
    /// Whether the files that are there now could not be used.
    refused: Arc<AtomicBool>,
}

/// A file as it was last seen: when it was changed, which it is, and how long.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Watched {
    pub(crate) fn new(certificates: Arc<Certificates>) -> Watched {
        Watched {
            certificates,
            refused: Arc::default(),
        }
    }

    /// Whether the files that are there now could not be used, so that earlier ones are.
    pub(crate) fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Each file with the whole days until its certificate ends; 0 when it has.
    pub(crate) fn days_left(&self) -> Vec<(PathBuf, u64)> {
        let now = SystemTime::now();
        let left = |at: SystemTime| {
            at.duration_since(now)
                .map_or(0, |left| left.as_secs() / DAY)
        };
        let ends = self.certificates.ends().into_iter();
        ends.map(|end| (end.file, left(end.at))).collect()
    }

    /// Takes new files up when they change, and when a SIGHUP asks for it, until the process ends.
    /// Must be called where the runtime is; from then on a SIGHUP does not end the process.
    ///
    /// # Errors
    /// When the signal cannot be waited for.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let hangup = signal(SignalKind::hangup())?;
        tokio::spawn(self.clone().watch(hangup));
        Ok(())
    }

    async fn watch(self, mut hangup: Signal) {
        let mut seen = self.clone().look().await;
        let mut spoken: Option<Instant> = None;
        loop {
            if spoken.is_none_or(|at| at.elapsed() > SPEAK) {
                self.warn();
                spoken = Some(Instant::now());
            }
            let asked = tokio::select! {
                word = hangup.recv() => word.is_some(),
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = self.clone().look().await;
            if asked || now != seen {
                seen = now;
                self.reload().await;
                spoken = None;
            }
        }
    }

    async fn look(self) -> Vec<Stamp> {
        let stamps = move || -> Vec<Stamp> {
            let files = self.certificates.files();
            files.iter().map(stamp).collect()
        };
        tokio::task::spawn_blocking(stamps)
            .await
            .unwrap_or_default()
    }

    async fn reload(&self) {
        let certificates = self.certificates.clone();
        let done = move || certificates.reload(SystemTime::now());
        match tokio::task::spawn_blocking(done).await {
            Ok(Ok(())) => {
                self.refused.store(false, Ordering::Relaxed);
                tracing::info!("the certificates were read anew: new connections are shown them");
            }
            Ok(Err(e)) => {
                self.refused.store(true, Ordering::Relaxed);
                tracing::error!(
                    "the new certificates are not used, those of before still are: {}",
                    cloud::chain(&e)
                );
            }
            Err(e) => tracing::error!(%e, "reading the certificates anew broke off"),
        }
    }

    fn warn(&self) {
        for (file, days) in self.days_left() {
            let file = file.display();
            match days {
                0 => tracing::error!(
                    "the certificate in {file} has ended or ends today: clients refuse this cloud then; put a new one in its place"
                ),
                1.. if days < WARNED.as_secs() / DAY => tracing::warn!(
                    "the certificate in {file} ends in {days} days: have a new one issued and put in its place"
                ),
                _ => {}
            }
        }
    }
}

fn stamp(file: &PathBuf) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.ino(), meta.len()))
}
