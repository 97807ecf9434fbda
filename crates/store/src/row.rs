//! The rows of every table. A row is the domain type of its noun.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use model::{
    AddressGroupId, AddressMode, AddressScopeId, Advertising, AttachmentId, Chap, DomainId,
    FlavorId, FloatingIpId, GuestSeen, ImageFile, ImageId, Lifetimes, Mac, NetworkId, NodeFacts,
    NodeId, PortForwardingId, PortId, ProjectId, QosPolicyId, QosRuleId, RaMode, RbacPolicyId,
    RetiredPrefix, RoleId, Route, RouterId, RuleId, SecurityGroupId, ServerGroupId, ServerId,
    SubnetId, SubnetPoolId, TrunkId, UserData, UserId, VolumeId, VolumeSeen,
};

use crate::field::Json;
use crate::rows::rows;

/// Free keys and values that a client gave.
pub type Metadata = BTreeMap<String, String>;

rows! {
    /// An identity domain.
    Domain in "domain" as Domain {
        id: DomainId,
        name: String,
        description: String,
        enabled: bool,
    }
    /// An identity project.
    Project in "project" as Project {
        id: ProjectId,
        domain_id: DomainId,
        name: String,
        description: String,
        enabled: bool,
        parent_id: String,
        tags: Json<Vec<String>>,
    }
    /// An identity user.
    User in "user" as User {
        id: UserId,
        domain_id: DomainId,
        name: String,
        description: String,
        email: Option<String>,
        enabled: bool,
        default_project_id: Option<ProjectId>,
        /// A PHC string; `None`: no password, no login by password.
        password_hash: Option<String>,
        /// Tokens issued before this moment are void.
        tokens_after_ms: i64,
        created_ms: i64,
    }
    /// An identity role.
    Role in "role" as Role {
        id: RoleId,
        name: String,
        description: String,
    }
    /// A role that a user holds on a project, a domain or the system.
    Assignment in "assignment" as Role {
        /// `ROLE/USER/KIND/TARGET`: the other columns, so that there is one of each.
        id: String,
        role_id: RoleId,
        user_id: UserId,
        /// `project`, `domain` or `system`.
        target_kind: String,
        target_id: String,
    }
    /// An image; its data is a file with its id as the name.
    Image in "image" as Image {
        id: ImageId,
        owner: ProjectId,
        name: Option<String>,
        /// `queued`, `saving`, `active` or `killed`.
        status: String,
        /// `public`, `community`, `shared` or `private`.
        visibility: String,
        disk_format: Option<String>,
        container_format: Option<String>,
        size_bytes: Option<u64>,
        /// The size of the disk in the data: for raw data its own.
        virtual_size_bytes: Option<u64>,
        /// MD5, which old clients compare with.
        checksum: Option<String>,
        sha512: Option<String>,
        min_disk: u32,
        min_ram: u32,
        protected: bool,
        hidden: bool,
        properties: Json<Metadata>,
        tags: Json<Vec<String>>,
        created_ms: i64,
        updated_ms: i64,
    }
    /// A flavor.
    Flavor in "flavor" as Flavor {
        id: FlavorId,
        name: String,
        description: Option<String>,
        vcpus: u32,
        ram_mib: u32,
        disk_gib: u32,
        public: bool,
        extra_specs: Json<Metadata>,
    }
    /// A user's public key.
    Keypair in "keypair" as Keypair {
        /// `USER/NAME`.
        id: String,
        user_id: UserId,
        name: String,
        /// `ssh`.
        kind: String,
        public_key: String,
        fingerprint: String,
        created_ms: i64,
    }
    /// A network.
    Network in "network" as Network {
        id: NetworkId,
        project_id: ProjectId,
        name: String,
        description: String,
        enabled: bool,
        external: bool,
        mtu: u32,
        /// `flat`, `vlan` or `local`.
        network_type: String,
        physical_network: Option<String>,
        port_security: bool,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
        /// The domain of its ports' names, with the dot at its end; empty: the cloud's.
        dns_domain: String,
        /// Prefixes that hosts are to stop using.
        retired: Json<Vec<RetiredPrefix>>,
        /// Of external ones that which is taken where nobody names one.
        is_default: bool,
        /// For its ports that have none of their own.
        qos_policy_id: Option<QosPolicyId>,
        /// Of a `vlan` network: 1 to 4094.
        segmentation_id: Option<u32>,
    }
    /// A subnet.
    Subnet in "subnet" as Subnet {
        id: SubnetId,
        network_id: NetworkId,
        project_id: ProjectId,
        name: String,
        description: String,
        prefix: IpAddr,
        prefix_length: u32,
        gateway: Option<IpAddr>,
        enable_dhcp: bool,
        ra_mode: Json<Option<RaMode>>,
        address_mode: Json<Option<AddressMode>>,
        /// First and last address of each pool.
        pools: Json<Vec<(IpAddr, IpAddr)>>,
        dns_nameservers: Json<Vec<IpAddr>>,
        host_routes: Json<Vec<Route>>,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
        /// How long its addresses hold at a time.
        lifetimes: Json<Lifetimes>,
        /// Where a translator to IPv4 is (RFC 8781).
        pref64: Json<Option<Ipv6Net>>,
        /// The pool that its prefix is of.
        subnet_pool_id: Option<SubnetPoolId>,
    }
    /// A subnet pool.
    SubnetPool in "subnet_pool" as SubnetPool {
        id: SubnetPoolId,
        project_id: ProjectId,
        name: String,
        description: String,
        /// 4 or 6.
        version: u32,
        /// Without overlaps.
        prefixes: Json<Vec<IpNet>>,
        /// The lengths of prefixes that it gives, and of one that nobody said more of.
        min_length: u32,
        max_length: u32,
        default_length: u32,
        /// What one project may have: in addresses for IPv4, in `/64`s for IPv6.
        default_quota: Option<u32>,
        is_default: bool,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
        address_scope_id: Option<AddressScopeId>,
    }
    /// What lets others use something of a project's.
    RbacPolicy in "rbac_policy" as RbacPolicy {
        id: RbacPolicyId,
        project_id: ProjectId,
        /// What `object_id` is of, such as `network`.
        object_type: String,
        object_id: String,
        /// A project, or `*` for all.
        target: String,
        /// `access_as_shared` or `access_as_external`.
        action: String,
    }
    /// What was made for a project that asked for a network with a way out.
    AutoAllocatedTopology in "auto_allocated_topology" as AutoAllocatedTopology {
        project_id: ProjectId,
        network_id: NetworkId,
        router_id: Option<RouterId>,
    }
    /// A part of the address space in which no address is there twice.
    AddressScope in "address_scope" as AddressScope {
        id: AddressScopeId,
        project_id: ProjectId,
        name: String,
        /// 4 or 6.
        version: u32,
    }
    /// Rules for how fast ports send and receive, and how what they send is marked.
    QosPolicy in "qos_policy" as QosPolicy {
        id: QosPolicyId,
        project_id: ProjectId,
        name: String,
        description: String,
        /// Networks that the project makes have it unless they name another.
        is_default: bool,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
    }
    /// One rule of a policy: at most one of a kind for a direction.
    QosRule in "qos_rule" as QosRule {
        id: QosRuleId,
        qos_policy_id: QosPolicyId,
        /// `bandwidth_limit` or `dscp_marking`.
        kind: String,
        /// `ingress` or `egress`, which marks always are.
        direction: String,
        /// Of a limit, as the next one; 0: none.
        max_kbps: Option<u32>,
        /// 0: as much as is good for the rate.
        max_burst_kbps: Option<u32>,
        dscp_mark: Option<u32>,
    }
    /// A port.
    Port in "port" as Port {
        id: PortId,
        network_id: NetworkId,
        project_id: ProjectId,
        name: String,
        description: String,
        enabled: bool,
        mac: Mac,
        /// The server or router it belongs to; empty when none.
        device_id: String,
        device_owner: String,
        /// Its place among the server's ports.
        device_index: u32,
        /// Made with its server, so it goes with it.
        server_made: bool,
        /// The node it is bound to.
        node_id: Option<NodeId>,
        /// Desired: it is to leave its server, and does so when its node has unplugged it.
        detaching: bool,
        /// `ACTIVE` or `DOWN`.
        status: String,
        port_security: bool,
        allowed_address_pairs: Json<Vec<AddressPair>>,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
        /// In lower case; empty: it is called by its addresses.
        dns_name: String,
        /// The domain of its name; empty: its network's.
        dns_domain: String,
        /// Of a router's port: how it advertises.
        advertising: Json<Advertising>,
        /// Prefixes for what is behind the guest.
        delegated: Json<Vec<Ipv6Net>>,
        /// What DHCP tells beside what the subnets say.
        dhcp_options: Json<Vec<ExtraDhcpOption>>,
        /// The node that an administrator means it for, by name, until a server takes it to one.
        host: String,
        qos_policy_id: Option<QosPolicyId>,
    }
    /// A port whose card carries other ports as VLANs.
    Trunk in "trunk" as Trunk {
        id: TrunkId,
        project_id: ProjectId,
        name: String,
        description: String,
        port_id: PortId,
        /// Whether its subports may change.
        enabled: bool,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
    }
    /// A port that is a VLAN of another's card.
    Subport in "subport" as SubPort {
        port_id: PortId,
        trunk_id: TrunkId,
        /// 1 to 4094.
        vlan: u32,
    }
    /// An address that a port holds.
    Allocation in "allocation" as Port {
        /// `SUBNET/ADDRESS`: one holder for each address.
        id: String,
        subnet_id: SubnetId,
        address: IpAddr,
        port_id: PortId,
        network_id: NetworkId,
    }
    /// What the guest on a port was heard to use and ask.
    PortHeard in "port_heard" as Port {
        port_id: PortId,
        /// Observed.
        heard: Json<model::PortHeard>,
    }
    /// A port's membership in a security group.
    Membership in "membership" as Port {
        /// `PORT/GROUP`.
        id: String,
        port_id: PortId,
        security_group_id: SecurityGroupId,
    }
    /// A router.
    Router in "router" as Router {
        id: RouterId,
        project_id: ProjectId,
        name: String,
        description: String,
        enabled: bool,
        external_network_id: Option<NetworkId>,
        /// Whether IPv4 packets that leave by the gateway take its address.
        snat: bool,
        routes: Json<Vec<Route>>,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
        /// Whether the gateway answers neighbour solicitations for addresses behind the router.
        nd_proxy: bool,
    }
    /// A floating IP. It holds its address by a port of its own in the external network.
    FloatingIp in "floating_ip" as FloatingIp {
        id: FloatingIpId,
        project_id: ProjectId,
        description: String,
        /// The external network.
        network_id: NetworkId,
        address: IpAddr,
        /// The port that holds `address`.
        own_port_id: PortId,
        /// The port it stands for, that port's address, and the router between; all or none. One with
        /// port forwardings has the router alone.
        port_id: Option<PortId>,
        fixed_address: Option<IpAddr>,
        router_id: Option<RouterId>,
        /// `ACTIVE` when it stands for a port or has forwardings, else `DOWN`; stored so that lists can filter on it.
        status: String,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
        /// Both for the user alone: nobody answers for them.
        dns_name: String,
        dns_domain: String,
    }
    /// Ports of a floating IP that stand for ports of a guest.
    PortForwarding in "port_forwarding" as PortForwarding {
        id: PortForwardingId,
        floating_ip_id: FloatingIpId,
        /// The guest's port, and the address there.
        port_id: PortId,
        address: IpAddr,
        /// By its name, such as `tcp`.
        protocol: String,
        external_first: u16,
        external_last: u16,
        /// As many as outside, or one for all.
        internal_first: u16,
        internal_last: u16,
        description: String,
    }
    /// A security group.
    SecurityGroup in "security_group" as SecurityGroup {
        id: SecurityGroupId,
        project_id: ProjectId,
        name: String,
        description: String,
        stateful: bool,
        tags: Json<Vec<String>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
    }
    /// A rule of a security group.
    Rule in "security_group_rule" as SecurityGroupRule {
        id: RuleId,
        security_group_id: SecurityGroupId,
        project_id: ProjectId,
        description: String,
        /// `ingress` or `egress`.
        direction: String,
        /// `IPv6` or `IPv4`.
        ethertype: String,
        protocol: Option<String>,
        port_range_min: Option<u32>,
        port_range_max: Option<u32>,
        remote_ip_prefix: Option<String>,
        remote_group_id: Option<SecurityGroupId>,
        created_ms: i64,
        remote_address_group_id: Option<AddressGroupId>,
    }
    /// Prefixes that rules name together.
    AddressGroup in "address_group" as AddressGroup {
        id: AddressGroupId,
        project_id: ProjectId,
        name: String,
        description: String,
        /// In their order, each once.
        addresses: Json<Vec<IpNet>>,
        revision: u64,
        created_ms: i64,
        updated_ms: i64,
    }
    /// A server.
    Server in "server" as Server {
        id: ServerId,
        project_id: ProjectId,
        user_id: UserId,
        name: String,
        description: Option<String>,
        /// The node that runs it, once the scheduler has chosen.
        node_id: Option<NodeId>,
        flavor: Json<ServerFlavor>,
        /// The flavor's memory, processors and disk, which placement, quotas and hypervisors add up.
        ram_mib: u32,
        vcpus: u32,
        disk_gib: u32,
        flavor_id: FlavorId,
        image_id: Option<ImageId>,
        boot: Json<model::Boot>,
        key_name: Option<String>,
        public_keys: Json<Vec<(String, String)>>,
        user_data: Json<Option<UserData>>,
        /// It has a disk with its metadata: it asked for one, or has no IPv4 address.
        config_drive: bool,
        metadata: Json<Metadata>,
        /// Where its user says it is reached (`accessIPv4`, `accessIPv6`).
        access_v4: Option<IpAddr>,
        access_v6: Option<IpAddr>,
        availability_zone: String,
        /// Desired: `running` or `stopped`.
        power: Json<model::Power>,
        start_epoch: u64,
        reboot_epoch: u64,
        reboot: Json<model::Reboot>,
        deleting: bool,
        /// Volumes that were asked for with it are still being made: its node does not hear of it.
        waiting: bool,
        /// Observed: what the node last said.
        seen: Json<Option<GuestSeen>>,
        /// Why it failed before a node had it.
        fault: Option<String>,
        /// Made of the two sides by `model::status`, so that lists can filter on it.
        status: String,
        task_state: Option<String>,
        created_ms: i64,
        updated_ms: i64,
        /// Only an administrator changes it.
        locked: bool,
        /// `,a,,b,`: commas around each, so that a list can look for one whole.
        tags: String,
        /// The group it was made in.
        group_id: Option<ServerGroupId>,
        /// The same for servers that one request made.
        reservation_id: String,
        /// Its place among those.
        launch_index: u32,
        /// What its guest has told.
        password: Json<model::Password>,
    }
    /// A server as it is shown: without what only its node needs.
    ShownServer in "server" as Server {
        id: ServerId,
        project_id: ProjectId,
        user_id: UserId,
        name: String,
        description: Option<String>,
        node_id: Option<NodeId>,
        flavor_id: FlavorId,
        image_id: Option<ImageId>,
        key_name: Option<String>,
        config_drive: bool,
        metadata: Json<Metadata>,
        access_v4: Option<IpAddr>,
        access_v6: Option<IpAddr>,
        availability_zone: String,
        power: Json<model::Power>,
        seen: Json<Option<GuestSeen>>,
        fault: Option<String>,
        status: String,
        task_state: Option<String>,
        created_ms: i64,
        updated_ms: i64,
        locked: bool,
        tags: String,
        reservation_id: String,
        launch_index: u32,
    }
    /// A server in a list of names.
    ServerName in "server" as Server {
        id: ServerId,
        name: String,
    }
    /// A server in a server group.
    Member in "server" as Server {
        id: ServerId,
        group_id: Option<ServerGroupId>,
        node_id: Option<NodeId>,
    }
    /// Servers that are to share a node, or not to.
    ServerGroup in "server_group" as ServerGroup {
        id: ServerGroupId,
        project_id: ProjectId,
        user_id: UserId,
        name: String,
        /// `affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`.
        policy: String,
        created_ms: i64,
    }
    /// A volume.
    Volume in "volume" as Volume {
        id: VolumeId,
        project_id: ProjectId,
        user_id: UserId,
        name: String,
        description: Option<String>,
        /// Desired: what is served is in `seen`.
        size_gib: u32,
        /// The node that keeps it, once one was chosen.
        node_id: Option<NodeId>,
        /// What it is made of.
        image: Json<Option<VolumeImage>>,
        metadata: Json<Metadata>,
        availability_zone: String,
        bootable: bool,
        read_only: bool,
        deleting: bool,
        /// Observed: its data has been whole once.
        made: bool,
        /// Observed: what its node last said.
        seen: Json<Option<VolumeSeen>>,
        /// Why it failed before a node had it.
        fault: Option<String>,
        /// Made of the two sides by `model::volume_status`, so that lists can filter on it.
        status: String,
        created_ms: i64,
        updated_ms: i64,
    }
    /// A volume's attachment to a server. A volume has at most one.
    Attachment in "attachment" as Attachment {
        id: AttachmentId,
        volume_id: VolumeId,
        server_id: ServerId,
        /// Its place among the server's attachments.
        place: u64,
        /// `/dev/vdb`: what clients call it; the guest may call it otherwise.
        device: String,
        root: bool,
        read_only: bool,
        delete_on_termination: bool,
        chap: Json<Chap>,
        /// Desired: the server is to have it.
        wanted: bool,
        /// Observed: the server has had it.
        joined: bool,
        created_ms: i64,
    }
    /// Something that was asked of a server, and what came of it.
    ServerAction in "server_action" as ServerAction {
        /// `SERVER/REQUEST`.
        id: String,
        server_id: ServerId,
        request_id: String,
        user_id: UserId,
        project_id: ProjectId,
        /// The compute API's word: `create`, `attach_volume`.
        action: String,
        /// The attachment whose end this waits for; without one: the server's next settled state.
        attachment_id: Option<AttachmentId>,
        start_ms: i64,
        finish_ms: Option<i64>,
        /// Why it failed.
        failure: Option<String>,
        /// What is to be said of one that did not: nobody asked for it.
        note: Option<String>,
    }
    /// A limit that was set.
    Quota in "quota" as Quota {
        /// `OWNER/RESOURCE`.
        id: String,
        /// A project, `class/default` or `settings`.
        owner: String,
        resource: String,
        /// -1: no limit.
        most: i64,
    }
    /// A host that runs guests.
    Node in "node" as Node {
        id: NodeId,
        name: String,
        facts: Json<NodeFacts>,
        /// The generation it last said it had reached.
        reached: u64,
        /// When it was last heard before its connection ended.
        seen_ms: i64,
        /// What the compute API knows it by.
        number: u64,
    }
}

/// An image as it was when a volume was made of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VolumeImage {
    pub file: ImageFile,
    /// The image's own fields and properties, as the volume API shows them.
    pub metadata: Metadata,
}

/// A flavor as it was when a server was made of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ServerFlavor {
    pub id: String,
    pub name: String,
    pub vcpus: u32,
    pub ram_mib: u32,
    pub disk_gib: u32,
    pub extra_specs: Metadata,
}

/// An option of DHCP as a user gave it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ExtraDhcpOption {
    pub opt_name: String,
    pub opt_value: String,
    /// 4 or 6.
    pub ip_version: u32,
}

/// A further address a port may speak from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AddressPair {
    pub ip_address: String,
    pub mac_address: Option<Mac>,
}
