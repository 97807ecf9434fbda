//! The documents that nodes hear, made of the rows as they are.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use model::{
    AddressGroup, AddressGroupId, Attachment, Change, Desired, DhcpOption, Direction, Key, Mac,
    Network, NodeId, Peer, Port, PortId, PortName, Protocol, Result, Router, RouterPort, Rule,
    SecurityGroupId, Server, ServerId, Subnet, Volume,
};
use store::{Field, Query, Tx, Value, row};

use crate::{
    address_scope, attachment, floating_ip, port, qos, resolver, router, security_group, server,
    subnet, trunk, volume,
};

/// What a node should hear about a key: its document, or a tombstone when there is none for it.
pub(crate) fn change(tx: &Tx<'_>, node: NodeId, key: Key) -> Result<Change> {
    let document = match key {
        Key::Network(id) => tx
            .find(id.to_value())?
            .map(|n| network_document(tx, n))
            .transpose()?
            .map(Desired::Network),
        Key::Router(id) => tx
            .find(id.to_value())?
            .map(|r| router_document(tx, r))
            .transpose()?
            .map(Desired::Router),
        Key::AddressGroup(id) => group_document(tx, id)?.map(Desired::AddressGroup),
        Key::Port(id) => {
            let here = tx
                .find::<row::Port>(id.to_value())?
                .filter(|p| p.node_id == Some(node) && !p.detaching);
            here.map(|p| port_document(tx, p))
                .transpose()?
                .map(Desired::Port)
        }
        Key::PortName(id) => tx
            .find(id.to_value())?
            .map(|p| name_document(tx, p))
            .transpose()?
            .map(Desired::PortName),
        Key::Volume(id) => {
            let here = tx.find::<row::Volume>(id.to_value())?;
            let here = here.filter(|v| v.node_id == Some(node) && !v.deleting);
            here.map(|v| volume_document(tx, v))
                .transpose()?
                .map(Desired::Volume)
        }
        Key::Server(id) => {
            let here = tx.find::<row::Server>(id.to_value())?;
            let here = here.filter(|s| s.node_id == Some(node) && !s.deleting && !s.waiting);
            here.map(|s| server_document(tx, s))
                .transpose()?
                .map(|s| Desired::Server(Box::new(s)))
        }
    };
    Ok(Change { key, document })
}

/// Whether a record waits for a node to say that this is gone.
pub(crate) fn waits(tx: &Tx<'_>, node: NodeId, key: Key) -> Result<bool> {
    let (of, leaves) = match key {
        Key::Port(id) => match tx.find::<row::Port>(id.to_value())? {
            Some(port) => (port.node_id, port.detaching),
            None => return Ok(false),
        },
        Key::Volume(id) => match tx.find::<row::Volume>(id.to_value())? {
            Some(volume) => (volume.node_id, volume.deleting),
            None => return Ok(false),
        },
        Key::Server(id) => match tx.find::<row::Server>(id.to_value())? {
            Some(server) => (server.node_id, server.deleting),
            None => return Ok(false),
        },
        Key::Network(_) | Key::Router(_) | Key::AddressGroup(_) | Key::PortName(_) => {
            return Ok(false);
        }
    };
    Ok(of == Some(node) && leaves)
}

/// Every key a node must hear of when it knows nothing.
pub(crate) fn all_keys(tx: &Tx<'_>, node: NodeId) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    keys.extend(
        tx.list::<row::Network>(&Query::all())?
            .iter()
            .map(|n| Key::Network(n.id)),
    );
    keys.extend(
        tx.list::<row::Router>(&Query::all())?
            .iter()
            .map(|r| Key::Router(r.id)),
    );
    let groups = tx.list::<row::AddressGroup>(&Query::all())?;
    keys.extend(groups.iter().map(|g| Key::AddressGroup(g.id)));
    let here = Query::equal("node_id", node.to_value());
    let ports = tx.list::<row::Port>(&Query::all())?;
    keys.extend(ports.iter().map(|p| Key::PortName(p.id)));
    let ports = ports.iter().filter(|p| p.node_id == Some(node));
    keys.extend(ports.map(|p| Key::Port(p.id)));
    // Before servers: who logs in must be known first.
    keys.extend(
        tx.list::<row::Volume>(&here)?
            .iter()
            .map(|v| Key::Volume(v.id)),
    );
    keys.extend(
        tx.list::<row::Server>(&here)?
            .iter()
            .map(|s| Key::Server(s.id)),
    );
    Ok(keys)
}

fn network_document(tx: &Tx<'_>, network: row::Network) -> Result<Network> {
    let subnets = port::subnets_of(tx, &network.id)?;
    let resolver = resolver::addresses(tx, &network.id)?;
    let dns_domain = match network.dns_domain.is_empty() {
        true => tx.dns_domain()?,
        false => network.dns_domain,
    };
    let subnets = subnets.into_iter().map(|s| subnet_document(s, &resolver));
    Ok(Network {
        id: network.id,
        mtu: network.mtu,
        physical_network: network.physical_network,
        vlan: network.segmentation_id.and_then(|id| id.try_into().ok()),
        subnets: subnets.collect(),
        dns_domain,
        resolver: resolver.iter().map(|held| held.address).collect(),
        retired: network.retired.0,
    })
}

/// A subnet that names no resolver has its network's.
fn subnet_document(mut s: row::Subnet, resolver: &[row::Allocation]) -> Subnet {
    if s.dns_nameservers.0.is_empty() {
        let own = resolver.iter().filter(|held| held.subnet_id == s.id);
        s.dns_nameservers.0 = own.map(|held| held.address).collect();
    }
    Subnet {
        prefix: subnet::net(&s),
        id: s.id,
        gateway: s.gateway,
        enable_dhcp: s.enable_dhcp,
        ra_mode: s.ra_mode.0,
        address_mode: s.address_mode.0,
        dns_nameservers: s.dns_nameservers.0,
        host_routes: s.host_routes.0,
        lifetimes: s.lifetimes.0,
        pref64: s.pref64.0,
    }
}

fn router_document(tx: &Tx<'_>, router: row::Router) -> Result<Router> {
    let mut ports = Vec::new();
    for owner in [router::INTERFACE, router::GATEWAY] {
        for leg in router::legs(tx, &router.id, owner)? {
            let mut addresses = Vec::new();
            for held in port::view(tx, leg.clone())?.addresses {
                let s: row::Subnet = tx.get(&held.subnet_id)?;
                addresses.extend(IpNet::new(held.address, subnet::net(&s).prefix_len()));
            }
            ports.push(RouterPort {
                id: leg.id,
                network: leg.network_id,
                mac: leg.mac,
                addresses,
                external: owner == router::GATEWAY,
                advertising: leg.advertising.0,
                scopes: address_scope::scopes(tx, &leg.network_id)?,
            });
        }
    }
    Ok(Router {
        id: router.id,
        enabled: router.enabled,
        ports,
        routes: router.routes.0,
        default_nexthops: router::default_nexthops(tx, &router.id)?,
        snat: router.snat,
        floating_ips: floating_ip::of_router(tx, &router.id)?,
        forwardings: floating_ip::forwardings_of_router(tx, &router.id)?,
        nd_proxy: router.nd_proxy,
    })
}

/// An address group; `None` when no rule names it.
fn group_document(tx: &Tx<'_>, id: AddressGroupId) -> Result<Option<AddressGroup>> {
    if !tx.exists::<row::Rule>(Query::equal("remote_address_group_id", id.to_value()))? {
        return Ok(None);
    }
    let group: row::AddressGroup = tx.get(&id)?;
    let prefixes = IpNet::aggregate(&group.addresses.0);
    Ok(Some(AddressGroup { id, prefixes }))
}

fn port_document(tx: &Tx<'_>, row: row::Port) -> Result<Port> {
    let view = port::view(tx, row)?;
    let row = view.port;
    let network: row::Network = tx.get(&row.network_id)?;
    let pairs = row.allowed_address_pairs.0.iter();
    let macs = pairs.clone().filter_map(|pair| pair.mac_address);
    let macs: BTreeSet<Mac> = macs.filter(|mac| *mac != row.mac).collect();
    let qos = qos::of_port(tx, &row, &network)?;
    let groups = security_group::of_ids(tx, &view.security_groups)?;
    let mut names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    names.sort();
    let subport = trunk::document(tx, &row)?;
    Ok(Port {
        id: row.id,
        network: row.network_id,
        mac: row.mac,
        enabled: row.enabled && network.enabled,
        addresses: view.addresses.iter().map(|a| a.address).collect(),
        port_security: row.port_security,
        allowed_macs: macs.into_iter().collect(),
        allowed_prefixes: pairs.filter_map(|p| parse_prefix(&p.ip_address)).collect(),
        rules: rules(tx, &view.security_groups)?,
        stateless: groups.iter().any(|group| !group.stateful),
        server: row
            .device_id
            .parse()
            .ok()
            .filter(|_| row.device_owner.starts_with("compute:")),
        delegated: row.delegated.0,
        dhcp_options: dhcp_options(&row.dhcp_options.0),
        subport,
        security_groups: names,
        qos,
    })
}

fn name_document(tx: &Tx<'_>, row: row::Port) -> Result<PortName> {
    let held: Vec<row::Allocation> = tx.list(&Query::equal("port_id", row.id.to_value()))?;
    let pairs = row.allowed_address_pairs.0.iter();
    let paired = pairs.filter_map(|pair| parse_prefix(&pair.ip_address));
    let single = paired.filter(|net| net.prefix_len() == net.max_prefix_len());
    Ok(PortName {
        paired: single.map(|net| net.addr()).collect(),
        id: row.id,
        network: row.network_id,
        dns_name: row.dns_name,
        dns_domain: row.dns_domain,
        addresses: held.iter().map(|held| held.address).collect(),
        groups: port::groups_of(tx, &row.id)?,
    })
}

/// What cannot be read says nothing.
fn dhcp_options(options: &[row::ExtraDhcpOption]) -> Vec<DhcpOption> {
    let documents = options.iter().map(port::dhcp_option);
    documents
        .filter_map(|option| option.ok().flatten())
        .collect()
}

/// A prefix, or a single address.
pub(crate) fn parse_prefix(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn rules(tx: &Tx<'_>, groups: &[SecurityGroupId]) -> Result<Vec<Rule>> {
    let ids: Vec<Value> = groups.iter().map(Field::to_value).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<row::Rule> = tx.list(&Query::all().one_of("security_group_id", ids))?;
    let mut rules: Vec<Rule> = rows.into_iter().filter_map(rule_document).collect();
    rules.sort();
    rules.dedup();
    Ok(rules)
}

/// A rule as nodes know it. One that cannot be read allows nothing.
fn rule_document(rule: row::Rule) -> Option<Rule> {
    let prefix = rule.remote_ip_prefix.as_deref();
    let peer = match (prefix, rule.remote_group_id, rule.remote_address_group_id) {
        (Some(prefix), _, _) => Some(Peer::Prefix(parse_prefix(prefix)?.trunc())),
        (None, Some(group), _) => Some(Peer::Group(group)),
        (None, None, Some(group)) => Some(Peer::Addresses(group)),
        (None, None, None) => None,
    };
    let port = |n: u32| u16::try_from(n).ok();
    let range = match rule.port_range_min {
        Some(min) => Some((
            port(min)?,
            rule.port_range_max.map(port).unwrap_or_default(),
        )),
        None => None,
    };
    let protocol = match &rule.protocol {
        Some(name) => Some(protocol(name)?),
        None => None,
    };
    let direction = match rule.direction.as_str() {
        "ingress" => Direction::Ingress,
        _ => Direction::Egress,
    };
    let ipv6 = rule.ethertype == "IPv6";
    Some(Rule {
        direction,
        protocol,
        range,
        peer,
        ipv6,
    })
}

fn protocol(name: &str) -> Option<Protocol> {
    Some(match name {
        "tcp" | "6" => Protocol::Tcp,
        "udp" | "17" => Protocol::Udp,
        "ipv6-icmp" | "icmpv6" | "58" => Protocol::Icmpv6,
        "icmp" | "1" => Protocol::Icmp,
        "sctp" | "132" => Protocol::Sctp,
        "dccp" => Protocol::Number(33),
        "gre" => Protocol::Number(47),
        "esp" => Protocol::Number(50),
        "ah" => Protocol::Number(51),
        "vrrp" => Protocol::Number(112),
        "udplite" => Protocol::Number(136),
        number => Protocol::Number(number.parse().ok()?),
    })
}

fn volume_document(tx: &Tx<'_>, row: row::Volume) -> Result<Volume> {
    let attachment = volume::attachment_of(tx, &row.id)?;
    Ok(Volume {
        id: row.id,
        size_gib: row.size_gib,
        image: row.image.0.map(|image| image.file),
        target: volume::target(&row.id),
        chaps: attachment.into_iter().map(|a| a.chap.0).collect(),
        made: row.made,
    })
}

/// The volumes that a server is to have, and where they are.
fn attachments(tx: &Tx<'_>, server: &ServerId) -> Result<Vec<Attachment>> {
    let mut found = Vec::new();
    for held in attachment::of_server(tx, server)? {
        let volume: row::Volume = tx.get(&held.volume_id)?;
        let keeper = match volume.node_id {
            Some(node) => tx.node(node)?,
            None => None,
        };
        if let Some(keeper) = keeper.filter(|_| held.wanted) {
            found.push(Attachment {
                id: held.id,
                volume: held.volume_id,
                portals: keeper.facts.0.portals,
                target: volume::target(&held.volume_id),
                chap: held.chap.0,
                root: held.root,
                read_only: held.read_only,
                device: held.device,
            });
        }
    }
    Ok(found)
}

fn server_document(tx: &Tx<'_>, row: row::Server) -> Result<Server> {
    let ports: Vec<PortId> = server::ports_of(tx, &row.id)?
        .into_iter()
        .filter(|p| !p.detaching)
        .map(|p| p.id)
        .collect();
    Ok(Server {
        hostname: server::hostname(&row.name, &row.id),
        id: row.id,
        name: row.name,
        project: row.project_id,
        power: row.power.0,
        start_epoch: row.start_epoch,
        reboot_epoch: row.reboot_epoch,
        reboot: row.reboot.0,
        vcpus: row.flavor.0.vcpus,
        ram_mib: row.flavor.0.ram_mib,
        disk_gib: row.flavor.0.disk_gib,
        boot: row.boot.0,
        ports,
        availability_zone: row.availability_zone,
        public_keys: row.public_keys.0,
        user_data: row.user_data.0,
        metadata: row.metadata.0.into_iter().collect(),
        created_ms: row.created_ms,
        attachments: attachments(tx, &row.id)?,
        config_drive: row.config_drive,
        flavor: row.flavor.0.name,
        reservation: row.reservation_id,
        launch_index: row.launch_index,
        password: row.password.0,
    })
}
