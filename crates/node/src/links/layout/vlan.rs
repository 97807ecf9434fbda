//! The links of provider networks and of subports: where frames bear a VLAN's tag, and where not.

use linux::tc::Vlan;
use model::{Key, Network, Port, Subport};

use super::super::names::{self, Space};
use super::{Draft, Kind, Link, in_bridge, of_guest};

impl Draft<'_> {
    pub(super) fn uplink(&mut self, network: &Network, physical: &str) {
        let key = Key::Network(network.id);
        let Some(bridge) = self.settings.physical.get(physical) else {
            let text = format!("this node's settings map no bridge to physical network {physical}");
            return self.fail(key, text);
        };
        let Some(&bridge_mtu) = self.bridges.get(bridge) else {
            let text = format!(
                "this host has no bridge {bridge}, to which its settings map physical network {physical}"
            );
            return self.fail(key, text);
        };
        let inner = in_bridge(Kind::Veth, network.mtu);
        // A bridge takes the least MTU of its ports: ours must not lower the operator's.
        let outer = Link {
            master: network.vlan.is_none().then(|| bridge.clone()),
            alias: Some(format!(
                "hextet {} network {}",
                self.settings.short, network.id
            )),
            ..in_bridge(Kind::Veth, network.mtu.max(bridge_mtu))
        };
        let name = names::uplink(&self.settings.short, network.id);
        let inside = (Space::Network(network.id), names::UPLINK.to_owned());
        self.pair((inside, inner), ((Space::Base, name.clone()), outer), key);
        if let Some(id) = network.vlan {
            let bridge = bridge.clone();
            let link = self.carrier(physical, bridge, bridge_mtu, key);
            let untagged = Some(name);
            let base = self.design.layout.spaces.entry(Space::Base).or_default();
            base.vlans.insert(Vlan { link, id, untagged });
        }
    }

    /// Where the VLANs of a physical network are tagged: one pair for all of them, which the first makes.
    fn carrier(&mut self, physical: &str, bridge: String, mtu: u32, key: Key) -> String {
        let (own, in_it) = names::carrier(&self.settings.short, physical);
        let alias = Some(format!(
            "hextet {} VLANs of {physical}",
            self.settings.short
        ));
        let outer = Link {
            master: Some(bridge),
            alias,
            ..in_bridge(Kind::Veth, mtu)
        };
        let inner = Link {
            master: None,
            ..outer.clone()
        };
        let place = (Space::Base, own.clone());
        let spaces = &self.design.layout.spaces;
        let there = spaces
            .get(&Space::Base)
            .and_then(|base| base.links.get(&own));
        if there != Some(&inner) {
            self.pair((place, inner), ((Space::Base, in_it), outer), key);
        }
        own
    }

    /// A pair stands in for the tap: here it has the tap's place and name, and its other end is beside
    /// the tap of the card that carries it.
    pub(super) fn subport(
        &mut self,
        port: &Port,
        Subport { parent, vlan }: &Subport,
        network: &Network,
    ) {
        let carrier = self.wanted.ports.get(parent);
        let Some(carrier) = carrier.filter(|p| self.wanted.networks.contains_key(&p.network))
        else {
            let text = format!("port {parent}, whose VLAN {vlan} it is, is not known here");
            return self.fail(Key::Port(port.id), text);
        };
        let inner = of_guest(Kind::Veth, port, network.mtu);
        let outer = Link {
            master: None,
            ..in_bridge(Kind::Veth, network.mtu)
        };
        let there = Space::Network(carrier.network);
        let inside = (Space::Network(port.network), names::tap(port.id));
        let outside = (there, names::subport(port.id));
        let vlan = Vlan {
            link: names::tap(*parent),
            id: *vlan,
            untagged: Some(outside.1.clone()),
        };
        self.pair((inside, inner), (outside, outer), Key::Port(port.id));
        self.limit(port, network);
        let contents = self.design.layout.spaces.entry(there).or_default();
        contents.vlans.insert(vlan);
    }
}
