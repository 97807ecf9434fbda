//! What the guests on ports were heard to use and ask.

use model::{NodeId, PortHeard, PortId, Result};
use store::{Field, Json, Tx, row};

/// Takes in what a node heard of a port that is bound to it. Nothing is written when that is known.
pub(crate) fn take_in(tx: &mut Tx<'_>, node: NodeId, id: PortId, heard: &PortHeard) -> Result<()> {
    let port: Option<row::Port> = tx.find(id.to_value())?;
    if port.is_none_or(|port| port.node_id != Some(node)) {
        return Ok(());
    }
    let known: Option<row::PortHeard> = tx.find(id.to_value())?;
    let before = known.as_ref().map(|known| known.heard.0.clone());
    let heard = after(before.clone().unwrap_or_default(), heard);
    if heard == before.unwrap_or_default() {
        return Ok(());
    }
    let row = row::PortHeard {
        port_id: id,
        heard: Json(heard),
    };
    match known {
        Some(_) => tx.update(&row),
        None => tx.insert(&row),
    }
}

/// A port has left its guest.
pub(crate) fn forget(tx: &mut Tx<'_>, id: &PortId) -> Result<()> {
    tx.delete::<row::PortHeard>(id).map(drop)
}

/// A node that was started anew does not know any more when it last heard something.
fn after(before: PortHeard, now: &PortHeard) -> PortHeard {
    let some = |heard: &[model::AddressHeard]| {
        let first = heard.iter().take(PortHeard::MAX);
        first.copied().collect::<Vec<_>>()
    };
    PortHeard {
        addresses: some(&now.addresses),
        dad_failures: some(&now.dad_failures),
        last_rs_ms: now.last_rs_ms.max(before.last_rs_ms),
        last_ra_ms: now.last_ra_ms.max(before.last_ra_ms),
        last_dhcp_ms: now.last_dhcp_ms.max(before.last_dhcp_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_go_back_and_addresses_are_those_of_now() {
        let address = |n: u8| model::AddressHeard {
            address: std::net::Ipv4Addr::new(192, 0, 2, n).into(),
            last_ms: 1,
        };
        let before = PortHeard {
            addresses: vec![address(1)],
            last_rs_ms: Some(7),
            last_dhcp_ms: Some(7),
            ..PortHeard::default()
        };
        let now = PortHeard {
            addresses: (0..=255).map(address).collect(),
            dad_failures: vec![address(2)],
            last_rs_ms: None,
            last_ra_ms: Some(3),
            last_dhcp_ms: Some(8),
        };
        let after = after(before, &now);
        assert_eq!(after.addresses[..], now.addresses[..PortHeard::MAX]);
        assert_eq!(after.dad_failures, now.dad_failures);
        let times = [after.last_rs_ms, after.last_ra_ms, after.last_dhcp_ms];
        assert_eq!(times, [Some(7), Some(3), Some(8)]);
    }
}
