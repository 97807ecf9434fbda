//! What a guest hears on its link: Router Advertisements, DHCP of both families, names and metadata.
//!
//! One [`Lan`] serves every network and router of a node, on sockets opened in their namespaces.
//! Advertisements come from one thread for all of them (`links` around the state machine of
//! `advertiser`), leases from two more (`dhcp4`, `dhcp6`); metadata from tasks of the tokio runtime
//! (`metadata` around the documents of [`openstack`]), and so names (`dns`). Nothing here makes
//! links, addresses or filters: that is the node's.
//!
//! Stopping is silent. Guests outlive us, so hosts must not hear that their router went when only
//! hextet did; a farewell is said where a router really goes ([`Lan::silence`]).

mod advert;
mod advertiser;
mod announce;
mod dhcp4;
mod dhcp6;
mod dns;
mod links;
mod metadata;
mod metrics;
pub mod openstack;
mod recent;
mod seats;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use linux::inet4::Inet4;
use linux::netns::Netns;
use linux::socket::PacketSocket;
use model::{Mac, NetworkId, RouterId};
use nix::sys::stat::fstat;
use tokio::sync::Notify;

pub use advert::{Advert, Interval, Prefix, Route};
pub use advertiser::Counts;
pub use announce::announce;
pub use dhcp4::{DhcpCounts, Lease, Leases};
pub use dhcp6::{Binding, Bindings, Dhcp6Counts, Dhcp6Heard};
pub use dns::{Decision, DnsCounts, Upstreams, Zone};
use links::{Links, Place};
pub use metadata::{MetadataCounts, MetadataSettings, Passwords, fresh_seed};
pub use metrics::Sample;
pub use openstack::Instance;
pub use wire::dhcp6::Lease as Given;
pub use wire::nd::Preference;

use crate::advertiser::Advertiser;

/// Which advertisements are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdvertKey {
    pub network: NetworkId,
    /// `None`: from the network's own service address, with a router lifetime of 0.
    pub router: Option<RouterId>,
}

/// How a guest asks for its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// Serves the links of a node. Clones are the same; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Lan {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    adverts: Links<AdvertKey, Advertiser>,
    dhcp4: Links<NetworkId, dhcp4::Server>,
    dhcp6: Links<NetworkId, dhcp6::Server>,
    /// Told when a guest with delegated prefixes first says where it is.
    placed: Arc<Notify>,
    dns: dns::Dns,
    metadata: metadata::Metadata,
}

impl Lan {
    /// Starts, with nothing to serve yet. Metadata and names are served on the current tokio runtime,
    /// and on IPv4 by sockets that `inet4` opens; names of others are asked of `upstreams`.
    /// `metadata` is what guests are told beside their own documents.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        inet4: Inet4,
        upstreams: Upstreams,
        metadata: MetadataSettings,
    ) -> io::Result<Lan> {
        let adverts = Links::start("lan")?;
        let dhcp4 = Links::start("dhcp4")?;
        let dhcp6 = Links::start("dhcp6")?;
        let runtime = tokio::runtime::Handle::current();
        let dns = dns::Dns::start(runtime.clone(), inet4.clone(), upstreams)?;
        let metadata = metadata::Metadata::new(runtime, inet4, metadata);
        Ok(Lan {
            inner: Arc::new(Inner {
                adverts,
                dhcp4,
                dhcp6,
                placed: Arc::default(),
                dns,
                metadata,
            }),
        })
    }

    /// Stops everything, without a farewell. What is asked for later fails.
    pub fn stop(&self) {
        self.inner.adverts.stop();
        self.inner.dhcp4.stop();
        self.inner.dhcp6.stop();
        self.inner.dns.stop();
        self.inner.metadata.stop();
    }

    /// Starts advertising on `interface` of `ns`, or changes what is advertised (a change is sent
    /// at once, within the RFC's limits). May be repeated: the same again changes nothing.
    ///
    /// # Errors
    /// `InvalidInput` when the advertisement says what may not be said.
    pub fn advertise(
        &self,
        key: AdvertKey,
        ns: &Netns,
        interface: &str,
        advert: Advert,
    ) -> io::Result<()> {
        let place = Place {
            ns,
            interface,
            open: PacketSocket::solicitations,
        };
        let (now, seed) = (Instant::now(), RandomState::new().hash_one(key));
        let first = advert.clone();
        self.inner.adverts.serve(
            key,
            place,
            |there| there.change(now, advert),
            || Advertiser::new(now, unix_ms(), first, seed),
        )
    }

    /// Stops. With `farewell`, an advertisement with lifetime 0 goes out first, before this
    /// returns (RFC 4861, section 6.2.5).
    pub fn silence(&self, key: &AdvertKey, farewell: bool) {
        self.inner.adverts.end(key, |advertiser| match farewell {
            true => advertiser.farewell(Instant::now()),
            false => Vec::new(),
        });
    }

    /// What is advertised, sorted. A link that was taken away under us is not among them.
    pub fn advertising(&self) -> Vec<AdvertKey> {
        self.inner.adverts.serving()
    }

    /// What was heard and said since advertising began.
    pub fn counts(&self, key: &AdvertKey) -> Option<Counts> {
        self.inner.adverts.ask(key, |advertiser| advertiser.counts)
    }

    /// When a host last asked for a router on a network, and when all of its hosts were last told of
    /// one, in milliseconds since 1970 and since advertising began. Who asks is told at once.
    pub fn discovery(&self, network: NetworkId, mac: Mac) -> (Option<i64>, Option<i64>) {
        let first = AdvertKey {
            network,
            router: None,
        };
        let times = |advertiser: &Advertiser| advertiser.times(mac);
        let all = self
            .inner
            .adverts
            .ask_from(&first, |key| key.network == network, times);
        all.into_iter()
            .fold((None, None), |(a, b), (c, d)| (a.max(c), b.max(d)))
    }

    /// Answers DHCPv4 on `interface` (the network's bridge) of `ns` from these leases. May be
    /// repeated: from then on it is the new ones.
    pub fn serve_dhcp4(
        &self,
        network: NetworkId,
        ns: &Netns,
        interface: &str,
        leases: Arc<Leases>,
    ) -> io::Result<()> {
        let place = Place {
            ns,
            interface,
            open: PacketSocket::dhcp4,
        };
        let first = leases.clone();
        self.inner.dhcp4.serve(
            network,
            place,
            |there| {
                there.change(leases);
                Ok(())
            },
            || Ok(dhcp4::Server::new(first)),
        )
    }

    /// Answers no more.
    pub fn end_dhcp4(&self, network: &NetworkId) {
        self.inner.dhcp4.end(network, |_| Vec::new());
    }

    /// Networks with DHCPv4, sorted. One whose bridge was taken away under us is not among them.
    pub fn serving_dhcp4(&self) -> Vec<NetworkId> {
        self.inner.dhcp4.serving()
    }

    /// What was heard and said since serving began.
    pub fn dhcp4_counts(&self, network: &NetworkId) -> Option<DhcpCounts> {
        self.inner.dhcp4.ask(network, |server| server.counts)
    }

    /// When a port's guest last spoke DHCPv4, in milliseconds since 1970; `None` when it has not
    /// since serving began.
    pub fn dhcp4_heard_ms(&self, network: &NetworkId, mac: Mac) -> Option<i64> {
        self.inner
            .dhcp4
            .ask(network, |server| server.heard.last_ms(mac))?
    }

    /// Answers DHCPv6 on `interface` (the network's bridge) of `ns` from these bindings. May be
    /// repeated: from then on it is the new ones.
    pub fn serve_dhcp6(
        &self,
        network: NetworkId,
        ns: &Netns,
        interface: &str,
        bindings: Arc<Bindings>,
    ) -> io::Result<()> {
        let place = Place {
            ns,
            interface,
            open: PacketSocket::dhcp6,
        };
        let first = bindings.clone();
        self.inner.dhcp6.serve(
            network,
            place,
            |there| {
                there.change(bindings);
                Ok(())
            },
            || {
                Ok(dhcp6::Server::new(
                    network,
                    first,
                    self.inner.placed.clone(),
                ))
            },
        )
    }

    /// Answers no more.
    pub fn end_dhcp6(&self, network: &NetworkId) {
        self.inner.dhcp6.end(network, |_| Vec::new());
    }

    /// Networks with DHCPv6, sorted. One whose bridge was taken away under us is not among them.
    pub fn serving_dhcp6(&self) -> Vec<NetworkId> {
        self.inner.dhcp6.serving()
    }

    /// What was heard and said since serving began.
    pub fn dhcp6_counts(&self, network: &NetworkId) -> Option<Dhcp6Counts> {
        self.inner.dhcp6.ask(network, dhcp6::Server::counts)
    }

    /// What a port's guest has told by DHCPv6 since serving began.
    pub fn dhcp6_heard(&self, network: &NetworkId, mac: Mac) -> Option<Dhcp6Heard> {
        self.inner.dhcp6.ask(network, |server| server.heard(mac))?
    }

    /// Waits until a guest that has prefixes delegated says by DHCPv6 where it is, and had not said
    /// so before: routes to them can lead there. One that moves about wakes nobody again.
    pub async fn guest_placed(&self) {
        self.inner.placed.notified().await;
    }

    /// Answers questions about names at port 53 of `addresses` on `interface` (the network's bridge)
    /// of `ns`: from the zone, or by asking the upstreams. May be repeated: from then on it is the
    /// new zone.
    pub fn serve_dns(
        &self,
        network: NetworkId,
        ns: &Netns,
        interface: &str,
        addresses: &[IpAddr],
        zone: Arc<Zone>,
    ) -> io::Result<()> {
        self.inner
            .dns
            .serve(network, ns, interface, addresses, zone)
    }

    /// Answers no more, and closes all connections.
    pub fn end_dns(&self, network: &NetworkId) {
        self.inner.dns.end(network);
    }

    /// Networks with a resolver, sorted. One whose bridge was taken away under us is not among them.
    pub fn serving_dns(&self) -> Vec<NetworkId> {
        self.inner.dns.serving()
    }

    /// What was asked and answered since serving began.
    pub fn dns_counts(&self, network: &NetworkId) -> Option<DnsCounts> {
        self.inner.dns.counts(network)
    }

    /// Serves metadata on port 80 of `interface` (the network's bridge) of `ns`: at each of its IPv6
    /// addresses, or at `169.254.169.254`. May be repeated: the same again changes nothing.
    pub fn serve_metadata(
        &self,
        network: NetworkId,
        family: Family,
        ns: &Netns,
        interface: &str,
    ) -> io::Result<()> {
        self.inner.metadata.serve((network, family), ns, interface)
    }

    /// Closes the network's listener and all its connections. Instances stay known.
    pub fn end_metadata(&self, network: NetworkId, family: Family) {
        self.inner.metadata.end((network, family));
    }

    /// Networks with metadata, sorted. One whose bridge was taken away under us is not among them.
    pub fn serving_metadata(&self) -> Vec<(NetworkId, Family)> {
        self.inner.metadata.serving()
    }

    /// What was asked since serving began.
    pub fn metadata_counts(&self, network: NetworkId, family: Family) -> Option<MetadataCounts> {
        self.inner.metadata.counts((network, family))
    }

    /// Whom the port with this mark belongs to: what metadata answers to it.
    pub fn set_instance(&self, network: NetworkId, mark: u32, instance: Arc<Instance>) {
        self.inner.metadata.instances.set(network, mark, instance);
    }

    /// The port with this mark gets no metadata any more.
    pub fn remove_instance(&self, network: NetworkId, mark: u32) {
        self.inner.metadata.instances.remove(network, mark);
    }
}

/// A namespace's identity, which holds while a socket of ours is open in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NsIdentity {
    device: u64,
    inode: u64,
}

impl NsIdentity {
    fn of(ns: &Netns) -> io::Result<NsIdentity> {
        let stat = fstat(ns)?;
        Ok(NsIdentity {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the lan was stopped")
}
