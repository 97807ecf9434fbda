//! The invariants of the records: what must hold between the rows of one unchanging picture.
//!
//! The rules above keep them; this looks whether they did. `hextet manage check` and tests use it.

mod compute;
mod network;
mod volume;

use std::collections::BTreeSet;
use std::fmt::Display;

use model::{Change, Finding, Key, NodeId, PowerSeen, ProjectId, Result, ServerId, VolumeId};
use store::{Query, Store, Tx, row};

use crate::document;

/// What to do about records that contradict each other.
const REPORT: &str =
    "keep a copy of the database and report it: no request should be able to do this";

/// One picture of the database, and what is wrong in it.
#[derive(Debug)]
pub struct Audit {
    pub findings: Vec<Finding>,
    /// For each node on record: the documents it should hold.
    pub nodes: Vec<(NodeId, Vec<Change>)>,
    pub images: Vec<row::Image>,
    /// Guests that ran when their nodes last spoke.
    pub running: BTreeSet<ServerId>,
    /// Volumes whose data has been whole once.
    pub made: BTreeSet<VolumeId>,
}

/// Everything the rules look at.
struct Rows {
    projects: Vec<row::Project>,
    assignments: Vec<row::Assignment>,
    images: Vec<row::Image>,
    networks: Vec<row::Network>,
    subnets: Vec<row::Subnet>,
    subnet_pools: Vec<row::SubnetPool>,
    address_scopes: Vec<row::AddressScope>,
    qos_policies: Vec<row::QosPolicy>,
    policies: Vec<row::RbacPolicy>,
    ports: Vec<row::Port>,
    trunks: Vec<row::Trunk>,
    subports: Vec<row::Subport>,
    allocations: Vec<row::Allocation>,
    routers: Vec<row::Router>,
    floating_ips: Vec<row::FloatingIp>,
    forwardings: Vec<row::PortForwarding>,
    rules: Vec<row::Rule>,
    groups: Vec<row::SecurityGroup>,
    address_groups: Vec<row::AddressGroup>,
    server_groups: Vec<row::ServerGroup>,
    servers: Vec<row::Server>,
    volumes: Vec<row::Volume>,
    attachments: Vec<row::Attachment>,
    nodes: Vec<row::Node>,
}

/// Reads the whole database in one transaction, and judges it.
///
/// # Errors
/// When it cannot be read.
pub fn audit(store: &Store) -> Result<Audit> {
    store.read(|tx| {
        let rows = Rows::read(tx)?;
        let mut findings = tx.damage()?.into_iter().map(damaged).collect::<Vec<_>>();
        findings.extend(identity(&rows));
        findings.extend(owned(&rows));
        findings.extend(images(&rows.images));
        findings.extend(network::findings(&rows));
        findings.extend(compute::findings(&rows));
        findings.extend(volume::findings(&rows));
        findings.extend(untold(tx, &rows)?);
        let mut nodes = Vec::new();
        for node in &rows.nodes {
            let keys = document::all_keys(tx, node.id)?;
            let changes = keys
                .into_iter()
                .map(|key| document::change(tx, node.id, key));
            nodes.push((node.id, changes.collect::<Result<_>>()?));
        }
        let ran = |s: &&row::Server| {
            let seen = s.seen.0.as_ref();
            seen.is_some_and(|seen| seen.power == PowerSeen::Running) && !s.deleting
        };
        Ok(Audit {
            findings,
            nodes,
            running: rows.servers.iter().filter(ran).map(|s| s.id).collect(),
            made: rows
                .volumes
                .iter()
                .filter(|v| v.made && !v.deleting)
                .map(|v| v.id)
                .collect(),
            images: rows.images,
        })
    })
}

impl Rows {
    fn read(tx: &Tx<'_>) -> Result<Rows> {
        let all = Query::all();
        Ok(Rows {
            projects: tx.list(&all)?,
            assignments: tx.list(&all)?,
            images: tx.list(&all)?,
            networks: tx.list(&all)?,
            subnets: tx.list(&all)?,
            subnet_pools: tx.list(&all)?,
            address_scopes: tx.list(&all)?,
            qos_policies: tx.list(&all)?,
            policies: tx.list(&all)?,
            ports: tx.list(&all)?,
            trunks: tx.list(&all)?,
            subports: tx.list(&all)?,
            allocations: tx.list(&all)?,
            routers: tx.list(&all)?,
            floating_ips: tx.list(&all)?,
            forwardings: tx.list(&all)?,
            rules: tx.list(&all)?,
            groups: tx.list(&all)?,
            address_groups: tx.list(&all)?,
            server_groups: tx.list(&all)?,
            servers: tx.list(&all)?,
            volumes: tx.list(&all)?,
            attachments: tx.list(&all)?,
            nodes: tx.list(&all)?,
        })
    }
}

fn damaged(line: String) -> Finding {
    Finding::new(
        format!("the database: {line}"),
        "records are lost, or lead nowhere",
        "stop hextet, keep a copy of the database, and bring back a backup",
    )
}

fn contradiction(what: impl Display, why: &'static str) -> Finding {
    Finding::new(what.to_string(), why, REPORT)
}

fn identity(rows: &Rows) -> impl Iterator<Item = Finding> {
    let astray = rows.assignments.iter().filter(|a| {
        let there = rows.projects.iter().any(|p| p.id.0 == a.target_id);
        a.target_kind == "project" && !there
    });
    astray.map(|a| {
        let what = format!(
            "user {} has a role on project {}, which is not there",
            a.user_id, a.target_id
        );
        contradiction(what, "a project made later with this id would be theirs")
    })
}

/// Things of a project that is not there. An administrator can make some for any name.
fn owned(rows: &Rows) -> Vec<Finding> {
    let projects: BTreeSet<&ProjectId> = rows.projects.iter().map(|p| &p.id).collect();
    let mut found = Vec::new();
    macro_rules! look {
        ($($rows:ident $owner:ident $what:literal,)*) => {$(
            for one in &rows.$rows {
                // The network's own ports are of no project.
                if !one.$owner.0.is_empty() && !projects.contains(&one.$owner) {
                    found.push(Finding::new(
                        format!("{} {} is of project {}, which is not there", $what, one.id, one.$owner),
                        "nobody but an administrator sees it",
                        "as an administrator, delete it if nobody needs it",
                    ));
                }
            }
        )*};
    }
    look! {
        servers project_id "server",
        volumes project_id "volume",
        images owner "image",
        networks project_id "network",
        subnets project_id "subnet",
        subnet_pools project_id "subnet pool",
        address_scopes project_id "address scope",
        qos_policies project_id "QoS policy",
        ports project_id "port",
        trunks project_id "trunk",
        routers project_id "router",
        floating_ips project_id "floating IP",
        groups project_id "security group",
        address_groups project_id "address group",
        server_groups project_id "server group",
    }
    found
}

fn images(images: &[row::Image]) -> impl Iterator<Item = Finding> {
    let empty = images
        .iter()
        .filter(|i| i.status == "active" && (i.size_bytes.is_none() || i.sha512.is_none()));
    empty.map(|i| {
        let what = format!("image {} is active without a size or a checksum", i.id);
        contradiction(what, "no server can be made of it")
    })
}

/// Documents whose change no connected node would hear of.
fn untold(tx: &Tx<'_>, rows: &Rows) -> Result<Vec<Finding>> {
    let told: BTreeSet<Key> = tx
        .changes_since(0)?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let networks = rows.networks.iter().map(|n| Key::Network(n.id));
    let routers = rows.routers.iter().map(|r| Key::Router(r.id));
    let ports = rows
        .ports
        .iter()
        .filter(|p| p.node_id.is_some())
        .map(|p| Key::Port(p.id));
    let names = rows.ports.iter().map(|p| Key::PortName(p.id));
    let servers = rows
        .servers
        .iter()
        .filter(|s| s.node_id.is_some())
        .map(|s| Key::Server(s.id));
    let volumes = rows
        .volumes
        .iter()
        .filter(|v| v.node_id.is_some())
        .map(|v| Key::Volume(v.id));
    let documents = networks
        .chain(routers)
        .chain(ports)
        .chain(names)
        .chain(volumes)
        .chain(servers);
    let untold = documents.filter(|key| !told.contains(key)).map(|key| {
        contradiction(
            format!("{key:?} was never said to have changed"),
            "its node does not know of it",
        )
    });
    Ok(untold.collect())
}
