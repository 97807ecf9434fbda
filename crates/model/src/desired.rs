//! What should be: the documents that the cloud writes and the nodes make true.
//!
//! A document holds everything a node needs for its own work, so that a node never asks back.

use std::net::{IpAddr, SocketAddrV6};

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::dns::DEFAULT_DOMAIN;
use crate::{
    AddressGroupId, AddressScopeId, AttachmentId, FloatingIpId, ImageId, Mac, NetworkId, Password,
    PortId, ProjectId, RouterId, SecurityGroupId, ServerId, SubnetId, UserData, VolumeId,
};

/// Names one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Key {
    Network(NetworkId),
    Router(RouterId),
    AddressGroup(AddressGroupId),
    Port(PortId),
    /// What a port is called, for every node.
    PortName(PortId),
    Volume(VolumeId),
    Server(ServerId),
}

/// One document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "document", rename_all = "snake_case")]
pub enum Desired {
    Network(Network),
    Router(Router),
    AddressGroup(AddressGroup),
    Port(Port),
    PortName(PortName),
    Volume(Volume),
    Server(Box<Server>),
}

impl Desired {
    /// The document's name.
    pub fn key(&self) -> Key {
        match self {
            Desired::Network(d) => Key::Network(d.id),
            Desired::Router(d) => Key::Router(d.id),
            Desired::AddressGroup(d) => Key::AddressGroup(d.id),
            Desired::Port(d) => Key::Port(d.id),
            Desired::PortName(d) => Key::PortName(d.id),
            Desired::Volume(d) => Key::Volume(d.id),
            Desired::Server(d) => Key::Server(d.id),
        }
    }
}

/// A document that changed, or went (`document` is `None`: a tombstone).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub key: Key,
    pub document: Option<Desired>,
}

/// A layer-2 network with its subnets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub id: NetworkId,
    /// Octets of an IP packet that fit a frame here; at least 1280.
    pub mtu: u32,
    /// A provider network: the name that the node's settings map to a bridge.
    pub physical_network: Option<String>,
    /// The VLAN that it is there, 1 to 4094; a flat network is what has no tag.
    #[serde(default)]
    pub vlan: Option<u16>,
    pub subnets: Vec<Subnet>,
    /// What names of its ports end in, with the dot at its end.
    #[serde(default = "default_domain")]
    pub dns_domain: String,
    /// Where guests ask for names: at most one address in each subnet.
    #[serde(default)]
    pub resolver: Vec<IpAddr>,
    /// Prefixes that hosts made addresses of, and that are so no more.
    #[serde(default)]
    pub retired: Vec<RetiredPrefix>,
}

fn default_domain() -> String {
    DEFAULT_DOMAIN.into()
}

/// A prefix that hosts are to stop using: it is announced as deprecated until its addresses have
/// ended (RFC 9096, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredPrefix {
    pub prefix: Ipv6Net,
    /// When the last address in it ends, in milliseconds since 1970.
    pub until_ms: i64,
}

/// A subnet of either family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: SubnetId,
    pub prefix: IpNet,
    /// Of the prefix's family.
    pub gateway: Option<IpAddr>,
    /// For IPv4: whether DHCP is answered.
    pub enable_dhcp: bool,
    /// For IPv6 only, as the next one.
    pub ra_mode: Option<RaMode>,
    pub address_mode: Option<AddressMode>,
    /// Of the prefix's family; announced by RDNSS (RFC 8106), or DHCP's option 6.
    pub dns_nameservers: Vec<IpAddr>,
    pub host_routes: Vec<Route>,
    /// For how long at a time hosts may use addresses in it, and begin connections from them: as
    /// Router Advertisements and DHCPv6 say it.
    #[serde(default)]
    pub lifetimes: Lifetimes,
    /// Where a translator to IPv4 is (RFC 8781).
    #[serde(default)]
    pub pref64: Option<Ipv6Net>,
}

/// For how long at a time an address is valid and, of that, preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetimes {
    pub valid_s: u32,
    pub preferred_s: u32,
}

impl Default for Lifetimes {
    /// As radvd and neutron have them: short enough that what went is forgotten within a day.
    fn default() -> Self {
        Lifetimes {
            valid_s: 86_400,
            preferred_s: 14_400,
        }
    }
}

/// What Router Advertisements say of a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Hosts make their own addresses (RFC 4862).
    pub autonomous: bool,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other settings are to be had by DHCPv6.
    pub other: bool,
}

/// What DHCPv6 has for a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dhcp6 {
    /// It is not answered for this subnet's sake.
    Silent,
    /// Names and other settings.
    Information,
    /// Those, and addresses.
    Addresses,
}

impl Subnet {
    /// What is announced of it; `None` when we announce nothing: it is IPv4, or somebody else does.
    /// `provider` says that the network is a physical one.
    ///
    /// Neutron announces nothing when neither mode is set. On a network of ours nobody else would
    /// say then that there is a router, and that addresses are to be had by DHCPv6.
    pub fn announced(&self, provider: bool) -> Option<Announced> {
        if self.prefix.addr().is_ipv4() {
            return None;
        }
        let mode = match (self.ra_mode, self.address_mode) {
            (Some(mode), _) => mode,
            (None, None) if !provider && self.enable_dhcp => RaMode::Dhcpv6Stateful,
            (None, None) if !provider => {
                return Some(Announced {
                    autonomous: false,
                    managed: false,
                    other: false,
                });
            }
            (None, _) => return None,
        };
        Some(Announced {
            autonomous: mode != RaMode::Dhcpv6Stateful,
            managed: mode == RaMode::Dhcpv6Stateful,
            other: mode == RaMode::Dhcpv6Stateless,
        })
    }

    /// What DHCPv6 has for it; `provider` says that the network is a physical one.
    pub fn dhcp6(&self, provider: bool) -> Dhcp6 {
        if self.prefix.addr().is_ipv4() || !self.enable_dhcp {
            return Dhcp6::Silent;
        }
        match (self.ra_mode, self.address_mode) {
            (_, Some(RaMode::Dhcpv6Stateful)) | (Some(RaMode::Dhcpv6Stateful), None) => {
                Dhcp6::Addresses
            }
            (None, None) if !provider => Dhcp6::Addresses,
            (None, None | Some(RaMode::Slaac)) => Dhcp6::Silent,
            _ => Dhcp6::Information,
        }
    }
}

/// Who sends Router Advertisements, and with which flags (`ipv6_ra_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RaMode {
    Slaac,
    Dhcpv6Stateless,
    Dhcpv6Stateful,
}

impl RaMode {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            RaMode::Slaac => "slaac",
            RaMode::Dhcpv6Stateless => "dhcpv6-stateless",
            RaMode::Dhcpv6Stateful => "dhcpv6-stateful",
        }
    }
}

/// How a port gets its address (`ipv6_address_mode`).
pub type AddressMode = RaMode;

/// A static route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub destination: IpNet,
    pub nexthop: IpAddr,
}

/// A router: one namespace on each node that has a port in one of its networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Router {
    pub id: RouterId,
    pub enabled: bool,
    pub ports: Vec<RouterPort>,
    pub routes: Vec<Route>,
    /// Where packets for elsewhere go: the gateways of the external subnets, at most one a family.
    pub default_nexthops: Vec<IpAddr>,
    /// Whether IPv4 packets that leave by the external leg take its address (`enable_snat`).
    pub snat: bool,
    pub floating_ips: Vec<FloatingIp>,
    /// Of floating addresses that stand for no port whole.
    #[serde(default)]
    pub forwardings: Vec<Forwarding>,
    /// Whether the external leg answers neighbour solicitations for addresses behind the router that
    /// lie within a prefix of its own.
    #[serde(default)]
    pub nd_proxy: bool,
}

/// An address of the external network that stands for a port's address of the same family behind the
/// router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloatingIp {
    pub id: FloatingIpId,
    /// The external address.
    pub floating: IpAddr,
    /// The port's own.
    pub fixed: IpAddr,
}

/// Ports of a floating address that stand for ports of an address of the same family behind the
/// router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// The external address.
    pub floating: IpAddr,
    /// By number; one that has ports.
    pub protocol: u8,
    /// First and last port there.
    pub external: (u16, u16),
    /// The guest's address.
    pub fixed: IpAddr,
    /// First and last port of the guest's: as many as there are outside, or one for all of them.
    pub internal: (u16, u16),
}

impl Forwarding {
    /// The guest's port that a port outside stands for.
    pub fn inward(&self, port: u16) -> Option<u16> {
        let (first, last) = self.external;
        let (start, end) = self.internal;
        let within = (first..=last).contains(&port);
        within.then(|| end.min(start.saturating_add(port.saturating_sub(first))))
    }

    /// Whether the guest's ports are those outside.
    pub fn keeps_ports(&self) -> bool {
        self.external == self.internal
    }
}

/// A router's leg in a network. Its link-local address is made of its MAC, the same on every node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterPort {
    pub id: PortId,
    pub network: NetworkId,
    pub mac: Mac,
    /// Addresses with the prefix length of their subnets.
    pub addresses: Vec<IpNet>,
    /// The leg in the external network: no Router Advertisements are sent there.
    pub external: bool,
    /// How it advertises itself.
    #[serde(default)]
    pub advertising: Advertising,
    /// Those of its network.
    #[serde(default)]
    pub scopes: Scopes,
}

/// The address scopes of a network, by family. Between two that differ nothing is routed without translation, and within
/// one nothing is translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    pub v4: Option<AddressScopeId>,
    pub v6: Option<AddressScopeId>,
}

/// What a router's Router Advertisements say of the router itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertising {
    /// The longest pause between two, in seconds: 4 to 1800 (RFC 4861, section 6.2.1).
    pub interval_s: u16,
    /// For how long it is a default router: 0, or from the interval to 9000 s.
    pub lifetime_s: u16,
    pub preference: Preference,
}

impl Default for Advertising {
    fn default() -> Self {
        Advertising {
            interval_s: 600,
            lifetime_s: 1800,
            preference: Preference::Medium,
        }
    }
}

/// Among several default routers (RFC 4191).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    Low,
    #[default]
    Medium,
    High,
}

/// A guest's port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    pub id: PortId,
    pub network: NetworkId,
    pub mac: Mac,
    pub enabled: bool,
    /// The addresses the cloud gave it.
    pub addresses: Vec<IpAddr>,
    /// Without port security nothing is filtered.
    pub port_security: bool,
    /// Further prefixes it may speak from.
    pub allowed_prefixes: Vec<IpNet>,
    /// Further MACs it may have: with any of its addresses.
    #[serde(default)]
    pub allowed_macs: Vec<Mac>,
    /// Everything not matched is dropped.
    pub rules: Vec<Rule>,
    /// Rules alone say what passes: what answers to something that passed needs one, too.
    #[serde(default)]
    pub stateless: bool,
    /// The server it belongs to.
    pub server: Option<ServerId>,
    /// Names of its security groups, for its guest to read.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Prefixes for what is behind the guest: routed to the port, told by DHCPv6 (IA_PD).
    #[serde(default)]
    pub delegated: Vec<Ipv6Net>,
    /// What DHCP tells this port beside, or instead of, what its subnets say.
    #[serde(default)]
    pub dhcp_options: Vec<DhcpOption>,
    /// It has no card of its own, but a VLAN of another port's.
    #[serde(default)]
    pub subport: Option<Subport>,
    #[serde(default)]
    pub qos: Qos,
}

/// Where a trunk's subport is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subport {
    /// The port whose card carries it, on the same node.
    pub parent: PortId,
    /// The VLAN's id, 1 to 4094.
    pub vlan: u16,
}

/// How fast a port may send and receive, and how what it sends is marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qos {
    /// What its guest receives.
    pub ingress: Option<Bandwidth>,
    /// What its guest sends.
    pub egress: Option<Bandwidth>,
    /// The Differentiated Services Code Point of the IP packets that its guest sends (RFC 2474): at most 63.
    pub dscp: Option<u8>,
}

/// A rate, counted in Ethernet frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Thousands of bits a second, at least 1.
    pub max_kbps: u32,
    /// Thousands of bits that may pass at once; a node that cannot do with so few takes more.
    pub burst_kbit: u32,
}

/// What every node hears of a port, wherever it is: what it is called in its network, and whose rules
/// mean it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortName {
    pub id: PortId,
    pub network: NetworkId,
    /// Empty: it is called by its addresses.
    pub dns_name: String,
    /// The domain of its name; empty: its network's.
    pub dns_domain: String,
    pub addresses: Vec<IpAddr>,
    /// Single addresses that it may have too (`allowed_address_pairs`), for rules alone: it is not called by them.
    #[serde(default)]
    pub paired: Vec<IpAddr>,
    /// Its security groups: a rule that names one of them means its addresses.
    #[serde(default)]
    pub groups: Vec<SecurityGroupId>,
}

/// An option of DHCP as a user gave it (`extra_dhcp_opts`), checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpOption {
    pub ipv6: bool,
    pub code: u16,
    /// As it stands in a packet.
    pub value: Vec<u8>,
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    pub direction: Direction,
    pub protocol: Option<Protocol>,
    /// Lowest and highest port, or ICMPv6 type and code.
    pub range: Option<(u16, Option<u16>)>,
    /// `None`: anyone.
    pub peer: Option<Peer>,
    /// `true` for IPv6, `false` for IPv4.
    pub ipv6: bool,
}

/// Seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Ingress,
    Egress,
}

/// An IP protocol as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Tcp,
    Udp,
    Icmpv6,
    Icmp,
    Sctp,
    /// Any other, by number.
    Number(u8),
}

/// The other end of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    Prefix(IpNet),
    /// The members of a security group.
    Group(SecurityGroupId),
    /// An address group.
    Addresses(AddressGroupId),
}

/// Prefixes that rules name together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressGroup {
    pub id: AddressGroupId,
    /// Without overlaps.
    #[serde(default)]
    pub prefixes: Vec<IpNet>,
}

/// A guest, with all that its boot needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    pub id: ServerId,
    pub name: String,
    /// A host name made of the server's name (RFC 1123 letters, digits, hyphens).
    pub hostname: String,
    pub project: ProjectId,
    pub power: Power,
    /// Grows with each wish to start. A guest that ran under this number and then powered itself
    /// off has fulfilled it.
    pub start_epoch: u64,
    /// Grows with each wish to reboot.
    pub reboot_epoch: u64,
    pub reboot: Reboot,
    pub vcpus: u32,
    pub ram_mib: u32,
    /// Size of the root disk in GiB; 0 means the image's own size.
    pub disk_gib: u32,
    pub boot: Boot,
    /// In the order in which the guest sees them.
    pub ports: Vec<PortId>,
    pub availability_zone: String,
    /// Keys by name, in the OpenSSH public key format.
    pub public_keys: Vec<(String, String)>,
    pub user_data: Option<UserData>,
    pub metadata: Vec<(String, String)>,
    pub created_ms: i64,
    /// Volumes it is to have, in the order in which they were attached.
    pub attachments: Vec<Attachment>,
    /// Whether it has a disk with its metadata.
    pub config_drive: bool,
    /// The flavor's name.
    #[serde(default)]
    pub flavor: String,
    /// The same for servers that one request made.
    #[serde(default)]
    pub reservation: String,
    /// Its place among those.
    #[serde(default)]
    pub launch_index: u32,
    /// What its guest has told.
    #[serde(default)]
    pub password: Password,
}

/// A volume that a server is to have, and all that reaching it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: AttachmentId,
    pub volume: VolumeId,
    /// Where its volume is served; each is tried.
    pub portals: Vec<SocketAddrV6>,
    pub target: String,
    /// Stands in the volume's document since an earlier change than this one's. The volume's node
    /// may hear of it later than the server's node all the same: a login that is refused is tried
    /// again for a while before it is a failure.
    pub chap: Chap,
    /// The guest boots from it; it stands where the root disk would.
    pub root: bool,
    pub read_only: bool,
    /// `/dev/vdb`: what clients call it.
    #[serde(default)]
    pub device: String,
}

/// Name and secret of one attachment (RFC 7143, section 12.1.3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chap {
    pub user: String,
    pub secret: String,
}

/// Never shows the secret.
impl std::fmt::Debug for Chap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chap {{ user: {:?}, .. }}", self.user)
    }
}

/// A volume that this node keeps and serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    pub id: VolumeId,
    pub size_gib: u32,
    /// What it is made of; blank without one.
    pub image: Option<ImageFile>,
    /// The iSCSI qualified name (RFC 7143, section 4.2.7.3).
    pub target: String,
    /// Who may log in: one for each attachment.
    pub chaps: Vec<Chap>,
    /// Its data has been whole once: if it is missing now, it is lost, and never made anew.
    #[serde(default)]
    pub made: bool,
}

/// What should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    Running,
    Stopped,
}

/// How the latest reboot is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reboot {
    /// Ask the guest by its power button, and insist after a while.
    Soft,
    /// Reset it at once.
    Hard,
}

/// What a guest boots from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// Copied to the root disk, which the guest may write; without one it boots from the
    /// attachment that is its `root`.
    pub disk: Option<ImageFile>,
    /// Kernel and ramdisk loaded by QEMU itself; without a kernel the firmware boots the disk.
    pub kernel: Option<ImageFile>,
    pub ramdisk: Option<ImageFile>,
    /// Added to hextet's own kernel command line.
    pub kernel_args: String,
    pub hardware: Hardware,
}

/// What an image's properties ask of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// `hw_firmware_type`
    pub firmware: Firmware,
    /// `hw_disk_bus`
    pub disk_bus: DiskBus,
    /// `hw_vif_model`
    pub vif_model: VifModel,
    /// `hw_machine_type`
    pub machine: MachineType,
    /// `os_type`: Windows takes the hardware clock for local time.
    pub clock: Clock,
}

/// What the guest's hardware clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    #[default]
    Utc,
    LocalTime,
}

/// What starts the boot disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// SeaBIOS.
    #[default]
    Bios,
    /// OVMF.
    Uefi,
}

/// How the guest sees its disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskBus {
    #[default]
    Virtio,
    Scsi,
    Sata,
    Ide,
    Usb,
}

/// How the guest sees its network cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VifModel {
    #[default]
    Virtio,
    E1000,
    E1000e,
    Rtl8139,
    Ne2kPci,
    Pcnet,
    Vmxnet3,
}

/// The board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineType {
    #[default]
    Pc,
    Q35,
}

/// An image's data, which a node may hold in its cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    pub id: ImageId,
    pub size_bytes: u64,
    /// SHA-512 in lower-case hex.
    pub sha512: String,
    /// `raw`, `qcow2`, `aki`, `ari` or `ami`.
    pub disk_format: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(prefix: &str, modes: (Option<RaMode>, Option<RaMode>), enable_dhcp: bool) -> Subnet {
        Subnet {
            id: SubnetId::random(),
            prefix: prefix.parse().unwrap(),
            gateway: None,
            enable_dhcp,
            ra_mode: modes.0,
            address_mode: modes.1,
            dns_nameservers: Vec::new(),
            host_routes: Vec::new(),
            lifetimes: Lifetimes::default(),
            pref64: None,
        }
    }

    /// Neutron's table: A, M and O as it has them, and what DHCPv6 has.
    #[test]
    fn flags_follow_from_the_modes() {
        use RaMode::{Dhcpv6Stateful as Full, Dhcpv6Stateless as Less, Slaac};
        let check = |ra, address, provider, flags: &str, dhcp6| {
            let subnet = subnet("2001:db8::/64", (ra, address), true);
            let said = subnet.announced(provider).map_or("-".to_owned(), |a| {
                [a.autonomous, a.managed, a.other]
                    .map(|f| if f { '1' } else { '0' })
                    .iter()
                    .collect()
            });
            assert_eq!(
                (said.as_str(), subnet.dhcp6(provider)),
                (flags, dhcp6),
                "{ra:?} {address:?}"
            );
        };
        for provider in [false, true] {
            check(
                Some(Slaac),
                Some(Slaac),
                provider,
                "100",
                Dhcp6::Information,
            );
            check(Some(Less), Some(Less), provider, "101", Dhcp6::Information);
            check(Some(Full), Some(Full), provider, "010", Dhcp6::Addresses);
            check(Some(Full), None, provider, "010", Dhcp6::Addresses);
            check(None, Some(Slaac), provider, "-", Dhcp6::Silent);
            check(None, Some(Less), provider, "-", Dhcp6::Information);
            check(None, Some(Full), provider, "-", Dhcp6::Addresses);
        }
        check(None, None, false, "010", Dhcp6::Addresses);
        check(None, None, true, "-", Dhcp6::Silent);
    }

    #[test]
    fn without_dhcp_a_subnet_is_only_told_of() {
        let told = |prefix, provider| {
            let subnet = subnet(prefix, (None, None), false);
            (
                subnet
                    .announced(provider)
                    .map(|a| (a.autonomous, a.managed)),
                subnet.dhcp6(provider),
            )
        };
        assert_eq!(
            told("2001:db8::/64", false),
            (Some((false, false)), Dhcp6::Silent)
        );
        assert_eq!(told("2001:db8::/64", true), (None, Dhcp6::Silent));
        assert_eq!(told("192.0.2.0/24", false), (None, Dhcp6::Silent));
    }
}
