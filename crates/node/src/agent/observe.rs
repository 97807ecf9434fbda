//! The slow loop that tells what guests are heard to use and ask.

use std::time::{Duration, Instant};

use model::Seen;

use super::{Agent, lock, told};
use crate::observed::{Observer, news};

/// How often guests are looked at, when a look is cheap.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A look takes at most this part of the time: nodes with very many networks look less often.
const LOOK_SHARE: u32 = 20;
/// Ports in one message, and so in one transaction of the controller.
const PORTS_AT_ONCE: usize = 256;

impl Agent {
    /// Looks and tells, for as long as the process lives.
    pub(super) async fn observe(self) {
        let mut observer = Observer::new(self.inner.metrics.clone());
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let wanted = lock(&self.inner.state).memory.wanted().clone();
            let began = Instant::now();
            let looked = tokio::task::spawn_blocking(move || {
                let heard = observer.look(&wanted);
                (observer, heard)
            });
            let Ok((returned, heard)) = looked.await else {
                return tracing::error!("looking at guests panicked: they are looked at no more");
            };
            observer = returned;
            if lock(&self.inner.controller).is_some() {
                let news = news(&mut lock(&self.inner.state).told_heard, heard);
                for some in news.chunks(PORTS_AT_ONCE) {
                    let seen = some.iter().cloned();
                    self.send(told(seen.map(|(id, h)| Seen::PortHeard(id, h)).collect()));
                }
            }
            tokio::time::sleep((began.elapsed() * LOOK_SHARE).saturating_sub(LOOK_EVERY)).await;
        }
    }
}
