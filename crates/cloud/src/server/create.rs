//! New servers: what is asked for, checked, and made in one transaction.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{
    Caller, Error, ImageId, Key, Power, Reboot, Result, ServerGroupId, ServerId, UserData,
};
use store::{Json, Tx, row};

use super::disks::{DiskSource, NewDisk, attach_disks, boot};
use super::interface::{MAX_NETWORKS, ServerNetwork, attach_ports, has_ipv4};
use super::log;
use super::state::set_status;
use super::{metadata, visible};
use crate::list;
use crate::quota::{self, Resource};
use crate::{Cloud, flavor, keypair, now_ms, place, server_group};

/// The most user data a server takes, in octets before base64.
pub(crate) const MAX_USER_DATA: usize = 65_535;

/// The most servers that one scheduler hint names.
const MAX_HINTS: usize = 100;

/// A server to make.
#[derive(Clone, Debug)]
pub struct NewServer {
    pub name: String,
    pub description: Option<String>,
    /// Its root disk is made of it; without one it boots from one of its disks.
    pub image: Option<ImageId>,
    /// Volumes it is to have.
    pub disks: Vec<NewDisk>,
    pub flavor: String,
    /// `None`: the project's network, if it has just one.
    pub networks: Option<Vec<ServerNetwork>>,
    /// Names or ids; empty means `default`.
    pub security_groups: Vec<String>,
    pub key_name: Option<String>,
    pub user_data: Option<UserData>,
    /// Asks for a disk with the server's metadata; one without an IPv4 address has it anyway.
    pub config_drive: bool,
    pub metadata: row::Metadata,
    /// Where its user says it is reached.
    pub access_v4: Option<IpAddr>,
    pub access_v6: Option<IpAddr>,
    /// `ZONE`, or `ZONE:HOST` for administrators.
    pub availability_zone: Option<String>,
    pub hints: Hints,
    /// How many to make: as many of these as the project's quota allows.
    pub least: u32,
    pub most: u32,
}

/// Where a new server is to be, beside other servers or away from them.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    pub group: Option<ServerGroupId>,
    pub same_host: Vec<ServerId>,
    pub different_host: Vec<ServerId>,
}

impl Cloud {
    /// New servers with their ports, placed on a node, in one transaction.
    pub fn create_servers(&self, caller: &Caller, new: &NewServer) -> Result<Vec<row::Server>> {
        caller.require_member()?;
        check(new)?;
        self.store().write(|tx| {
            let count = allowed(tx, caller, new)?;
            let mut made: Vec<row::Server> = Vec::new();
            for n in 0..count {
                let first = made.first().map(|s| s.reservation_id.clone());
                made.push(self.create_one(tx, caller, new, n, first)?);
            }
            Ok(made)
        })
    }

    fn create_one(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        new: &NewServer,
        n: u32,
        reservation: Option<String>,
    ) -> Result<row::Server> {
        let project = caller.project()?.clone();
        let flavor = flavor::usable(tx, caller, &new.flavor)?;
        let boot = boot(tx, caller, new, &flavor)?;
        let now = now_ms();
        let id = ServerId::random();
        let wish = wish(tx, caller, new, flavor.ram_mib)?;
        let placed = place::choose(&self.inner.nodes.candidates(tx, &wish)?, &wish);
        let mut server = row::Server {
            id,
            project_id: project,
            user_id: caller.user.clone(),
            name: if new.most > 1 {
                format!("{}-{}", new.name, n + 1)
            } else {
                new.name.clone()
            },
            description: new.description.clone(),
            node_id: placed.as_ref().ok().copied(),
            ram_mib: flavor.ram_mib,
            vcpus: flavor.vcpus,
            disk_gib: flavor.disk_gib,
            flavor_id: flavor.id.clone(),
            flavor: Json(row::ServerFlavor {
                id: flavor.id.0.clone(),
                name: flavor.name.clone(),
                vcpus: flavor.vcpus,
                ram_mib: flavor.ram_mib,
                disk_gib: flavor.disk_gib,
                extra_specs: flavor.extra_specs.0.clone(),
            }),
            image_id: new.image,
            boot: Json(boot),
            key_name: new.key_name.clone(),
            public_keys: Json(public_keys(tx, caller, new.key_name.as_deref())?),
            user_data: Json(new.user_data.clone()),
            config_drive: new.config_drive,
            metadata: Json(new.metadata.clone()),
            access_v4: new.access_v4,
            access_v6: new.access_v6,
            availability_zone: place::ZONE.to_owned(),
            power: Json(Power::Running),
            start_epoch: 1,
            reboot_epoch: 0,
            reboot: Json(Reboot::Soft),
            deleting: false,
            waiting: false,
            seen: Json(None),
            fault: placed.err(),
            status: String::new(),
            task_state: None,
            created_ms: now,
            updated_ms: now,
            locked: false,
            tags: String::new(),
            group_id: new.hints.group,
            reservation_id: reservation.unwrap_or_else(|| format!("r-{}", id.short())),
            launch_index: n,
            password: Json(Default::default()),
        };
        set_status(&mut server);
        tx.insert(&server)?;
        attach_ports(tx, caller, &server, new)?;
        server.config_drive |= !has_ipv4(tx, &server)?;
        attach_disks(tx, &self.inner.nodes, caller, &mut server, new)?;
        set_status(&mut server);
        tx.update(&server)?;
        log::record(tx, caller, &server.id, "create", None)?;
        log::settle(tx, &server)?;
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
    metadata::check(&new.metadata)?;
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
    let hints = &new.hints;
    if hints.same_host.len().max(hints.different_host.len()) > MAX_HINTS {
        return Err(Error::invalid(format!(
            "a scheduler hint names at most {MAX_HINTS} servers"
        )));
    }
    let given = |disk: &NewDisk| matches!(disk.source, DiskSource::Volume(_));
    if new.most > 1 && new.disks.iter().any(given) {
        return Err(Error::invalid(
            "Cannot attach one or more volumes to multiple instances",
        ));
    }
    if new.most > 100 {
        return Err(Error::invalid("at most 100 servers can be made at once"));
    }
    if new.least == 0 || new.least > new.most {
        return Err(Error::invalid(
            "min_count must be at least 1 and at most max_count",
        ));
    }
    Ok(())
}

/// What placement must look at.
fn wish(tx: &Tx<'_>, caller: &Caller, new: &NewServer, ram_mib: u32) -> Result<place::Wish> {
    let host = match &new.availability_zone {
        Some(text) => place::zone_and_host(text)?,
        None => None,
    };
    if host.is_some() && !caller.is_admin() {
        return Err(Error::Forbidden(
            "only an administrator can name the host of a server: leave it out of availability_zone"
                .into(),
        ));
    }
    let group = match &new.hints.group {
        Some(id) => Some(server_group::joined(tx, caller, id)?),
        None => None,
    };
    // Whether a stranger's server shares a node tells something of it: here it is not there.
    let seen = |ids: &[ServerId]| -> Vec<ServerId> {
        let each: BTreeSet<ServerId> = ids.iter().copied().collect();
        let theirs = each.into_iter();
        theirs
            .filter(|id| visible(tx, caller, id).is_ok())
            .collect()
    };
    let same_host = seen(&new.hints.same_host);
    if same_host.is_empty() && !new.hints.same_host.is_empty() {
        return Err(Error::invalid("same_host names no server of this project"));
    }
    Ok(place::Wish {
        ram_mib,
        host,
        same_host,
        different_host: seen(&new.hints.different_host),
        group,
    })
}

/// How many of the servers asked for the project's quota allows.
///
/// # Errors
/// `OverQuota` when it does not allow the least.
fn allowed(tx: &Tx<'_>, caller: &Caller, new: &NewServer) -> Result<u32> {
    let project = caller.project()?;
    let flavor = flavor::usable(tx, caller, &new.flavor)?;
    quota::check_used(
        tx,
        project,
        Resource::MetadataItems,
        0,
        new.metadata.len() as u64,
    )?;
    let check = |count: u32| {
        let each = |of: u32| u64::from(count) * u64::from(of);
        let wanted = [
            (Resource::Instances, each(1)),
            (Resource::Cores, each(flavor.vcpus)),
            (Resource::Ram, each(flavor.ram_mib)),
        ];
        quota::check_all(tx, project, &wanted).map(|()| count)
    };
    let fewer = (new.least..new.most).rev();
    fewer.fold(check(new.most), |done, count| match done {
        Err(Error::OverQuota(_)) => check(count),
        done => done,
    })
}

fn public_keys(tx: &Tx<'_>, caller: &Caller, name: Option<&str>) -> Result<Vec<(String, String)>> {
    let Some(name) = name else {
        return Ok(Vec::new());
    };
    let key = keypair::find(tx, &caller.user, name)?;
    let key = key.ok_or_else(|| Error::invalid("Invalid key_name provided."))?;
    Ok(vec![(key.name, key.public_key)])
}
