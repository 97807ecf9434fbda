//! Starting a guest's QEMU with all that it has from its start.

use std::io;

use model::Server;
use qemu::KERNEL_ARGUMENTS;

use super::{Guest, Orders, wish};
use crate::guest::machine::{KernelParts, Parts, VolumeParts};
use crate::guest::{blocking, cgroup, config_drive, disk, variables};
use crate::image::private_dir;

impl Guest {
    pub(super) async fn launch(&mut self, server: &Server, orders: &Orders) -> io::Result<()> {
        let epochs = wish(server).epochs;
        let volumes = self.volumes(server).await?;
        self.state.launching = Some(epochs);
        self.state.failure = None;
        self.state.taps = orders.nics.iter().map(|nic| nic.port).collect();
        self.state.portals = volumes.iter().map(|volume| volume.disk.portal).collect();
        let (parts, (), ()) =
            tokio::try_join!(self.parts(server, volumes), self.save(), self.fence())?;
        let (nics, open_tap) = (orders.nics.clone(), self.shared.open_tap.clone());
        let (dir, instance) = (self.dir.clone(), orders.instance.clone());
        let cgroup = self.shared.settings.cgroup.clone();
        let vendor_data = self.shared.settings.vendor_data.clone();
        let started = blocking(move || {
            private_dir(&parts.run_dir)?;
            // One that boots from a volume has had no other preparation.
            variables::make(&dir, parts.hardware.firmware, parts.uid)?;
            let config_drive = match instance {
                Some(instance) => Some(config_drive::make(
                    &dir,
                    &instance,
                    &vendor_data,
                    parts.uid,
                )?),
                None => None,
            };
            let taps = nics.into_iter().map(|nic| Ok((open_tap(nic.port)?, nic)));
            let taps = taps.collect::<io::Result<_>>()?;
            let cgroup = cgroup::ensure(cgroup.as_deref(), parts.server);
            crash::point("guest: taps and cgroup are there");
            Parts {
                taps,
                config_drive,
                cgroup,
                ..parts
            }
            .start()
        });
        let machine = started.await?;
        crash::point("guest: QEMU is started");
        let machine = machine.answers().await?;
        self.launched(machine, epochs).await
    }

    /// The volumes that it is to have, each at a portal that lets it in. One that could not be
    /// attached before is left out.
    ///
    /// # Errors
    /// A guest that lacks a volume it had is not started: what each portal said.
    async fn volumes(&mut self, server: &Server) -> io::Result<Vec<VolumeParts>> {
        let mut volumes = Vec::new();
        for attachment in &server.attachments {
            if self.state.failed.contains_key(&attachment.id) && !attachment.root {
                continue;
            }
            let reached = tokio::select! {
                reached = self.reach(attachment) => reached,
                _ = gone(self.orders.clone()) => Err("the server was deleted".into()),
            };
            let named = |why| {
                io::Error::other(format!("volume {} cannot be had: {why}", attachment.volume))
            };
            volumes.push(VolumeParts {
                disk: self.disk(attachment, reached.map_err(named)?),
                secret: attachment.chap.secret.clone(),
                root: attachment.root,
            });
        }
        Ok(volumes)
    }

    async fn parts(&self, server: &Server, volumes: Vec<VolumeParts>) -> io::Result<Parts> {
        let images = &self.shared.images;
        let kernel = match &server.boot.kernel {
            None => None,
            Some(kernel) => Some(KernelParts {
                image: images.fetch(kernel).await?,
                ramdisk: match &server.boot.ramdisk {
                    Some(ramdisk) => Some(images.fetch(ramdisk).await?),
                    None => None,
                },
                arguments: format!("{KERNEL_ARGUMENTS} {}", server.boot.kernel_args),
            }),
        };
        let root = server.boot.disk.as_ref();
        let root = root.and_then(|_| disk::find(&self.dir));
        Ok(Parts {
            server: server.id,
            uid: self.state.uid,
            qemu: self.shared.settings.qemu.clone(),
            base: self.shared.settings.base.clone(),
            accelerator: self.shared.accelerator().await,
            vcpus: server.vcpus,
            ram_mib: server.ram_mib,
            hardware: server.boot.hardware,
            variables: variables::path(&self.dir, server.boot.hardware.firmware),
            disk: root,
            volumes,
            config_drive: None,
            kernel,
            taps: Vec::new(),
            run_dir: self.run_dir.clone(),
            cgroup: None,
        })
    }
}

async fn gone(mut orders: tokio::sync::watch::Receiver<Orders>) {
    if orders
        .wait_for(|orders| orders.server.is_none())
        .await
        .is_err()
    {
        std::future::pending().await
    }
}
