//! Everything this node was told, by kind: the desired side of every reconciler here.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AddressGroup, AddressGroupId, Change, Desired, Key, Network, NetworkId, Peer, Port, PortId,
    PortName, Router, RouterId, Server, ServerId, Volume, VolumeId,
};

use crate::filter::Members;

/// The documents in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    pub networks: BTreeMap<NetworkId, Network>,
    pub routers: BTreeMap<RouterId, Router>,
    pub groups: BTreeMap<AddressGroupId, AddressGroup>,
    /// Only ports bound to this node.
    pub ports: BTreeMap<PortId, Port>,
    /// Of all ports, wherever they are.
    pub names: BTreeMap<PortId, PortName>,
    /// Only volumes kept here.
    pub volumes: BTreeMap<VolumeId, Volume>,
    /// Only servers placed on this node.
    pub servers: BTreeMap<ServerId, Server>,
}

impl Wanted {
    /// Whether there is a document.
    pub fn has(&self, key: Key) -> bool {
        match key {
            Key::Network(id) => self.networks.contains_key(&id),
            Key::Router(id) => self.routers.contains_key(&id),
            Key::AddressGroup(id) => self.groups.contains_key(&id),
            Key::Port(id) => self.ports.contains_key(&id),
            Key::PortName(id) => self.names.contains_key(&id),
            Key::Volume(id) => self.volumes.contains_key(&id),
            Key::Server(id) => self.servers.contains_key(&id),
        }
    }

    /// The addresses of the security groups that rules of ports here name.
    pub fn members(&self) -> Members {
        let rules = self.ports.values().flat_map(|port| &port.rules);
        let named = rules.filter_map(|rule| match rule.peer {
            Some(Peer::Group(id)) => Some((id, BTreeSet::new())),
            _ => None,
        });
        let mut members: Members = named.collect();
        for port in self.names.values() {
            for group in &port.groups {
                if let Some(addresses) = members.get_mut(group) {
                    addresses.extend(port.addresses.iter().chain(&port.paired));
                }
            }
        }
        members
    }

    /// Takes one change in.
    pub fn apply(&mut self, change: Change) {
        match (change.document, change.key) {
            (Some(Desired::Network(d)), _) => drop(self.networks.insert(d.id, d)),
            (Some(Desired::Router(d)), _) => drop(self.routers.insert(d.id, d)),
            (Some(Desired::AddressGroup(d)), _) => drop(self.groups.insert(d.id, d)),
            (Some(Desired::Port(d)), _) => drop(self.ports.insert(d.id, d)),
            (Some(Desired::PortName(d)), _) => drop(self.names.insert(d.id, d)),
            (Some(Desired::Volume(d)), _) => drop(self.volumes.insert(d.id, d)),
            (Some(Desired::Server(d)), _) => drop(self.servers.insert(d.id, *d)),
            (None, Key::Network(id)) => drop(self.networks.remove(&id)),
            (None, Key::Router(id)) => drop(self.routers.remove(&id)),
            (None, Key::AddressGroup(id)) => drop(self.groups.remove(&id)),
            (None, Key::Port(id)) => drop(self.ports.remove(&id)),
            (None, Key::PortName(id)) => drop(self.names.remove(&id)),
            (None, Key::Volume(id)) => drop(self.volumes.remove(&id)),
            (None, Key::Server(id)) => drop(self.servers.remove(&id)),
        }
    }
}
