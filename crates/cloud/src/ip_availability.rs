//! How many addresses networks have, and how many of them are held.

use std::collections::HashMap;

use model::{Caller, Error, Kind, NetworkId, Result, ip_to_bits};
use store::{Value, row};

use crate::list::{self, Page};
use crate::subnet::{IpVersion, V4_COLUMN};
use crate::{Cloud, network};

/// The addresses of a subnet: those of its pools, and those that ports hold, of a pool or not.
#[derive(Clone, Debug)]
pub struct SubnetIpAvailability {
    pub subnet: row::Subnet,
    pub total: u128,
    pub used: u64,
}

/// A network with its subnets' addresses.
#[derive(Clone, Debug)]
pub struct IpAvailability {
    pub network: row::Network,
    pub subnets: Vec<SubnetIpAvailability>,
}

impl Cloud {
    /// The addresses of a network.
    ///
    /// # Errors
    /// `NotFound` for all but administrators: it tells of everybody's ports.
    pub fn get_ip_availability(&self, caller: &Caller, id: &NetworkId) -> Result<IpAvailability> {
        if !caller.is_admin() {
            return Err(Error::not_found(Kind::Network, id));
        }
        self.store().read(|tx| {
            let network = network::visible(tx, caller, id)?;
            let subnets = tx.subnets_used([id].into_iter())?;
            let subnets = subnets.into_iter().map(availability).collect();
            Ok(IpAvailability { network, subnets })
        })
    }

    /// The addresses of all networks, or of those with subnets of a version; nothing for all but administrators.
    pub fn list_ip_availabilities(
        &self,
        caller: &Caller,
        page: &Page,
        wanted: Option<IpVersion>,
    ) -> Result<Vec<IpAvailability>> {
        let mut query = page.query::<row::Network>()?;
        if let Some(wanted) = wanted {
            let condition = match wanted {
                IpVersion::V4 => {
                    "t.id IN (SELECT s.network_id FROM subnet s WHERE substr(s.prefix, 1, 24) = ?)"
                }
                IpVersion::V6 => {
                    "t.id IN (SELECT s.network_id FROM subnet s WHERE substr(s.prefix, 1, 24) <> ?)"
                }
            };
            query = query.matching(condition, vec![Value::Text(V4_COLUMN.into())]);
        }
        if !caller.is_admin() {
            return Ok(Vec::new());
        }
        self.store().read(|tx| {
            let networks: Vec<row::Network> = list::run(tx, &query)?;
            let mut subnets = tx.subnets_used(networks.iter().map(|n| &n.id))?;
            subnets.retain(|(s, _)| {
                wanted.is_none_or(|wanted| s.prefix.is_ipv4() == (wanted == IpVersion::V4))
            });
            let mut of_network = HashMap::<NetworkId, Vec<_>>::new();
            for subnet in subnets {
                let of = of_network.entry(subnet.0.network_id).or_default();
                of.push(availability(subnet));
            }
            let join = |network: row::Network| IpAvailability {
                subnets: of_network.remove(&network.id).unwrap_or_default(),
                network,
            };
            Ok(networks.into_iter().map(join).collect())
        })
    }
}

fn availability((subnet, used): (row::Subnet, u64)) -> SubnetIpAvailability {
    SubnetIpAvailability {
        total: total(&subnet),
        subnet,
        used,
    }
}

/// How many addresses the pools of a subnet hold. A subnet without pools counts whole, as in neutron.
fn total(subnet: &row::Subnet) -> u128 {
    if subnet.pools.0.is_empty() {
        let bits = if subnet.prefix.is_ipv4() { 32 } else { 128 };
        let free = bits - subnet.prefix_length.min(bits);
        return 1u128.checked_shl(free).unwrap_or(u128::MAX);
    }
    let size = |(first, last): &(_, _)| ip_to_bits(*last) - ip_to_bits(*first) + 1;
    subnet.pools.0.iter().map(size).sum()
}
