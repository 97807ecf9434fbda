//! The rules: who may do what, what follows from it, and what nodes are told.
//!
//! Every operation does four things in order: read, decide, write, wake. It is a plain function
//! that runs in one transaction; nothing here waits for a node but [`Cloud::console`].

mod address_group;
mod address_scope;
mod assignment;
mod attachment;
mod audit;
mod auto_topology;
mod dns;
mod document;
mod domain;
mod flavor;
mod floating_ip;
mod image;
mod ip_availability;
mod keypair;
mod list;
mod network;
mod node;
mod password;
mod place;
mod port;
mod project;
mod qos;
mod quota;
mod rbac;
mod resolver;
mod role;
mod router;
mod security_group;
mod server;
mod server_group;
mod setup;
mod subnet;
mod subnet_pool;
mod tag;
mod token;
pub mod told;
mod trunk;
mod user;
mod volume;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use store::Store;

pub use store::Depth;

pub use address_group::{AddressGroupUpdate, NewAddressGroup};
pub use address_scope::{AddressScopeUpdate, NewAddressScope};
pub use assignment::Target;
pub use audit::{Audit, audit};
pub use flavor::NewFlavor;
pub use floating_ip::{
    FloatingIpTarget, FloatingIpUpdate, FloatingIpView, ForwardingUpdate, NewFloatingIp,
    NewForwarding, Ports,
};
pub use image::{ImageUpdate, ImageWriter, NewImage};
pub use ip_availability::{IpAvailability, SubnetIpAvailability};
pub use keypair::NewKeypair;
pub use list::{MAX_PAGE, Page, TagFilter};
pub use network::{NetworkUpdate, NetworkView, NewNetwork};
pub use node::Given;
pub use place::{Policy, ZONE};
pub use port::{AdvertisingUpdate, FixedIp, NewPort, PortFilter, PortUpdate, PortView};
pub use project::{NewProject, ProjectUpdate};
pub use qos::{
    DSCP_MARKS, NewQosPolicy, NewQosRule, QosPolicyUpdate, QosPolicyView, QosRuleKind,
    QosRuleUpdate,
};
pub use quota::{Below, Limits, Quota, Resource, Service, UNLIMITED};
pub use rbac::{NewRbacPolicy, Shown};
pub use router::{ExtraRoutes, GatewayInfo, InterfaceBy, NewRouter, RouterUpdate, RouterView};
pub use security_group::{
    NewRule, NewSecurityGroup, RULE_REVISION, SecurityGroupUpdate, SecurityGroupView, normal_prefix,
};
pub use server::{
    DiskSource, GroupChange, Hints, NamePattern, NewDisk, NewServer, Others, ServerAction,
    ServerAddress, ServerFilter, ServerNetwork, ServerTagChange, ServerTagFilter, ServerUpdate,
    ServerView, host_id, hostname, split_tags, vm_state,
};
pub use server_group::ServerGroupView;
pub use setup::{Account, set_up};
pub use subnet::{IpVersion, NewSubnet, SubnetUpdate, SubnetView};
pub use subnet_pool::{FromPool, Lengths, NewSubnetPool, PoolWish, SubnetPoolUpdate};
pub use tag::{TagChange, Tagged};
pub use token::{Credentials, ScopeWish, Secret, Token, token_roles};
pub use trunk::{NewSubport, NewTrunk, TrunkUpdate, TrunkView};
pub use user::{NewUser, UserUpdate};
pub use volume::{NewVolume, VolumeUpdate, VolumeView};

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL of the catalog, without a slash at its end.
    pub url: String,
    pub region: String,
    /// Where the data of images lies.
    pub images: PathBuf,
    /// The largest image taken, in octets.
    pub max_image_bytes: u64,
    /// How long a token is valid, in milliseconds.
    pub token_lifetime_ms: i64,
    /// Octets of an IP packet on a tenant network.
    pub mtu: u32,
}

/// The cloud. Clones share it.
#[derive(Clone)]
pub struct Cloud {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    settings: Settings,
    secret: Secret,
    tokens: token::Cache,
    /// Grows with each change to users, roles and projects: what caches were made before is void.
    identity_epoch: AtomicU64,
    nodes: node::Nodes,
}

impl Cloud {
    /// A cloud on an open store.
    pub fn new(store: Store, settings: Settings, secret: Secret) -> Cloud {
        Cloud {
            inner: Arc::new(Inner {
                store,
                settings,
                secret,
                tokens: token::Cache::default(),
                identity_epoch: AtomicU64::new(0),
                nodes: node::Nodes::default(),
            }),
        }
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// For reads that need no rule.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    fn identity_changed(&self) {
        self.inner.identity_epoch.fetch_add(1, Ordering::SeqCst);
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An error with all that caused it, for a log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
