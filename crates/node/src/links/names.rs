//! Names of kernel objects. Each says whose it is: the node's short id stands in every name that
//! another cloud on this host could meet, and inside our own namespaces names need no more than
//! to be unique there.

use model::{Mac, NetworkId, PortId, RouterId};
use uuid::Uuid;

/// A network's bridge, in its own namespace.
pub const BRIDGE: &str = "br";
/// A provider network's way out, in its own namespace.
pub const UPLINK: &str = "uplink";

/// A namespace that we look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// The node's own, of which only the uplinks of provider networks are ours.
    Base,
    Network(NetworkId),
    Router(RouterId),
}

impl Space {
    /// The name under `/run/netns`, with the whole id as the API prints it, so that no two can
    /// collide. `None` for the node's own.
    pub fn name(self, short: &str) -> Option<String> {
        match self {
            Space::Base => None,
            Space::Network(id) => Some(format!("{}{id}", networks_prefix(short))),
            Space::Router(id) => Some(format!("{}r-{id}", prefix(short))),
        }
    }

    /// The namespace of this name, if it is one of ours.
    pub fn parse(short: &str, name: &str) -> Option<Space> {
        let (kind, id) = name.strip_prefix(&prefix(short))?.split_once('-')?;
        match kind {
            "n" => id.parse().ok().map(Space::Network),
            "r" => id.parse().ok().map(Space::Router),
            _ => None,
        }
    }
}

/// How the names of all our namespaces begin.
pub fn prefix(short: &str) -> String {
    format!("hx{short}-")
}

/// How the names of guests' networks' namespaces begin.
pub fn networks_prefix(short: &str) -> String {
    format!("{}n-", prefix(short))
}

/// How the names of all our links in the node's own namespace begin.
pub fn uplink_prefix(short: &str) -> String {
    format!("hx{short}p")
}

/// A provider network's veth end in the node's own namespace.
pub fn uplink(short: &str, network: NetworkId) -> String {
    format!("{}{}", uplink_prefix(short), network.short())
}

/// The two ends, both in the node's own namespace, of the pair that carries a physical network's VLANs
/// with their tags: the second is in the bridge.
pub fn carrier(short: &str, physical: &str) -> (String, String) {
    // FNV-1a: what two names share is found out where links are laid out.
    let hash = physical.bytes().fold(0x811c_9dc5_u32, |hash, octet| {
        (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    });
    let digits = format!("{:07x}", hash >> 4);
    let in_bridge = format!("{}w{digits}", uplink_prefix(short));
    (format!("{}{digits}", carrier_prefix(short)), in_bridge)
}

/// How the names of all carriers' own ends begin: with a letter that no network's id begins with.
pub fn carrier_prefix(short: &str) -> String {
    format!("{}v", uplink_prefix(short))
}

/// A guest port's tap.
pub fn tap(port: PortId) -> String {
    format!("t{}", digits(port.0))
}

/// A subport's veth end in the namespace of the port whose card carries it; the other end is in the
/// tap's place, and has its name.
pub fn subport(port: PortId) -> String {
    format!("{SUBPORT}{}", digits(port.0))
}

/// How the names of all subports' ends begin, and no other's in a network's namespace.
pub const SUBPORT: &str = "s";

/// Where what a guest sends waits, if that is limited.
pub fn limit(port: PortId) -> String {
    format!("i{}", digits(port.0))
}

/// A router port's veth end in its network's namespace.
pub fn leg_in_network(port: PortId) -> String {
    format!("r{}", digits(port.0))
}

/// A router port's veth end in its router's namespace.
pub fn leg_in_router(port: PortId) -> String {
    format!("n{}", digits(port.0))
}

/// As many digits as fit the 15 octets of a link's name after one letter.
fn digits(id: Uuid) -> String {
    id.simple().to_string()[..14].to_owned()
}

/// A network's bridge has the same locally administered address on every node.
pub fn bridge_mac(network: NetworkId) -> Mac {
    let [a, b, c, d, e, ..] = *network.0.as_bytes();
    Mac([0x02, a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let network = NetworkId("0a1b2c3d-0000-4000-8000-000000000001".parse().unwrap());
        for space in [Space::Network(network), Space::Router(RouterId(network.0))] {
            let name = space.name("ab12").unwrap();
            assert_eq!(Space::parse("ab12", &name), Some(space));
            assert_eq!(Space::parse("ab13", &name), None);
        }
        assert_eq!(uplink("ab12", network), "hxab12p0a1b2c3d");
        let (own, in_bridge) = carrier("ab12", "physnet");
        assert_eq!((own.len(), in_bridge.len()), (15, 15));
        assert!(own.starts_with(&carrier_prefix("ab12")) && own != in_bridge);
        assert_ne!(carrier("ab12", "physnet2").0, own);
        assert_eq!(tap(PortId(network.0)), "t0a1b2c3d000040");
        assert_eq!(tap(PortId(network.0)).len(), 15);
    }
}
