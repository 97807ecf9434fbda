//! What has a QoS policy, and what follows for a port.
//!
//! A port's own policy stands for its network's as a whole: neither adds to the other.

use model::{Bandwidth, Caller, Error, Key, Kind, NetworkId, ProjectId, Qos, QosPolicyId, Result};
use store::{Field, Query, Tx, row};

use super::{rules_of, visible, yes};

/// What a burst is where none is given, in parts of what passes in a second: neutron's, with which TCP reaches the rate.
const BURST_PERCENT: u64 = 80;

/// The policy that a network or port is to have, given the one that it has.
///
/// # Errors
/// `NotFound` for a policy that the caller may not see; `Forbidden` where the old one is of that kind, because whoever
/// gave it meant it to stay.
pub(crate) fn chosen(
    tx: &Tx<'_>,
    caller: &Caller,
    old: Option<QosPolicyId>,
    wanted: Option<Option<QosPolicyId>>,
) -> Result<Option<QosPolicyId>> {
    let Some(wanted) = wanted.filter(|wanted| *wanted != old) else {
        return Ok(old);
    };
    if let Some(old) = old
        && visible(tx, caller, &old).is_err()
    {
        return Err(Error::Forbidden(format!(
            "Failed to remove provided policy {old} because you are not authorized."
        )));
    }
    if let Some(new) = &wanted {
        visible(tx, caller, new)?;
    }
    Ok(wanted)
}

/// The policy of networks that a project makes without naming one.
pub(crate) fn default_of(tx: &Tx<'_>, project: &ProjectId) -> Result<Option<QosPolicyId>> {
    let query = Query::equal("project_id", project.to_value()).and("is_default", yes());
    let found: Vec<row::QosPolicy> = tx.list(&query)?;
    Ok(found.first().map(|policy| policy.id))
}

/// # Errors
/// `InUse` while a network or a port has it.
pub(super) fn check_unused(tx: &Tx<'_>, id: &QosPolicyId) -> Result<()> {
    let has = || Query::equal("qos_policy_id", id.to_value());
    let network = tx.list::<row::Network>(&has())?.pop();
    let port = tx.list::<row::Port>(&has())?.pop();
    let user = network
        .map(|network| format!("network {}", network.id))
        .or(port.map(|port| format!("port {}", port.id)));
    match user {
        Some(user) => Err(Error::InUse {
            kind: Kind::QosPolicy,
            why: format!("QoS Policy {id} is used by {user}"),
        }),
        None => Ok(()),
    }
}

/// Nodes hear anew of the ports that a policy is for.
pub(super) fn touch(tx: &mut Tx<'_>, policy: &QosPolicyId) -> Result<()> {
    let id = policy.to_value();
    let query = Query::all().matching(
        "t.node_id IS NOT NULL AND (t.qos_policy_id = ? OR t.qos_policy_id IS NULL
         AND t.network_id IN (SELECT n.id FROM network n WHERE n.qos_policy_id = ?))",
        vec![id.clone(), id],
    );
    let ports: Vec<row::Port> = tx.list(&query)?;
    ports
        .iter()
        .try_for_each(|port| tx.touch(Key::Port(port.id)))
}

/// Nodes hear anew of the ports that a network's policy is for.
pub(crate) fn touch_network(tx: &mut Tx<'_>, network: &NetworkId) -> Result<()> {
    let query = Query::equal("network_id", network.to_value());
    let query = query.matching(
        "t.node_id IS NOT NULL AND t.qos_policy_id IS NULL",
        Vec::new(),
    );
    let ports: Vec<row::Port> = tx.list(&query)?;
    ports
        .iter()
        .try_for_each(|port| tx.touch(Key::Port(port.id)))
}

/// What policies make of a guest's port.
pub(crate) fn of_port(tx: &Tx<'_>, port: &row::Port, network: &row::Network) -> Result<Qos> {
    match port.qos_policy_id.or(network.qos_policy_id) {
        Some(policy) => Ok(effect(&rules_of(tx, &policy)?)),
        None => Ok(Qos::default()),
    }
}

/// What rules come to.
fn effect(rules: &[row::QosRule]) -> Qos {
    let limit = |direction: &str| {
        let mut limits = rules.iter().filter(|rule| rule.direction == direction);
        limits.find_map(bandwidth)
    };
    let mut marks = rules.iter().filter_map(|rule| rule.dscp_mark);
    Qos {
        ingress: limit("ingress"),
        egress: limit("egress"),
        dscp: marks.next().and_then(|mark| u8::try_from(mark).ok()),
    }
}

/// A limit of 0 is none, as in neutron.
fn bandwidth(rule: &row::QosRule) -> Option<Bandwidth> {
    let max_kbps = rule.max_kbps.filter(|max| *max > 0)?;
    let burst_kbit = match rule.max_burst_kbps.unwrap_or_default() {
        0 => (u64::from(max_kbps) * BURST_PERCENT / 100) as u32,
        given => given,
    };
    Some(Bandwidth {
        max_kbps,
        burst_kbit,
    })
}

#[cfg(test)]
mod tests {
    use model::QosRuleId;

    use super::*;

    fn rule(direction: &str, limit: Option<(u32, u32)>, mark: Option<u32>) -> row::QosRule {
        row::QosRule {
            id: QosRuleId::random(),
            qos_policy_id: QosPolicyId::random(),
            kind: String::new(),
            direction: direction.into(),
            max_kbps: limit.map(|(max, _)| max),
            max_burst_kbps: limit.map(|(_, burst)| burst),
            dscp_mark: mark,
        }
    }

    #[test]
    fn rules_come_to_limits_and_a_mark() {
        let limit = |max_kbps, burst_kbit| {
            Some(Bandwidth {
                max_kbps,
                burst_kbit,
            })
        };
        let check = |rules: &[row::QosRule], ingress, egress, dscp| {
            let expected = Qos {
                ingress,
                egress,
                dscp,
            };
            assert_eq!(effect(rules), expected);
        };
        check(&[], None, None, None);
        let in_10 = rule("ingress", Some((10, 3)), None);
        let out = |max| rule("egress", Some((max, 0)), None);
        let mark = rule("egress", None, Some(26));
        check(std::slice::from_ref(&in_10), limit(10, 3), None, None);
        check(&[mark.clone(), out(1000)], None, limit(1000, 800), Some(26));
        check(&[in_10, out(0), mark], limit(10, 3), None, Some(26));
        let most = i32::MAX as u32;
        check(&[out(most)], None, limit(most, 1_717_986_917), None);
    }
}
