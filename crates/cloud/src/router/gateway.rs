//! A router's leg in an external network.

use model::{Caller, Error, NetworkId, Result};
use store::{Field, Query, Tx, Value, row};

use super::reach::{check_overlap, overlaps};
use super::{GATEWAY, legs};
use crate::port::{self, FixedIp, NewPort};
use crate::{floating_ip, network};

/// The external network a router is wanted in.
#[derive(Clone, Debug)]
pub struct GatewayInfo {
    pub network: NetworkId,
    pub fixed_ips: Option<Vec<FixedIp>>,
    /// `enable_snat`; without it, yes.
    pub snat: Option<bool>,
}

/// Puts a router in an external network, moves it there, or takes it out. Its port stays while the
/// network does.
pub(super) fn set_gateway(
    tx: &mut Tx<'_>,
    caller: &Caller,
    router: &mut row::Router,
    wanted: Option<&GatewayInfo>,
) -> Result<()> {
    let mut there = legs(tx, &router.id, GATEWAY)?.pop();
    if let Some(port) = &there
        && wanted.is_none_or(|w| w.network != port.network_id)
    {
        floating_ip::check_gateway_unused(tx, router)?;
        port::remove(tx, port)?;
        router.external_network_id = None;
        there = None;
    }
    if let Some(info) = wanted {
        let network = usable(tx, caller, info)?;
        router.snat = info.snat.unwrap_or(true);
        router.external_network_id = Some(network.id);
        let wishes = info.fixed_ips.as_deref().filter(|w| !w.is_empty());
        match (&there, wishes) {
            (Some(port), Some(wishes)) => {
                port::set_addresses(tx, port, wishes)?;
                floating_ip::check_gateway_serves(tx, &router.id)?;
            }
            (Some(_), None) => {}
            (None, wishes) => make_leg(tx, caller, router, &network, wishes)?,
        }
        check_overlap(tx, router)?;
    }
    Ok(())
}

/// Gateways in an external network take an address of a family that is new there. Where none can be
/// had, or where it would be among the router's own prefixes, the router stays as it is.
pub(crate) fn take_new_family(tx: &mut Tx<'_>, new: &row::Subnet) -> Result<()> {
    let query = Query::equal("network_id", new.network_id.to_value());
    let legs = tx.list(&query.and("device_owner", Value::Text(GATEWAY.into())))?;
    for leg in port::views(tx, legs)? {
        let has = |a: &row::Allocation| a.address.is_ipv4() == new.prefix.is_ipv4();
        let Ok(router) = leg.port.device_id.parse() else {
            continue;
        };
        if leg.addresses.iter().any(has) || overlaps(tx, &router, new)? {
            continue;
        }
        let wish = FixedIp {
            subnet: Some(new.id),
            address: None,
        };
        match port::allocate(tx, &leg.port, std::slice::from_ref(new), Some(&[wish])) {
            Ok(()) => port::readdressed(tx, &leg.port.id)?,
            Err(Error::NoAddress(_)) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether a router may answer for addresses behind it: they appear on the external network.
///
/// # Errors
/// `Forbidden` for who does not own that network.
pub(super) fn check_nd_proxy(tx: &Tx<'_>, caller: &Caller, router: &row::Router) -> Result<()> {
    match router.external_network_id.filter(|_| router.nd_proxy) {
        Some(id) => {
            let network = network::visible(tx, caller, &id)?;
            port::check_owner_only(caller, &network, &[("nd_proxy True", true)])
        }
        None => Ok(()),
    }
}

fn usable(tx: &Tx<'_>, caller: &Caller, info: &GatewayInfo) -> Result<row::Network> {
    let network = network::visible(tx, caller, &info.network)?;
    if !network.external {
        return Err(Error::invalid(format!(
            "Bad router request: Network {} is not an external network.",
            network.id
        )));
    }
    // Without translation, addresses of tenants' own choice appear on the external network.
    let bare = info.snat == Some(false);
    let chosen = port::names_address(info.fixed_ips.as_deref());
    let asked = [
        ("an address of external_fixed_ips", chosen),
        ("enable_snat False", bare),
    ];
    port::check_owner_only(caller, &network, &asked)?;
    Ok(network)
}

fn make_leg(
    tx: &mut Tx<'_>,
    caller: &Caller,
    router: &row::Router,
    network: &row::Network,
    wishes: Option<&[FixedIp]>,
) -> Result<()> {
    let new = NewPort {
        network: Some(network.id),
        project: Some(router.project_id.clone()),
        fixed_ips: wishes.map(<[_]>::to_vec),
        port_security: Some(false),
        device_id: router.id.to_string(),
        device_owner: GATEWAY.into(),
        ..NewPort::default()
    };
    port::insert(tx, caller, network, &new).map(drop)
}
