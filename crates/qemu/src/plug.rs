//! Plugging devices into a running machine, over QMP.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

use base64::Engine;
use model::PortId;
use serde_json::{Value, json};

use crate::hardware::card_model;
use crate::machine::Nic;
use crate::qmp::{Error, Qmp, Result};

/// What network cards are called, before the port's id.
const CARD: &str = "port-";

/// The device of a port.
pub fn card_device(port: PortId) -> String {
    format!("{CARD}{port}")
}

/// The port that a device is of, if it is a network card.
pub fn port_of(device: &str) -> Option<PortId> {
    device.strip_prefix(CARD)?.parse().ok()
}

/// What connects a card with its tap.
pub(crate) fn card_netdev(port: PortId) -> String {
    format!("net-{port}")
}

/// The card of a port, as a device to plug.
pub fn card(hardware: &model::Hardware, nic: &Nic, bus: Option<&str>) -> Value {
    let (model, tells_mtu) = card_model(hardware);
    let mut device = json!({
        "driver": model,
        "id": card_device(nic.port),
        "netdev": card_netdev(nic.port),
        "mac": nic.mac.to_string(),
        "romfile": "",
    });
    if tells_mtu {
        device["host_mtu"] = nic.mtu.into();
    }
    if let Some(bus) = bus {
        device["bus"] = bus.into();
    }
    device
}

impl Qmp {
    /// The devices that have a name of ours.
    pub async fn devices(&mut self) -> Result<BTreeSet<String>> {
        self.children("/machine/peripheral").await
    }

    /// The objects that have a name of ours.
    pub async fn objects(&mut self) -> Result<BTreeSet<String>> {
        self.children("/objects").await
    }

    /// The block nodes.
    pub async fn block_nodes(&mut self) -> Result<BTreeSet<String>> {
        let answer = self
            .execute("query-named-block-nodes", json!({"flat": true}))
            .await?;
        names(&answer, "node-name")
    }

    /// A secret that other objects name; it is never in an argument.
    pub async fn add_secret(&mut self, id: &str, secret: &str) -> Result<()> {
        let data = base64::engine::general_purpose::STANDARD.encode(secret);
        let object = json!({"qom-type": "secret", "id": id, "data": data, "format": "base64"});
        self.execute("object-add", object).await.map(drop)
    }

    pub async fn remove_object(&mut self, id: &str) -> Result<()> {
        self.execute("object-del", json!({"id": id}))
            .await
            .map(drop)
    }

    /// Opens a block node. The guest stands still while it does.
    pub async fn add_block_node(&mut self, node: Value) -> Result<()> {
        self.execute("blockdev-add", node).await.map(drop)
    }

    pub async fn remove_block_node(&mut self, node: &str) -> Result<()> {
        self.execute("blockdev-del", json!({"node-name": node}))
            .await
            .map(drop)
    }

    pub async fn add_device(&mut self, device: Value) -> Result<()> {
        self.execute("device_add", device).await.map(drop)
    }

    /// Asks the guest to let go of a device, which takes its time or does not answer. It is gone
    /// when [`Qmp::devices`] no longer has it; an event says when to look.
    pub async fn ask_for_device(&mut self, id: &str) -> Result<()> {
        match self.execute("device_del", json!({"id": id})).await {
            // Asked a moment ago.
            Err(Error::Refused { reason, .. }) if reason.contains("in the process of unplug") => {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// Connects a tap, to which QEMU gets a descriptor of its own.
    pub async fn add_tap(&mut self, port: PortId, tap: BorrowedFd<'_>) -> Result<()> {
        let name = format!("tap-{port}");
        self.execute_with("getfd", json!({"fdname": name}), tap)
            .await?;
        let netdev = json!({"type": "tap", "id": card_netdev(port), "fd": name, "vhost": false});
        let added = self.execute("netdev_add", netdev).await.map(drop);
        if added.is_err() {
            let _ = self.execute("closefd", json!({"fdname": name})).await;
        }
        added
    }

    /// Lets go of a port's tap. `false`: QEMU had none of that port.
    pub async fn remove_tap(&mut self, port: PortId) -> Result<bool> {
        match self
            .execute("netdev_del", json!({"id": card_netdev(port)}))
            .await
        {
            Err(Error::Refused { reason, .. }) if reason.contains("not found") => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    async fn children(&mut self, path: &str) -> Result<BTreeSet<String>> {
        let answer = self.execute("qom-list", json!({"path": path})).await?;
        let children = names(&answer, "name")?;
        Ok(children.into_iter().filter(|name| name != "type").collect())
    }
}

fn names(answer: &Value, key: &str) -> Result<BTreeSet<String>> {
    let list = answer.as_array().ok_or(Error::Malformed("no list"))?;
    Ok(list
        .iter()
        .filter_map(|one| Some(one[key].as_str()?.to_owned()))
        .collect())
}
