//! Plugging volumes and network cards into a running guest, and out of it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddrV6;
use std::os::fd::AsFd;
use std::time::Duration;

use model::{Attachment, Hardware, MachineType};
use qemu::qmp::{self, Qmp};
use qemu::{HOT_PLUG_PORTS, VolumeDisk};
use tokio::time::{Instant, sleep, timeout};

use super::{Guest, Nic, Orders};
use crate::guest::blocking;
use crate::guest::plug::{Change, plan};

/// How long one portal may take to let us in.
const PORTAL: Duration = Duration::from_secs(5);

/// For how long is tried again what was refused: the account may be on its way to the node that
/// keeps the volume, and tgtd on its way back.
const REFUSED: Duration = Duration::from_secs(5);

/// How soon.
const TRY_AGAIN: Duration = Duration::from_millis(300);

/// When a guest that did not let go of a device is asked again; one that boots does not hear.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// When it is worth telling that it does not.
const SILENT: Duration = Duration::from_secs(60);

/// A device that the guest was asked to let go of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    first: Instant,
    last: Instant,
    told: bool,
}

impl Guest {
    /// Does one thing, if there is one to do now.
    pub(super) async fn plug(&mut self, orders: &Orders) -> io::Result<bool> {
        let Some(seen) = &self.plugged else {
            return Ok(false);
        };
        self.asked.retain(|device, _| seen.devices.contains(device));
        let changes = plan(orders, seen, &self.state.taps, &self.state.failed);
        let now = Instant::now();
        let due = |change: &Change<'_>| match change {
            Change::Unplug(device) => {
                let asked = self.asked.get(device);
                asked.is_none_or(|asked| asked.last + ASK_AGAIN <= now)
            }
            _ => true,
        };
        let Some(change) = changes.into_iter().find(due) else {
            return Ok(false);
        };
        tracing::debug!(server = %self.id, ?change);
        match change {
            Change::Unplug(device) => self.unplug(device).await?,
            Change::DropNode(node) => self.qmp()?.remove_block_node(&node).await?,
            Change::DropObject(object) => self.qmp()?.remove_object(&object).await?,
            Change::DropTap(port) => {
                self.qmp()?.remove_tap(port).await?;
                self.state.taps.remove(&port);
                self.save().await?;
            }
            Change::Attach(attachment) => self.attach(attachment, orders).await?,
            Change::Connect(nic) => self.connect(nic, orders).await?,
        }
        Ok(true)
    }

    /// When a guest is to be asked again.
    pub(super) fn ask_again(&self) -> Option<Instant> {
        self.asked
            .values()
            .map(|asked| asked.last + ASK_AGAIN)
            .min()
    }

    async fn unplug(&mut self, device: String) -> io::Result<()> {
        let now = Instant::now();
        self.qmp()?.ask_for_device(&device).await?;
        crash::point("guest: asked to let go of a device");
        let asked = self.asked.entry(device.clone()).or_insert(Asked {
            first: now,
            last: now,
            told: false,
        });
        asked.last = now;
        if asked.first + SILENT <= now && !asked.told {
            asked.told = true;
            tracing::warn!(
                server = %self.id, device,
                "the guest does not let go of it; it is asked again and again: does its system run, and take hot-plug?"
            );
        }
        Ok(())
    }

    /// Gives the guest a volume, or writes down why that cannot be.
    async fn attach(&mut self, attachment: &Attachment, orders: &Orders) -> io::Result<()> {
        let mut orders_now = self.orders.clone();
        let reached = tokio::select! {
            reached = self.reach(attachment) => reached,
            // Something else may be more urgent; this is begun again if it is still wanted.
            Ok(()) = orders_now.changed() => return Ok(()),
        };
        let tried = match reached {
            Ok(portal) => self.attach_at(attachment, portal, orders).await?,
            Err(why) => Err(why),
        };
        if let Err(why) = tried {
            tracing::error!(server = %self.id, volume = %attachment.volume, "attaching it: {why}");
            self.state.failed.insert(attachment.id, why);
            self.save().await?;
        }
        Ok(())
    }

    /// The first portal that lets us in.
    ///
    /// # Errors
    /// What each portal said.
    pub(super) async fn reach(&self, attachment: &Attachment) -> Result<SocketAddrV6, String> {
        let end = Instant::now() + REFUSED;
        loop {
            let mut refusals = Vec::new();
            for portal in &attachment.portals {
                match self.probe(attachment, *portal).await {
                    Ok(()) => return Ok(*portal),
                    Err(why) => refusals.push(why),
                }
            }
            if refusals.is_empty() {
                return Err("the volume is served nowhere: its node has no portal".into());
            }
            if Instant::now() >= end {
                return Err(refusals.join("; "));
            }
            sleep(TRY_AGAIN).await;
        }
    }

    async fn probe(&self, attachment: &Attachment, portal: SocketAddrV6) -> Result<(), String> {
        let ns = self.shared.settings.base.clone();
        let (target, chap) = (attachment.target.clone(), attachment.chap.clone());
        let probed = tokio::task::spawn_blocking(move || {
            volume::probe::probe(&ns, portal, &target, &chap, PORTAL)
        });
        // A portal that answers a little, again and again, has its time too.
        match timeout(2 * PORTAL, probed).await {
            Ok(Ok(probed)) => probed,
            Ok(Err(e)) => Err(format!("{portal}: {e}")),
            Err(_) => Err(format!("{portal} did not answer in time")),
        }
    }

    /// Inner `Err`: QEMU could not do it.
    async fn attach_at(
        &mut self,
        attachment: &Attachment,
        portal: SocketAddrV6,
        orders: &Orders,
    ) -> io::Result<Result<(), String>> {
        self.state.portals.insert(portal);
        self.save().await?;
        self.fence().await?;
        let disk = self.disk(attachment, portal);
        let board = orders
            .server
            .as_ref()
            .map(|s| s.boot.hardware)
            .unwrap_or_default();
        let qmp = self.qmp()?;
        let plugged = async {
            let secret = qemu::volume_secret(attachment.id);
            qmp.add_secret(&secret, &attachment.chap.secret).await?;
            crash::point("guest: a volume's secret is told");
            qmp.add_block_node(disk.node()).await?;
            crash::point("guest: a volume's node is there");
            add_device(qmp, &board, |bus| disk.device(bus)).await
        };
        // What is left of a failure goes with the next plan: it has no device.
        match plugged.await {
            Err(qmp::Error::Refused { reason, .. }) => Ok(Err(format!("{portal}: {reason}"))),
            plugged => Ok(Ok(plugged?)),
        }
    }

    pub(super) fn disk(&self, attachment: &Attachment, portal: SocketAddrV6) -> VolumeDisk {
        VolumeDisk {
            server: self.id,
            attachment: attachment.id,
            volume: attachment.volume,
            portal,
            target: attachment.target.clone(),
            user: attachment.chap.user.clone(),
            read_only: attachment.read_only,
        }
    }

    async fn connect(&mut self, nic: &Nic, orders: &Orders) -> io::Result<()> {
        let (open_tap, port) = (self.shared.open_tap.clone(), nic.port);
        let tap = blocking(move || open_tap(port)).await?;
        self.state.taps.insert(port);
        self.save().await?;
        let board = orders
            .server
            .as_ref()
            .map(|s| s.boot.hardware)
            .unwrap_or_default();
        let card = qemu::Nic {
            port,
            tap: -1,
            mac: nic.mac,
            mtu: nic.mtu,
        };
        let qmp = self.qmp()?;
        qmp.add_tap(port, tap.as_fd()).await?;
        Ok(add_device(qmp, &board, |bus| qemu::card(&board, &card, bus)).await?)
    }

    /// Lets QEMU reach its portals and nothing else.
    pub(super) async fn fence(&self) -> io::Result<()> {
        let (shared, uid) = (self.shared.clone(), self.state.uid);
        let portals: BTreeSet<_> = self.state.portals.clone();
        blocking(move || shared.fence.set(uid, portals)).await
    }

    fn qmp(&mut self) -> io::Result<&mut Qmp> {
        let machine = self.machine.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(machine.qmp()?)
    }
}

/// Plugs a device where there is room for it.
async fn add_device(
    qmp: &mut Qmp,
    board: &Hardware,
    device: impl Fn(Option<&str>) -> serde_json::Value,
) -> qmp::Result<()> {
    if board.machine == MachineType::Pc {
        return qmp.add_device(device(None)).await;
    }
    let buses = (0..HOT_PLUG_PORTS).filter_map(|i| qemu::hot_plug_bus(board.machine, i));
    let mut full = None;
    for bus in buses {
        match qmp.add_device(device(Some(&bus))).await {
            Err(e @ qmp::Error::Refused { .. }) if taken(&e) => full = Some(e),
            added => return added,
        }
    }
    Err(full.unwrap_or(qmp::Error::Malformed("a board without room")))
}

/// Each of q35's ports takes one device.
fn taken(error: &qmp::Error) -> bool {
    let text = error.to_string();
    text.contains("not available") || text.contains("in use")
}
