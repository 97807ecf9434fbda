//! Bridges of physical networks.

use std::io;

use doctor::host::links::{Bridge, Links, Seen};
use linux::netlink::{LinkKind, Netlink};

use super::database::Database;
use super::{Host, Look};

pub(super) fn look(look: &mut Look<'_>, database: &mut Database) {
    let seen = links(&look.host);
    let mut seen = look.seen("bridges", seen);
    if look.host.node.is_some() {
        seen.networks = std::mem::take(&mut database.flat);
    }
    look.facts.links = seen;
}

fn links(host: &Host<'_>) -> io::Result<Links> {
    let Some(node) = &host.node else {
        return Ok(Links::default());
    };
    let made = &host.config.node.bridges;
    let there = Netlink::open(&node.base)?.links()?;
    let bridge = |(of, name): (&String, &String)| Bridge {
        physical_network: of.clone(),
        name: name.clone(),
        place: host.settings.place(&["node", "physical_networks", of]),
        seen: match there.iter().find(|link| link.name == *name) {
            None if made.contains_key(name) => Seen::ToBeMade,
            None => Seen::Nothing,
            Some(link) if link.kind != LinkKind::Bridge => Seen::NoBridge,
            Some(link) => Seen::Bridge {
                mtu: link.mtu,
                up: link.up,
            },
        },
    };
    let refused = node::bridge::look(&node.base, made)?.into_iter();
    Ok(Links {
        netns: host.config.node.netns.clone().unwrap_or_default(),
        bridges: node.physical.iter().map(bridge).collect(),
        refused: refused
            .map(|(name, why)| {
                (
                    host.settings.place(&["node", "bridges", &name]),
                    why.to_string(),
                )
            })
            .collect(),
        networks: Vec::new(),
        settings: host.settings.place(&["node", "physical_networks"]),
    })
}
