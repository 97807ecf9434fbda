//! Certificates while the cloud runs: new files are taken up, and an end that comes near is told.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use net::{Certificates, WARNED};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

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
    /// Whether clients can be shown one that carries the URL's host.
    complete: Arc<watch::Sender<bool>>,
    /// The files as they were when they were last read.
    seen: Arc<Mutex<Vec<Stamp>>>,
}

/// A file as it was last seen: when it was changed, which it is, and how long.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Watched {
    pub(crate) fn new(certificates: Arc<Certificates>) -> Watched {
        Watched {
            complete: Arc::new(watch::Sender::new(certificates.complete())),
            seen: Arc::new(Mutex::new(stamps(&certificates))),
            certificates,
            refused: Arc::default(),
        }
    }

    /// Waits until clients can be shown a certificate that carries the URL's host.
    pub(crate) async fn complete(&self) {
        // Without a sender there would be nobody to wait.
        let _ = self.complete.subscribe().wait_for(|done| *done).await;
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
            // One that ACME is to bring is read when it has come: until then there is nothing to say.
            let waits = !*self.complete.borrow();
            if !waits && (asked || self.clone().changed().await) {
                self.reload().await;
                spoken = None;
            }
        }
    }

    async fn changed(self) -> bool {
        let compare = move || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen != stamps(&self.certificates)
        };
        tokio::task::spawn_blocking(compare).await.unwrap_or(false)
    }

    /// Reads them anew.
    pub(crate) async fn reload(&self) {
        let watched = self.clone();
        let done = move || {
            // Before they are read: what changes meanwhile is read again.
            let stamps = stamps(&watched.certificates);
            *watched.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamps;
            watched.certificates.reload(SystemTime::now())
        };
        match tokio::task::spawn_blocking(done).await {
            Ok(Ok(())) => {
                self.refused.store(false, Ordering::Relaxed);
                self.complete.send_replace(true);
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
        let renewed = self.certificates.awaited();
        for (file, days) in self.days_left() {
            // ACME's own log tells of it, in time for lives of any length.
            if Some(&*file) == renewed {
                continue;
            }
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

fn stamps(certificates: &Certificates) -> Vec<Stamp> {
    certificates.files().iter().map(stamp).collect()
}

fn stamp(file: &PathBuf) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.ino(), meta.len()))
}
