//! Servers: what is wanted of them, and how a client sees them.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use model::{
    Boot, Caller, Error, ImageFile, ImageId, Key, Kind, NetworkId, NodeId, PortId, Power,
    ProjectId, Reboot, Result, Scope, SecurityGroupId, Seen, ServerId, UserData, Wish,
};
use store::{Field, Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::port::{self, FixedIp, NewPort, PortView};
use crate::{Cloud, flavor, image, keypair, network, now_ms, security_group};

/// The most user data a server takes, in octets before base64.
pub(crate) const MAX_USER_DATA: usize = 65_535;
const DEFAULT_ZONE: &str = "nova";

/// As many as have a place on a guest's first PCI bus.
const MAX_NETWORKS: usize = 26;
/// Characters that an image may add to the kernel's command line, which holds 2048 in all.
const MAX_KERNEL_ARGUMENTS: usize = 1024;

/// A network interface a request asks for.
#[derive(Clone, Debug)]
pub enum ServerNetwork {
    /// A new port on a network.
    Network(NetworkId, Option<Ipv6Addr>),
    /// A port made before.
    Port(PortId),
}

/// What a list of servers can ask for beside columns.
#[derive(Clone, Debug, Default)]
pub struct ServerFilter {
    pub name: Option<NamePattern>,
    /// A fixed address it holds.
    pub address: Option<Ipv6Addr>,
    /// The name of the node it is on.
    pub node: Option<String>,
}

/// Text that a name holds, begins with, ends with, or is.
#[derive(Clone, Debug)]
pub struct NamePattern {
    pub text: String,
    pub begins: bool,
    pub ends: bool,
}

impl ServerFilter {
    fn narrow(&self, mut query: Query) -> Query {
        if let Some(pattern) = self.name.as_ref().filter(|p| !p.text.is_empty()) {
            // Neither engine's LIKE is the other's; these words mean the same to both.
            let (condition, count) = match (pattern.begins, pattern.ends) {
                (true, true) => ("t.name = ?", 1),
                (true, false) => ("substr(t.name, 1, length(?)) = ?", 2),
                (false, true) => (
                    "length(t.name) >= length(?) AND substr(t.name, length(t.name) - length(?) + 1) = ?",
                    3,
                ),
                (false, false) => ("replace(t.name, ?, '') <> t.name", 1),
            };
            query = query.matching(condition, vec![Value::Text(pattern.text.clone()); count]);
        }
        if let Some(address) = self.address {
            let condition = "t.id IN (SELECT p.device_id FROM port p JOIN allocation a ON a.port_id = p.id WHERE a.address = ?)";
            query = query.matching(condition, vec![address.to_value()]);
        }
        if let Some(node) = &self.node {
            let condition = "t.node_id IN (SELECT n.id FROM node n WHERE n.name = ?)";
            query = query.matching(condition, vec![Value::Text(node.clone())]);
        }
        query
    }
}

/// A server to make.
#[derive(Clone, Debug)]
pub struct NewServer {
    pub name: String,
    pub description: Option<String>,
    pub image: ImageId,
    pub flavor: String,
    /// `None`: the project's network, if it has just one.
    pub networks: Option<Vec<ServerNetwork>>,
    /// Names or ids; empty means `default`.
    pub security_groups: Vec<String>,
    pub key_name: Option<String>,
    pub user_data: Option<UserData>,
    pub metadata: row::Metadata,
    pub availability_zone: Option<String>,
    /// How many to make, at least one.
    pub count: u32,
}

/// What a client asks of a server's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAction {
    Start,
    Stop,
    Reboot(Reboot),
}

/// A server with its ports.
#[derive(Clone, Debug)]
pub struct ServerView {
    pub server: row::Server,
    /// In the order in which the guest sees them, with the names of their networks.
    pub ports: Vec<(PortView, String)>,
    /// Names of its ports' security groups, in no special order.
    pub security_groups: Vec<String>,
    pub node_name: Option<String>,
}

impl Cloud {
    /// A server the caller may see.
    pub fn get_server(&self, caller: &Caller, id: &ServerId) -> Result<ServerView> {
        self.store().read(|tx| {
            let server = visible(tx, caller, id)?;
            views(tx, vec![server])?
                .pop()
                .ok_or_else(|| Error::not_found(Kind::Server, id))
        })
    }

    /// The servers the caller may see; of all projects only when an administrator asks for them.
    pub fn list_servers(
        &self,
        caller: &Caller,
        page: &Page,
        filter: &ServerFilter,
        all_projects: bool,
    ) -> Result<Vec<ServerView>> {
        let mut page = page.clone();
        if page.order.is_empty() {
            page.order = vec![("created_ms".into(), store::Order::Descending)];
        }
        let mut query = filter.narrow(page.query::<row::Server>()?);
        if !(all_projects && caller.is_admin()) {
            let project = match &caller.scope {
                Scope::Project(project) => project.to_value(),
                _ => Value::Null,
            };
            query = query.seen_by("project_id", project);
        }
        self.store().read(|tx| {
            let servers = list::run(tx, &query)?;
            views(tx, servers)
        })
    }

    /// New servers with their ports, placed on a node, in one transaction.
    pub fn create_servers(&self, caller: &Caller, new: &NewServer) -> Result<Vec<row::Server>> {
        caller.require_member()?;
        check(new)?;
        self.store().write(|tx| {
            (0..new.count.max(1))
                .map(|n| self.create_one(tx, caller, new, n))
                .collect()
        })
    }

    /// Changes the name or the description.
    pub fn update_server(
        &self,
        caller: &Caller,
        id: &ServerId,
        name: Option<String>,
        description: Option<Option<String>>,
    ) -> Result<ServerView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = visible(tx, caller, id)?;
            if let Some(name) = &name {
                list::check_required_name("name", name)?;
                server.name.clone_from(name);
            }
            if let Some(description) = &description {
                server.description.clone_from(description);
            }
            save(tx, &mut server)?;
            views(tx, vec![server])?
                .pop()
                .ok_or_else(|| Error::not_found(Kind::Server, id))
        })
    }

    /// Wants a server gone. It vanishes when its node has taken it away.
    pub fn delete_server(&self, caller: &Caller, id: &ServerId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = visible(tx, caller, id)?;
            match server.node_id {
                None => remove(tx, &server),
                Some(_) => {
                    server.deleting = true;
                    save(tx, &mut server)
                }
            }
        })
    }

    /// Wants a server started, stopped or rebooted.
    ///
    /// # Errors
    /// `Conflict` when its state does not allow that, or while something else is being done.
    pub fn act_on_server(
        &self,
        caller: &Caller,
        id: &ServerId,
        action: ServerAction,
    ) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut server = visible(tx, caller, id)?;
            wish_for(&mut server, action)?;
            save(tx, &mut server)
        })
    }

    /// The newest lines of a server's console: the one question that waits for a node, because
    /// only the node holds the answer.
    pub async fn console(
        &self,
        caller: &Caller,
        id: &ServerId,
        lines: Option<usize>,
    ) -> Result<String> {
        caller.require_member()?;
        let server = self.store().read(|tx| visible(tx, caller, id))?;
        let node = server.node_id.ok_or_else(|| not_ready(id))?;
        let started = server
            .seen
            .0
            .as_ref()
            .is_some_and(|seen| seen.started_epoch > 0);
        if !started {
            return Err(not_ready(id));
        }
        self.inner.nodes.console(node, *id, lines).await
    }

    /// The servers placed on a node.
    pub fn servers_on(&self, node: NodeId) -> Result<Vec<row::Server>> {
        self.store()
            .read(|tx| tx.list(&Query::equal("node_id", node.to_value())))
    }

    /// The servers of the caller's project.
    pub fn servers_of(&self, caller: &Caller) -> Result<Vec<row::Server>> {
        let project = caller.project()?;
        self.store()
            .read(|tx| tx.list(&Query::equal("project_id", project.to_value())))
    }

    /// Takes in what a node saw, in one transaction.
    pub(crate) fn observe(&self, node: NodeId, seen: &[Seen]) -> Result<()> {
        self.store()
            .write(|tx| seen.iter().try_for_each(|one| take_in(tx, node, one)))
    }

    fn create_one(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        new: &NewServer,
        n: u32,
    ) -> Result<row::Server> {
        let project = caller.project()?.clone();
        let flavor = flavor::usable(tx, caller, &new.flavor)?;
        let boot = boot_of(tx, caller, &new.image, &flavor)?;
        let zone = new
            .availability_zone
            .clone()
            .unwrap_or_else(|| DEFAULT_ZONE.into());
        if zone != DEFAULT_ZONE {
            return Err(Error::invalid(format!(
                "The requested availability zone '{zone}' is not available: this cloud has one, {DEFAULT_ZONE}"
            )));
        }
        let now = now_ms();
        let placed = self.inner.nodes.place(tx, flavor.ram_mib)?;
        let mut server = row::Server {
            id: ServerId::random(),
            project_id: project,
            user_id: caller.user.clone(),
            name: if new.count > 1 {
                format!("{}-{}", new.name, n + 1)
            } else {
                new.name.clone()
            },
            description: new.description.clone(),
            node_id: placed.as_ref().ok().copied(),
            ram_mib: flavor.ram_mib,
            flavor_id: flavor.id.clone(),
            flavor: Json(row::ServerFlavor {
                id: flavor.id.0.clone(),
                name: flavor.name.clone(),
                vcpus: flavor.vcpus,
                ram_mib: flavor.ram_mib,
                disk_gib: flavor.disk_gib,
                extra_specs: flavor.extra_specs.0.clone(),
            }),
            image_id: Some(new.image),
            boot: Json(boot),
            key_name: new.key_name.clone(),
            public_keys: Json(public_keys(tx, caller, new.key_name.as_deref())?),
            user_data: Json(new.user_data.clone()),
            metadata: Json(new.metadata.clone()),
            availability_zone: zone,
            power: Json(Power::Running),
            start_epoch: 1,
            reboot_epoch: 0,
            reboot: Json(Reboot::Soft),
            deleting: false,
            seen: Json(None),
            fault: placed.err(),
            status: String::new(),
            task_state: None,
            created_ms: now,
            updated_ms: now,
        };
        set_status(&mut server);
        tx.insert(&server)?;
        attach_ports(tx, caller, &server, new)?;
        tx.touch(Key::Server(server.id))?;
        Ok(server)
    }
}

/// A server's ports in the guest's order.
pub(crate) fn ports_of(tx: &Tx<'_>, id: &ServerId) -> Result<Vec<row::Port>> {
    let mut ports: Vec<row::Port> =
        tx.list(&Query::equal("device_id", Value::Text(id.to_string())))?;
    ports.retain(|p| p.device_owner.starts_with("compute:"));
    ports.sort_by_key(|p| p.device_index);
    Ok(ports)
}

/// A name for a node that tells a project when two of its servers share one, and nothing else.
pub fn host_id(project: &ProjectId, node: NodeId) -> String {
    use sha2::{Digest, Sha224};
    image::hex(&Sha224::digest(format!("{project}{node}")))
}

/// A host name (RFC 1123) made of a server's name.
pub(crate) fn hostname(name: &str, id: &ServerId) -> String {
    let spaced = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let joined: String = spaced.collect();
    let parts: Vec<_> = joined.split('-').filter(|part| !part.is_empty()).collect();
    let mut host = parts.join("-");
    host.truncate(63);
    match host.trim_end_matches('-') {
        "" => format!("server-{id}"),
        host => host.to_owned(),
    }
}

fn check(new: &NewServer) -> Result<()> {
    list::check_required_name("name", &new.name)?;
    if new
        .user_data
        .as_ref()
        .is_some_and(|d| d.0.len() > MAX_USER_DATA)
    {
        return Err(Error::invalid(format!(
            "user_data is too long: at most {MAX_USER_DATA} octets are allowed"
        )));
    }
    if new.metadata.len() > 128 {
        return Err(Error::Forbidden(
            "Maximum number of metadata items exceeds 128".into(),
        ));
    }
    for (key, value) in &new.metadata {
        list::check_required_name("a metadata key", key)?;
        list::check_name("a metadata value", value)?;
    }
    if new
        .networks
        .as_ref()
        .is_some_and(|n| n.len() > MAX_NETWORKS)
    {
        return Err(Error::invalid(format!(
            "a server takes at most {MAX_NETWORKS} networks"
        )));
    }
    if let Some(description) = &new.description {
        list::check_name("description", description)?;
    }
    if new.count > 100 {
        return Err(Error::invalid("at most 100 servers can be made at once"));
    }
    Ok(())
}

fn public_keys(tx: &Tx<'_>, caller: &Caller, name: Option<&str>) -> Result<Vec<(String, String)>> {
    let Some(name) = name else {
        return Ok(Vec::new());
    };
    let key = keypair::find(tx, caller, name)?;
    let key = key.ok_or_else(|| Error::invalid("Invalid key_name provided."))?;
    Ok(vec![(key.name, key.public_key)])
}

/// What a server boots from, once the image is known to be usable.
fn boot_of(tx: &Tx<'_>, caller: &Caller, id: &ImageId, flavor: &row::Flavor) -> Result<Boot> {
    let usable = |id: &ImageId| -> Result<row::Image> {
        let image = image::visible(tx, caller, id)
            .map_err(|_| Error::invalid(format!("Image {id} could not be found.")))?;
        match image.status.as_str() {
            "active" => Ok(image),
            other => Err(Error::invalid(format!(
                "Image {id} is not active: it is {other}."
            ))),
        }
    };
    let disk = usable(id)?;
    if disk.min_ram > flavor.ram_mib {
        return Err(Error::invalid(
            "Flavor's memory is too small for requested image.",
        ));
    }
    let least = u64::from(disk.min_disk).max(disk.size_bytes.unwrap_or(0).div_ceil(1 << 30));
    if flavor.disk_gib > 0 && least > u64::from(flavor.disk_gib) {
        return Err(Error::invalid(format!(
            "Flavor's disk is too small for requested image: {} GiB, and the image needs {least} GiB.",
            flavor.disk_gib
        )));
    }
    let part = |name: &str| -> Result<Option<ImageFile>> {
        let Some(text) = disk.properties.0.get(name) else {
            return Ok(None);
        };
        let id = text.parse().map_err(|_| {
            Error::invalid(format!(
                "Image {id}: property {name} '{text}' is not the id of an image"
            ))
        })?;
        usable(&id).and_then(|i| image_file(&i)).map(Some)
    };
    if matches!(disk.disk_format.as_deref(), Some("aki" | "ari")) {
        return Err(Error::invalid(format!(
            "Image {id} is a kernel or a ramdisk: boot the image whose kernel_id and ramdisk_id name it"
        )));
    }
    Ok(Boot {
        kernel: part("kernel_id")?,
        ramdisk: part("ramdisk_id")?,
        kernel_args: kernel_arguments(&disk)?,
        disk: image_file(&disk)?,
    })
}

fn kernel_arguments(image: &row::Image) -> Result<String> {
    let text = image
        .properties
        .0
        .get("os_command_line")
        .cloned()
        .unwrap_or_default();
    match text.len() > MAX_KERNEL_ARGUMENTS || text.chars().any(char::is_control) {
        true => Err(Error::invalid(format!(
            "Image {}: property os_command_line must be one line of at most {MAX_KERNEL_ARGUMENTS} characters",
            image.id
        ))),
        false => Ok(text),
    }
}

fn image_file(image: &row::Image) -> Result<ImageFile> {
    let no_data = || {
        Error::internal(
            "reading an image's record",
            "an active image without size or checksum",
        )
    };
    Ok(ImageFile {
        id: image.id,
        size_bytes: image.size_bytes.ok_or_else(no_data)?,
        sha512: image.sha512.clone().ok_or_else(no_data)?,
        disk_format: image.disk_format.clone().unwrap_or_default(),
    })
}

fn attach_ports(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    new: &NewServer,
) -> Result<()> {
    let mut groups = Vec::new();
    for name in &new.security_groups {
        groups.push(security_group::by_name_or_id(tx, caller, name)?);
    }
    let networks = match &new.networks {
        Some(networks) => networks.clone(),
        None => default_network(tx, &server.project_id)?,
    };
    for (index, wish) in (0..).zip(networks) {
        let mut port = match wish {
            ServerNetwork::Network(id, address) => {
                new_port(tx, caller, server, &id, address, &groups)?
            }
            ServerNetwork::Port(id) => given_port(tx, caller, &id)?,
        };
        port.device_id = server.id.to_string();
        port.device_owner = format!("compute:{}", server.availability_zone);
        port.device_index = index;
        port.node_id = server.node_id;
        tx.update(&port)?;
        port::touch(tx, &port.id)?;
    }
    Ok(())
}

fn default_network(tx: &Tx<'_>, project: &ProjectId) -> Result<Vec<ServerNetwork>> {
    let own = Query::equal("project_id", project.to_value()).and("external", Value::Integer(0));
    let own: Vec<row::Network> = tx.list(&own)?;
    match own.as_slice() {
        [] => Ok(Vec::new()),
        [one] => Ok(vec![ServerNetwork::Network(one.id, None)]),
        _ => Err(Error::conflict(
            "Multiple possible networks found, use a Network ID to be more specific.",
        )),
    }
}

fn new_port(
    tx: &mut Tx<'_>,
    caller: &Caller,
    server: &row::Server,
    id: &NetworkId,
    address: Option<Ipv6Addr>,
    groups: &[SecurityGroupId],
) -> Result<row::Port> {
    let network = network::visible(tx, caller, id)
        .map_err(|_| Error::invalid(format!("Network {id} could not be found.")))?;
    if network.external && !network.shared && !caller.is_admin() {
        return Err(Error::Forbidden(format!(
            "It is not allowed to create an interface on external network {id}"
        )));
    }
    let subnets = port::subnets_of(tx, id)?;
    if subnets.is_empty() {
        return Err(Error::invalid(format!(
            "Network {id} requires a subnet in order to boot instances on."
        )));
    }
    let new = NewPort {
        network: Some(*id),
        project: Some(server.project_id.clone()),
        fixed_ips: address.map(|a| {
            vec![FixedIp {
                subnet: None,
                address: Some(a),
            }]
        }),
        security_groups: (!groups.is_empty() && network.port_security).then(|| groups.to_vec()),
        ..NewPort::default()
    };
    let mut port = port::insert(tx, caller, &network, &new)?.port;
    port.server_made = true;
    Ok(port)
}

fn given_port(tx: &Tx<'_>, caller: &Caller, id: &PortId) -> Result<row::Port> {
    let port = port::visible(tx, caller, id)
        .map_err(|_| Error::invalid(format!("Port {id} could not be found.")))?;
    // The owner of a network sees the ports of others on it; they are not its to use.
    if port.project_id != *caller.project()? {
        return Err(Error::invalid(format!(
            "Port {id} is not usable for this project's servers."
        )));
    }
    match port.device_id.is_empty() {
        true => Ok(port),
        false => Err(Error::conflict(format!("Port {id} is still in use."))),
    }
}

fn wish_for(server: &mut row::Server, action: ServerAction) -> Result<()> {
    let state = server.status.clone();
    let no = |verb: &str| {
        Err(Error::conflict(format!(
            "Cannot '{verb}' instance {} while it is in vm_state {}",
            server.id,
            vm_state(&state)
        )))
    };
    // A hard reboot is how a client helps a guest that does not answer a soft one.
    let insists = action == ServerAction::Reboot(Reboot::Hard) && state == "REBOOT";
    if let Some(task) = server
        .task_state
        .as_ref()
        .filter(|_| !insists || server.deleting)
    {
        return Err(Error::conflict(format!(
            "Instance {} is busy: its task_state is {task}",
            server.id
        )));
    }
    match (action, state.as_str()) {
        (ServerAction::Start, "SHUTOFF")
        | (ServerAction::Reboot(Reboot::Hard), "SHUTOFF" | "ERROR") => {
            server.power.0 = Power::Running;
            server.start_epoch += 1;
        }
        (ServerAction::Start, _) => return no("start"),
        (ServerAction::Stop, "ACTIVE" | "ERROR") => server.power.0 = Power::Stopped,
        (ServerAction::Stop, _) => return no("stop"),
        (ServerAction::Reboot(how), "ACTIVE" | "REBOOT") => {
            server.reboot_epoch += 1;
            server.reboot.0 = how;
        }
        (ServerAction::Reboot(_), _) => return no("reboot"),
    }
    if server.node_id.is_none() {
        return Err(Error::conflict(format!(
            "Instance {} was never placed on a node: delete it and make it again",
            server.id
        )));
    }
    Ok(())
}

/// The compute API's word for a settled status.
pub fn vm_state(status: &str) -> &'static str {
    match status {
        "ACTIVE" | "REBOOT" | "HARD_REBOOT" => "active",
        "SHUTOFF" => "stopped",
        "ERROR" => "error",
        _ => "building",
    }
}

/// Writes a changed server, and what follows: its status, and the node's document.
fn save(tx: &mut Tx<'_>, server: &mut row::Server) -> Result<()> {
    server.updated_ms = now_ms();
    set_status(server);
    tx.update(server)?;
    tx.touch(Key::Server(server.id))
}

fn set_status(server: &mut row::Server) {
    let wish = Wish {
        power: server.power.0,
        start_epoch: server.start_epoch,
        reboot_epoch: server.reboot_epoch,
        hard_reboot: server.reboot.0 == Reboot::Hard,
        deleting: server.deleting,
    };
    let (status, task) = model::status(wish, server.seen.0.as_ref(), server.fault.is_some());
    server.status = status.as_str().to_owned();
    server.task_state = task.map(str::to_owned);
}

fn take_in(tx: &mut Tx<'_>, node: NodeId, seen: &Seen) -> Result<()> {
    match seen {
        Seen::Guest(guest) => {
            let Some(mut server) = server_on(tx, node, &guest.server)? else {
                return Ok(());
            };
            if server.seen.0.as_ref() == Some(guest) {
                return Ok(());
            }
            server.seen.0 = Some(guest.clone());
            server.updated_ms = now_ms();
            set_status(&mut server);
            // Observed facts are no news for the node that reported them.
            tx.update(&server)
        }
        Seen::GuestGone(id) => match server_on(tx, node, id)? {
            Some(server) if server.deleting => remove(tx, &server),
            _ => Ok(()),
        },
        Seen::Port(port) => set_port_status(
            tx,
            node,
            &port.port,
            if port.up { "ACTIVE" } else { "DOWN" },
        ),
        Seen::PortGone(id) => set_port_status(tx, node, id, "DOWN"),
    }
}

fn server_on(tx: &Tx<'_>, node: NodeId, id: &ServerId) -> Result<Option<row::Server>> {
    let server: Option<row::Server> = tx.find(id.to_value())?;
    Ok(server.filter(|s| s.node_id == Some(node)))
}

fn set_port_status(tx: &mut Tx<'_>, node: NodeId, id: &PortId, status: &str) -> Result<()> {
    let Some(mut port) = tx.find::<row::Port>(id.to_value())? else {
        return Ok(());
    };
    // A router's legs are bound to no node: each that has them says how they are.
    let theirs = port.node_id == Some(node) || port.device_owner.starts_with("network:router");
    if !theirs || port.status == status {
        return Ok(());
    }
    port.status = status.to_owned();
    tx.update(&port)
}

/// Takes a server's record away, with the ports made for it; ports of the user's own stay, free.
fn remove(tx: &mut Tx<'_>, server: &row::Server) -> Result<()> {
    for mut port in ports_of(tx, &server.id)? {
        if port.server_made {
            port::remove(tx, &port)?;
            continue;
        }
        port.device_id = String::new();
        port.device_owner = String::new();
        port.node_id = None;
        port.status = "DOWN".into();
        tx.update(&port)?;
        port::touch(tx, &port.id)?;
    }
    tx.delete::<row::Server>(&server.id)?;
    tx.touch(Key::Server(server.id))
}

fn visible(tx: &Tx<'_>, caller: &Caller, id: &ServerId) -> Result<row::Server> {
    let server: row::Server = tx.get(id)?;
    list::seen(caller.sees(&server.project_id), server, Kind::Server, id)
}

fn not_ready(id: &ServerId) -> Error {
    Error::conflict(format!(
        "Instance {id} is not ready: it has not been started yet"
    ))
}

/// Joins servers with their ports, in a fixed number of statements however many there are.
fn views(tx: &Tx<'_>, servers: Vec<row::Server>) -> Result<Vec<ServerView>> {
    let ids: Vec<Value> = servers.iter().map(|s| s.id.to_value()).collect();
    let mut ports: Vec<row::Port> = tx.list(&Query::all().one_of("device_id", ids))?;
    ports.retain(|p| p.device_owner.starts_with("compute:"));
    ports.sort_by_key(|p| p.device_index);
    let networks =
        names::<row::Network, _>(tx, ports.iter().map(|p| p.network_id), |n| (n.id, n.name))?;
    let joined = port::views(tx, ports)?;
    let groups = joined.iter().flat_map(|p| p.security_groups.clone());
    let groups = names::<row::SecurityGroup, _>(tx, groups, |g| (g.id, g.name))?;
    let nodes = names::<row::Node, _>(tx, servers.iter().filter_map(|s| s.node_id), |n| {
        (n.id, n.name)
    })?;
    let mut of_server: HashMap<String, Vec<PortView>> = HashMap::new();
    for view in joined {
        of_server
            .entry(view.port.device_id.clone())
            .or_default()
            .push(view);
    }
    let join = |server: row::Server| {
        let ports = of_server.remove(&server.id.to_string()).unwrap_or_default();
        let mut names: Vec<_> = ports
            .iter()
            .flat_map(|p| &p.security_groups)
            .filter_map(|g| groups.get(g).cloned())
            .collect();
        names.sort();
        names.dedup();
        let named = |p: PortView| {
            (
                networks
                    .get(&p.port.network_id)
                    .cloned()
                    .unwrap_or_default(),
                p,
            )
        };
        ServerView {
            ports: ports
                .into_iter()
                .map(named)
                .map(|(name, p)| (p, name))
                .collect(),
            security_groups: names,
            node_name: server.node_id.and_then(|id| nodes.get(&id).cloned()),
            server,
        }
    };
    Ok(servers.into_iter().map(join).collect())
}

fn names<R: store::Row, Id: Field + Eq + std::hash::Hash>(
    tx: &Tx<'_>,
    ids: impl Iterator<Item = Id>,
    pair: impl Fn(R) -> (Id, String),
) -> Result<HashMap<Id, String>> {
    let mut unique: Vec<Value> = Vec::new();
    for value in ids.map(|id| id.to_value()) {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    let rows: Vec<R> = tx.list(&Query::all().one_of("id", unique))?;
    Ok(rows.into_iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_made_of_names() {
        let id = ServerId::random();
        let check =
            |name: &str, expected: &str| assert_eq!(hostname(name, &id), expected, "{name}");
        check("web 1", "web-1");
        check("Grüße.example", "gr-e-example");
        check("---", &format!("server-{id}"));
        check(&"a".repeat(200), &"a".repeat(63));
    }
}
