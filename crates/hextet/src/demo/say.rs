//! What the demo tells while it works, on standard error: one line for each thing done, and on a
//! terminal a changing line for what is under way.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the changing line is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Without a terminal, what takes longer than this is named before it is done.
const WORTH_A_LINE: Duration = Duration::from_secs(3);
/// The changing line must not wrap, or it could not be taken back.
const WIDTH: usize = 78;

/// Tells what happens. Clones tell in the same place.
#[derive(Clone)]
pub(super) struct Say {
    inner: Arc<Inner>,
}

struct Inner {
    began: Instant,
    terminal: bool,
    colour: bool,
    under_way: Mutex<Vec<UnderWay>>,
}

struct UnderWay {
    what: String,
    since: Instant,
    named: bool,
}

/// Something under way. Dropped without [`Stage::done`], it is not said to be done.
pub(super) struct Stage {
    say: Say,
    what: String,
    since: Instant,
}

impl Say {
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn new() -> Say {
        let terminal = std::io::stderr().is_terminal();
        let inner = Arc::new(Inner {
            began: Instant::now(),
            terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            under_way: Mutex::default(),
        });
        let watched = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(DRAW_EVERY).await;
                match watched.upgrade() {
                    Some(inner) => inner.draw(),
                    None => return,
                }
            }
        });
        Say { inner }
    }

    /// Something begins that may take its time.
    pub(super) fn stage(&self, what: impl Into<String>) -> Stage {
        let (what, since) = (what.into(), Instant::now());
        self.inner.lock().push(UnderWay {
            what: what.clone(),
            since,
            named: false,
        });
        Stage {
            say: self.clone(),
            what,
            since,
        }
    }

    /// A line that is no step.
    pub(super) fn note(&self, text: &str) {
        let _held = self.inner.lock();
        self.inner.line(text);
    }
}

impl Stage {
    /// It is done, in its own words.
    pub(super) fn done(self) {
        let text = self.what.clone();
        self.done_as(&text);
    }

    /// It is done, and this is what came of it.
    pub(super) fn done_as(self, text: &str) {
        let inner = &self.say.inner;
        let took = self.since.elapsed().as_secs_f64();
        let at = inner.began.elapsed().as_secs_f64();
        let (dim, plain) = match inner.colour {
            true => ("\x1b[2m", "\x1b[0m"),
            false => ("", ""),
        };
        let _held = inner.lock();
        inner.line(&format!("{at:6.1} s  {text}  {dim}({took:.1} s){plain}"));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let mut under_way = self.say.inner.lock();
        let mine = |u: &UnderWay| u.what == self.what && u.since == self.since;
        if let Some(index) = under_way.iter().position(mine) {
            under_way.remove(index);
        }
        if under_way.is_empty() && self.say.inner.terminal {
            erase();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, text: &str) {
        if self.terminal {
            erase();
        }
        eprintln!("{text}");
    }

    fn draw(&self) {
        let mut under_way = self.lock();
        if self.terminal {
            return redraw(&under_way);
        }
        for stage in under_way.iter_mut() {
            if !stage.named && stage.since.elapsed() > WORTH_A_LINE {
                stage.named = true;
                let at = self.began.elapsed().as_secs_f64();
                eprintln!("{at:6.1} s  ... {}", stage.what);
            }
        }
    }
}

fn redraw(under_way: &[UnderWay]) {
    let Some(oldest) = under_way.iter().map(|u| u.since.elapsed()).max() else {
        return;
    };
    let what: Vec<&str> = under_way.iter().map(|u| u.what.as_str()).collect();
    let what: String = what.join(", ").chars().take(WIDTH - 14).collect();
    let _ = write!(
        std::io::stderr(),
        "\r\x1b[K    ...   {what} {:.1} s",
        oldest.as_secs_f64()
    );
}

fn erase() {
    let _ = write!(std::io::stderr(), "\r\x1b[K");
}
