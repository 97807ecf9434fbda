//! New servers: what is asked for, checked, and made in one transaction.

use std::net::Ipv6Addr;

use model::{
    Boot, Caller, Error, Hardware, ImageFile, ImageId, Key, NetworkId, PortId, Power, ProjectId,
    Reboot, Result, SecurityGroupId, ServerId, UserData,
};
use store::{Field, Json, Query, Tx, Value, row};

use super::state::set_status;
use crate::list;
use crate::port::{self, FixedIp, NewPort};
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

impl Cloud {
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
        disk: Some(image_file(&disk)?),
        hardware: Hardware::default(),
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
