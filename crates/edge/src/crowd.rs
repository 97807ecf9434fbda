//! How many connections each client has: one client, however many addresses it makes for itself,
//! leaves room for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Connections by client, counted.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    /// How many a client may have.
    most: u32,
    counts: Arc<Mutex<HashMap<u128, u32>>>,
}

/// A client's place. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Place {
    client: u128,
    /// Whether the client has more than it may: then each request is told so.
    pub(crate) over: bool,
    counts: Arc<Mutex<HashMap<u128, u32>>>,
}

impl Crowd {
    pub(crate) fn new(most: u32) -> Crowd {
        Crowd {
            most,
            counts: Arc::default(),
        }
    }

    /// Counts a connection. A client with a few too many is let in to be told; `None`: it has so
    /// many that telling would cost more than it is worth.
    pub(crate) fn enter(&self, from: IpAddr) -> Option<Place> {
        let client = client(from);
        let told = self.most + self.most / 8 + 8;
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        let count = counts.entry(client).or_default();
        if *count >= told {
            return None;
        }
        *count += 1;
        Some(Place {
            client,
            over: *count > self.most,
            counts: self.counts.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Who counts as one: a /64 of IPv6, for a host takes what addresses it likes of its link's prefix
/// (RFC 8981), or an address of IPv4, which only a balancer passes on.
fn client(from: IpAddr) -> u128 {
    match from {
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_one_client_and_others_keep_their_room() {
        let crowd = Crowd::new(16);
        let of = |host: u16| crowd.enter(format!("2001:db8:1::{host:x}").parse().unwrap());
        let places: Vec<_> = (0..100).map_while(of).collect();
        assert_eq!(places.len(), 26);
        assert_eq!(places.iter().filter(|p| p.over).count(), 10);
        for other in ["2001:db8:1:1::1", "192.0.2.1", "::1"] {
            assert!(!crowd.enter(other.parse().unwrap()).unwrap().over);
        }
        drop(places);
        assert!(!of(1).unwrap().over);
        assert!(crowd.counts.lock().unwrap().is_empty());
    }
}
