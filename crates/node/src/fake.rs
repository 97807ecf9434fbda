//! A node whose guests are made up: no kernel object, no QEMU, no right of root.
//!
//! It speaks `link` as the agent does and remembers what it heard in the same journal. What it
//! reports is one pure function of its documents: [`Picture::of`]. A port whose network is known
//! is up, and its guest uses the addresses that it has since it was made; a guest whose ports are up did at once what it was asked to do; volumes are served, and
//! attachments succeed. So nothing but the documents must be remembered over a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use link::{Answer, FromNode, Question, ToNode};
use model::{
    AddressHeard, Attachment, AttachmentSeen, Change, GuestSeen, Key, NodeFacts, NodeId, Port,
    PortHeard, PortId, PortSeen, Power, PowerSeen, Seen, Server, ServerId, VolumeId, VolumeSeen,
};
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use crate::Wanted;
use crate::links::{self, Report};
use crate::memory::Memory;

/// What a made-up host has: enough that nothing is refused for want of it.
const VCPUS: u32 = 256;
const RAM_MIB: u64 = 1 << 20;
const DISK_GIB: u64 = 1 << 16;
/// Where it would serve volumes: an address of documentation, which nobody calls.
const PORTAL: &str = "[2001:db8::1]:3260";

/// Who the node is, and where its journal lies.
#[derive(Clone, Debug)]
pub struct FakeSettings {
    pub id: NodeId,
    pub name: String,
    /// The journal's directory, made when needed.
    pub dir: PathBuf,
    /// Physical networks that it claims to reach.
    pub physical_networks: Vec<String>,
}

/// The node, between its connections.
pub struct FakeAgent {
    settings: FakeSettings,
    memory: Memory,
}

impl FakeAgent {
    /// Starts from what the node remembers.
    ///
    /// # Errors
    /// When its directory cannot be used.
    pub fn open(settings: FakeSettings) -> io::Result<FakeAgent> {
        std::fs::create_dir_all(&settings.dir)?;
        let memory = Memory::open(&settings.dir.join("documents.jsonl"))?;
        Ok(FakeAgent { settings, memory })
    }

    /// Talks with a controller until the stream ends.
    ///
    /// # Errors
    /// Those of the stream, and of the journal.
    pub async fn connect(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        self.memory.connected();
        let (facts, generation) = (self.facts(), self.memory.generation());
        link::send(&mut writer, &FromNode::Hello { facts, generation }).await?;
        let mut told = Picture::of(self.memory.wanted());
        link::send(&mut writer, &FromNode::Seen(told.news(&Picture::default()))).await?;
        loop {
            match link::receive(&mut reader).await? {
                ToNode::Forget => self.memory.forget(),
                ToNode::Changes {
                    changes,
                    generation,
                } => {
                    let again = generation.is_none();
                    // What other nodes have is a tombstone here, too, and no news.
                    let gone = gone(&changes, |key| again || self.memory.wanted().has(key));
                    self.memory.take_in(changes, generation)?;
                    let now = Picture::of(self.memory.wanted());
                    let seen: Vec<Seen> = now.news(&told).into_iter().chain(gone).collect();
                    told = now;
                    if !seen.is_empty() {
                        link::send(&mut writer, &FromNode::Seen(seen)).await?;
                    }
                    if let Some(generation) = generation {
                        link::send(&mut writer, &FromNode::Reached { generation }).await?;
                    }
                }
                ToNode::Ask { number, question } => {
                    let answer = self.answer(&question);
                    link::send(&mut writer, &FromNode::Answer { number, answer }).await?;
                }
            }
        }
    }

    fn facts(&self) -> NodeFacts {
        NodeFacts {
            id: self.settings.id,
            name: self.settings.name.clone(),
            vcpus: VCPUS,
            ram_mib: RAM_MIB,
            disk_gib: DISK_GIB,
            accelerator: "fake".to_owned(),
            accelerator_why: Some("the settings say hypervisor = \"fake\"".to_owned()),
            qemu_version: String::new(),
            physical_networks: self.settings.physical_networks.clone(),
            portals: vec![PORTAL.parse().expect("it is an address with its port")],
        }
    }

    fn answer(&self, question: &Question) -> Result<Answer, String> {
        let Question::Console { server, .. } = question;
        match self.memory.wanted().servers.get(server) {
            Some(server) => Ok(Answer::Console {
                text: format!(
                    "{} is made up: node {} runs no guests (hypervisor = \"fake\").\n",
                    server.hostname, self.settings.name
                ),
            }),
            None => Err(format!("Instance {server} has no console yet.")),
        }
    }
}

/// The id of one of a host's made-up nodes: the same at each start, and never the host's own.
pub fn id(host: NodeId, number: u16) -> NodeId {
    NodeId(Uuid::from_u128(host.0.as_u128() ^ u128::from(number)))
}

/// Whatever was made up goes at once.
fn gone(changes: &[Change], had: impl Fn(Key) -> bool) -> Vec<Seen> {
    let gone = changes.iter().filter(|change| change.document.is_none());
    let keys = gone.map(|change| change.key).filter(|key| had(*key));
    keys.filter_map(|key| match key {
        Key::Server(id) => Some(Seen::GuestGone(id)),
        Key::Port(id) => Some(Seen::PortGone(id)),
        Key::Volume(id) => Some(Seen::VolumeGone(id)),
        _ => None,
    })
    .collect()
}

/// All that the node would see.
#[derive(Debug, Default)]
struct Picture {
    ports: BTreeSet<PortId>,
    heard: BTreeMap<PortId, PortHeard>,
    guests: BTreeMap<ServerId, GuestSeen>,
    volumes: BTreeMap<VolumeId, VolumeSeen>,
}

impl Picture {
    fn of(wanted: &Wanted) -> Picture {
        let guests = wanted.servers.values().map(|s| (s.id, guest(s, wanted)));
        let volumes = wanted.volumes.values().map(|volume| VolumeSeen {
            volume: volume.id,
            ready: true,
            size_gib: volume.size_gib,
            failure: None,
        });
        let running = wanted.servers.values();
        let running = running.filter(|s| guest(s, wanted).power == PowerSeen::Running);
        Picture {
            heard: running.flat_map(|s| heard(s, wanted)).collect(),
            ports: links::up(wanted, &Report::default()),
            guests: guests.collect(),
            volumes: volumes.map(|seen| (seen.volume, seen)).collect(),
        }
    }

    /// What changed since an earlier one, in the order in which a host would see it.
    fn news(&self, before: &Picture) -> Vec<Seen> {
        let turned = self.ports.symmetric_difference(&before.ports);
        let ports = turned.map(|port| {
            let up = self.ports.contains(port);
            Seen::Port(PortSeen { port: *port, up })
        });
        let heard = self.heard.iter();
        let heard = heard.filter(|(id, heard)| before.heard.get(id) != Some(heard));
        let volumes = self.volumes.iter();
        let volumes = volumes.filter(|(id, seen)| before.volumes.get(id) != Some(seen));
        let guests = self.guests.iter();
        let guests = guests.filter(|(id, seen)| before.guests.get(id) != Some(seen));
        ports
            .chain(volumes.map(|(_, seen)| Seen::Volume(seen.clone())))
            .chain(guests.map(|(_, seen)| Seen::Guest(seen.clone())))
            .chain(heard.map(|(id, heard)| Seen::PortHeard(*id, heard.clone())))
            .collect()
    }
}

/// What the guest on each port of a server is heard to use: what it was given, since it was made.
fn heard(server: &Server, wanted: &Wanted) -> Vec<(PortId, PortHeard)> {
    let made_ms = Some(server.created_ms);
    let used = |address: &IpAddr| AddressHeard {
        address: *address,
        last_ms: server.created_ms,
    };
    let heard = |port: &Port| PortHeard {
        addresses: port.addresses.iter().map(used).collect(),
        dad_failures: Vec::new(),
        last_rs_ms: made_ms,
        last_ra_ms: made_ms,
        last_dhcp_ms: made_ms,
    };
    let ports = server.ports.iter().filter_map(|id| wanted.ports.get(id));
    ports.map(|port| (port.id, heard(port))).collect()
}

fn guest(server: &Server, wanted: &Wanted) -> GuestSeen {
    let linked = |id| {
        let port = wanted.ports.get(id);
        port.is_some_and(|port| wanted.networks.contains_key(&port.network))
    };
    let has = |attachment: &Attachment| AttachmentSeen {
        id: attachment.id,
        failure: None,
    };
    let preparing = GuestSeen {
        server: server.id,
        power: PowerSeen::Preparing,
        started_epoch: 0,
        rebooted_epoch: 0,
        failure: None,
        launched_ms: None,
        attachments: Vec::new(),
        ended: None,
    };
    match server.ports.iter().all(linked) {
        false => preparing,
        true => GuestSeen {
            power: match server.power {
                Power::Running => PowerSeen::Running,
                Power::Stopped => PowerSeen::Stopped,
            },
            started_epoch: server.start_epoch,
            rebooted_epoch: server.reboot_epoch,
            // The same after a restart.
            launched_ms: Some(server.created_ms),
            attachments: server.attachments.iter().map(has).collect(),
            ..preparing
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Boot, Desired, Mac, Network, NetworkId, Reboot, Router, RouterId, RouterPort};
    use tokio::io::DuplexStream;

    fn network() -> Network {
        Network {
            id: NetworkId::random(),
            mtu: 1500,
            physical_network: None,
            vlan: None,
            dns_domain: "openstacklocal.".into(),
            resolver: Vec::new(),
            subnets: Vec::new(),
            retired: Vec::new(),
        }
    }

    fn port(network: &Network) -> Port {
        Port {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            enabled: true,
            addresses: Vec::new(),
            port_security: true,
            allowed_prefixes: Vec::new(),
            allowed_macs: Vec::new(),
            rules: Vec::new(),
            server: None,
            stateless: false,
            security_groups: Vec::new(),
            qos: model::Qos::default(),
            delegated: Vec::new(),
            dhcp_options: Vec::new(),
            subport: None,
        }
    }

    fn server(port: &Port) -> Server {
        Server {
            id: ServerId::random(),
            name: "one".into(),
            hostname: "one".into(),
            project: "project".into(),
            power: Power::Running,
            start_epoch: 1,
            reboot_epoch: 0,
            reboot: Reboot::Soft,
            vcpus: 1,
            ram_mib: 64,
            disk_gib: 1,
            boot: Boot {
                disk: None,
                kernel: None,
                ramdisk: None,
                kernel_args: String::new(),
                hardware: Default::default(),
            },
            ports: vec![port.id],
            availability_zone: "nova".into(),
            public_keys: Vec::new(),
            user_data: None,
            metadata: Vec::new(),
            created_ms: 7,
            attachments: Vec::new(),
            config_drive: false,
            flavor: String::new(),
            reservation: String::new(),
            launch_index: 0,
            password: Default::default(),
        }
    }

    fn change(document: Desired) -> Change {
        Change {
            key: document.key(),
            document: Some(document),
        }
    }

    #[test]
    fn a_guest_runs_once_its_ports_are_there_and_follows_its_epochs() {
        let network = network();
        let port = port(&network);
        let mut server = server(&port);
        let mut wanted = Wanted::default();
        assert_eq!(guest(&server, &wanted).power, PowerSeen::Preparing);
        wanted.apply(change(Desired::Network(network)));
        wanted.apply(change(Desired::Port(port)));
        let seen = guest(&server, &wanted);
        assert_eq!((seen.power, seen.started_epoch), (PowerSeen::Running, 1));
        (server.power, server.reboot_epoch) = (Power::Stopped, 4);
        let seen = guest(&server, &wanted);
        assert_eq!((seen.power, seen.rebooted_epoch), (PowerSeen::Stopped, 4));
    }

    #[test]
    fn legs_are_up_whether_their_router_is_switched_on_or_not() {
        let network = network();
        let leg = RouterPort {
            id: PortId::random(),
            network: network.id,
            mac: Mac([2, 0, 0, 0, 0, 9]),
            addresses: Vec::new(),
            external: false,
            advertising: Default::default(),
            scopes: Default::default(),
        };
        let router = |enabled| Router {
            id: RouterId::random(),
            enabled,
            ports: vec![leg.clone()],
            routes: Vec::new(),
            default_nexthops: Vec::new(),
            snat: true,
            floating_ips: Vec::new(),
            forwardings: Vec::new(),
            nd_proxy: false,
        };
        for enabled in [true, false] {
            let mut wanted = Wanted::default();
            wanted.apply(change(Desired::Router(router(enabled))));
            assert_eq!(Picture::of(&wanted).ports, [].into(), "a leg in no network");
            wanted.apply(change(Desired::Network(network.clone())));
            assert_eq!(Picture::of(&wanted).ports, [leg.id].into(), "{enabled}");
        }
    }

    /// The controller's end, up to the word that a generation was reached.
    async fn reached(stream: &mut DuplexStream) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            match link::receive(stream).await.unwrap() {
                FromNode::Seen(seen) => all.extend(seen),
                FromNode::Reached { .. } => return all,
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn it_reports_what_it_hears_and_remembers_it() {
        let dir = std::env::temp_dir().join(format!("hextet-fake-{}", std::process::id()));
        let settings = FakeSettings {
            id: NodeId::random(),
            name: "fake-1".into(),
            dir: dir.clone(),
            physical_networks: Vec::new(),
        };
        let network = network();
        let port = Port {
            addresses: vec!["2001:db8::7".parse().unwrap()],
            ..port(&network)
        };
        let server = server(&port);
        let used = AddressHeard {
            address: port.addresses[0],
            last_ms: 7,
        };
        let heard = PortHeard {
            addresses: vec![used],
            dad_failures: Vec::new(),
            last_rs_ms: Some(7),
            last_ra_ms: Some(7),
            last_dhcp_ms: Some(7),
        };
        let heard = Seen::PortHeard(port.id, heard);
        let running = Seen::Guest(GuestSeen {
            server: server.id,
            power: PowerSeen::Running,
            started_epoch: 1,
            rebooted_epoch: 0,
            failure: None,
            launched_ms: Some(7),
            attachments: Vec::new(),
            ended: None,
        });
        let up = Seen::Port(PortSeen {
            port: port.id,
            up: true,
        });
        let id = server.id;
        let documents = [
            Desired::Server(Box::new(server)),
            Desired::Port(port),
            Desired::Network(network),
        ];
        let documents: Vec<Change> = documents.into_iter().map(change).collect();
        let gone = |id| Change {
            key: Key::Server(id),
            document: None,
        };
        for life in 0..2 {
            let (mut here, there) = tokio::io::duplex(1 << 16);
            let mut agent = FakeAgent::open(settings.clone()).unwrap();
            let served = tokio::spawn(async move { agent.connect(there).await });
            let hello = link::receive(&mut here).await.unwrap();
            assert!(matches!(hello, FromNode::Hello { generation, .. } if generation == life * 9));
            let changes = match life {
                0 => documents.clone(),
                // The other is of another node.
                _ => [id, ServerId::random()].map(gone).to_vec(),
            };
            let told = ToNode::Changes {
                changes,
                generation: Some(9 + life),
            };
            link::send(&mut here, &told).await.unwrap();
            let seen = reached(&mut here).await;
            let expected = match life {
                0 => vec![up.clone(), running.clone(), heard.clone()],
                _ => vec![
                    up.clone(),
                    running.clone(),
                    heard.clone(),
                    Seen::GuestGone(id),
                ],
            };
            assert_eq!(seen, expected);
            drop(here);
            assert!(served.await.unwrap().is_err());
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
