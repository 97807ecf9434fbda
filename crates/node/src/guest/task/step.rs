//! The steps of a guest. Each may be repeated, and we may be killed between any two.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Ended, GuestEnd, Power, Seen, Server};
use tokio::time::Instant;

use super::{Guest, Orders, Pressed, wish};
use crate::guest::machine::Machine;
use crate::guest::plan::{Epochs, For, Step};
use crate::guest::state::Failure;
use crate::guest::{blocking, chain, console, disk, lock, remove, variables};

/// How long a guest may take to hear its power button before that is pressed again.
const PRESS_AGAIN: Duration = Duration::from_secs(3);

impl Guest {
    pub(super) async fn apply(&mut self, step: Step, orders: &Orders) -> io::Result<()> {
        crash::point_of(|| format!("guest: before {step:?}"));
        let Some(server) = &orders.server else {
            return self.end().await;
        };
        let epochs = wish(server).epochs;
        match step {
            Step::Wait | Step::Remove => {}
            Step::Prepare => {
                let prepared = self.prepare(server).await;
                self.note(epochs, prepared).await?;
            }
            Step::Launch => {
                let launched = self.launch(server, orders).await;
                self.note(epochs, launched).await?;
            }
            Step::Press(what) => self.press(what).await?,
            Step::Reset => self.reset(epochs).await?,
            Step::Revive => self.revive(epochs).await?,
            Step::Settle => self.settle(server).await?,
            Step::End => self.end().await?,
        }
        Ok(())
    }

    /// A start that failed is not tried again under the same epochs: the cloud is told instead. Its
    /// QEMU may run all the same: what failed may have come after it.
    async fn note(&mut self, epochs: Epochs, done: io::Result<()>) -> io::Result<()> {
        let Err(e) = done else { return Ok(()) };
        let text = chain(&e);
        tracing::error!(server = %self.id, "starting it: {text}");
        self.state.failure = Some(Failure { epochs, text });
        self.end().await
    }

    /// Images and root disk. Given up when the server is deleted meanwhile: fetching takes time.
    async fn prepare(&mut self, server: &Server) -> io::Result<()> {
        self.save().await?;
        let boot = &server.boot;
        // One that boots from a volume has no disk of its own.
        let Some(image) = &boot.disk else {
            return Ok(());
        };
        let images = &self.shared.images;
        let fetched = async {
            let fetch = async |image: &Option<_>| match image {
                Some(image) => images.fetch(image).await.map(Some),
                None => Ok(None),
            };
            tokio::try_join!(
                images.disk(image),
                fetch(&boot.kernel),
                fetch(&boot.ramdisk)
            )
        };
        let data = tokio::select! {
            fetched = fetched => fetched?.0,
            _ = self.orders.wait_for(|orders| orders.server.is_none()) => return Ok(()),
        };
        let (dir, size_gib, uid) = (self.dir.clone(), server.disk_gib, self.state.uid);
        let firmware = boot.hardware.firmware;
        blocking(move || {
            variables::make(&dir, firmware, uid)?;
            disk::make(&dir, &data, size_gib, uid)
        })
        .await
    }

    pub(super) async fn launched(&mut self, machine: Machine, epochs: Epochs) -> io::Result<()> {
        self.state.done = epochs;
        self.state.launched_ms = Some(now_ms());
        self.state.launching = None;
        self.state.process = Some(machine.process().into());
        self.machine = Some(machine);
        self.save().await
    }

    async fn press(&mut self, what: For) -> io::Result<()> {
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        machine.press().await?;
        let now = Instant::now();
        let end = match self.pressed {
            Some(pressed) if pressed.what == what => pressed.end,
            _ => now + self.shared.settings.stop_timeout,
        };
        self.pressed = Some(Pressed {
            what,
            again: now + PRESS_AGAIN,
            end,
        });
        Ok(())
    }

    async fn reset(&mut self, epochs: Epochs) -> io::Result<()> {
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        machine.reset().await?;
        self.pressed = None;
        self.state.done = epochs;
        self.save().await
    }

    async fn revive(&mut self, epochs: Epochs) -> io::Result<()> {
        self.keep_console().await;
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        machine.reset_and_wait().await?;
        let started = self.state.done.start < epochs.start;
        self.state.done = epochs;
        if started {
            self.state.launched_ms = Some(now_ms());
        }
        // Killed between these two we find the guest reset and not running, and revive it again.
        self.save().await?;
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        machine.cont().await
    }

    async fn settle(&mut self, server: &Server) -> io::Result<()> {
        let epochs = wish(server).epochs;
        match server.power {
            Power::Running => self.state.done.start = epochs.start,
            Power::Stopped => self.state.done.reboot = epochs.reboot,
        }
        self.pressed = None;
        self.save().await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.keep_console().await;
        if let Some(machine) = &mut self.machine {
            machine.end().await?;
            crash::point("guest: QEMU has ended");
        }
        self.machine = None;
        self.pressed = None;
        self.forget().await
    }

    /// Remembers how the guest ended, unless that is a step towards what its orders ask.
    pub(super) fn ended_unasked(&mut self, orders: &Orders, how: Ended) {
        let wish = orders.server.as_deref().map(wish);
        let done = self.state.done;
        if wish.is_some_and(|wish| wish.power == Power::Running && wish.epochs == done) {
            let ended_ms = now_ms();
            self.state.ended = Some(GuestEnd { ended_ms, how });
        }
    }

    /// Writes down that there is no QEMU, and removes what it needed.
    pub(super) async fn forget(&mut self) -> io::Result<()> {
        self.state.launching = None;
        self.state.process = None;
        self.state.taps.clear();
        self.state.portals.clear();
        self.plugged = None;
        self.asked.clear();
        self.save().await?;
        let (shared, id, uid) = (self.shared.clone(), self.id, self.state.uid);
        blocking(move || {
            shared.fence.remove(uid)?;
            crash::point("guest: its fence is gone");
            remove::run(&shared.settings, id)
        })
        .await
    }

    pub(super) async fn remove(&mut self) -> io::Result<()> {
        let (settings, id) = (self.shared.settings.clone(), self.id);
        blocking(move || remove::files(&settings, id)).await?;
        crash::point("guest: its files are gone");
        self.shared.users.release(self.id);
        lock(&self.shared.picture).remove(&self.id);
        let _ = self.shared.reports.send(Seen::GuestGone(self.id));
        Ok(())
    }

    /// Moves what QEMU holds of the console into the guest's file.
    pub(super) async fn keep_console(&mut self) {
        let Some(machine) = &mut self.machine else {
            return;
        };
        let (taken, dir) = (machine.take_console().await, self.dir.clone());
        let kept = match taken {
            Ok(text) => blocking(move || console::append(&dir, &text)).await,
            Err(e) => Err(e),
        };
        if let Err(e) = kept {
            tracing::warn!(server = %self.id, "reading its console: {}", chain(&e));
        }
    }

    pub(super) async fn save(&self) -> io::Result<()> {
        let (state, dir) = (self.state.clone(), self.dir.clone());
        blocking(move || state.save(&dir)).await?;
        crash::point("guest: its record is written");
        Ok(())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
