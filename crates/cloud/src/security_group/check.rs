//! What a rule may say.

use ipnet::IpNet;
use model::{Error, ProjectId, Result, RuleId};
use store::row;

use super::NewRule;
use crate::{list, now_ms};

/// The protocols a rule may name, by the network API's words; numbers are taken too.
const PROTOCOLS: [&str; 12] = [
    "tcp",
    "udp",
    "icmp",
    "icmpv6",
    "ipv6-icmp",
    "sctp",
    "dccp",
    "udplite",
    "ah",
    "esp",
    "gre",
    "vrrp",
];

/// A new rule in its normal form.
///
/// # Errors
/// `Invalid` when it says what no rule can.
pub(super) fn check_rule(new: &NewRule, project: &ProjectId) -> Result<row::Rule> {
    list::check_name("description", &new.description)?;
    if !["ingress", "egress"].contains(&new.direction.as_str()) {
        return Err(Error::invalid(format!(
            "direction must be ingress or egress, not '{}'",
            new.direction
        )));
    }
    let ethertype = match new.ethertype.to_ascii_lowercase().as_str() {
        "ipv6" => "IPv6",
        "ipv4" => "IPv4",
        _ => {
            return Err(Error::invalid(format!(
                "ethertype must be IPv6 or IPv4, not '{}'",
                new.ethertype
            )));
        }
    };
    let protocol = normal_protocol(new.protocol.as_deref(), ethertype)?;
    let remotes = [
        new.remote_ip_prefix.is_some(),
        new.remote_group.is_some(),
        new.remote_address_group.is_some(),
    ];
    if remotes.iter().filter(|given| **given).count() > 1 {
        return Err(Error::invalid(
            "Only one of remote_ip_prefix, remote_group_id and remote_address_group_id may be provided.",
        ));
    }
    let (port_range_min, port_range_max) = range(protocol.as_deref(), new)?;
    Ok(row::Rule {
        id: RuleId::random(),
        security_group_id: new.group,
        project_id: project.clone(),
        description: new.description.clone(),
        direction: new.direction.clone(),
        ethertype: ethertype.to_owned(),
        protocol,
        port_range_min,
        port_range_max,
        remote_ip_prefix: new
            .remote_ip_prefix
            .as_deref()
            .map(|p| check_prefix(p, ethertype))
            .transpose()?,
        remote_group_id: new.remote_group,
        created_ms: now_ms(),
        remote_address_group_id: new.remote_address_group,
    })
}

/// ICMP for IPv6 has several names; one is kept.
fn normal_protocol(protocol: Option<&str>, ethertype: &str) -> Result<Option<String>> {
    let Some(text) = protocol
        .map(str::to_ascii_lowercase)
        .filter(|p| !matches!(p.as_str(), "" | "any" | "0"))
    else {
        return Ok(None);
    };
    let known = PROTOCOLS.contains(&text.as_str()) || text.parse::<u8>().is_ok();
    if !known {
        return Err(Error::invalid(format!(
            "protocol '{text}' is not supported: use {} or a number from 0 to 255",
            PROTOCOLS.join(", ")
        )));
    }
    let icmpv6 = matches!(text.as_str(), "icmpv6" | "ipv6-icmp" | "58");
    match (ethertype, text.as_str()) {
        ("IPv6", "icmp" | "1") => Ok(Some("ipv6-icmp".into())),
        ("IPv6", _) if icmpv6 => Ok(Some("ipv6-icmp".into())),
        ("IPv4", _) if icmpv6 => Err(Error::invalid(format!(
            "Invalid ethertype IPv4 for protocol {text}."
        ))),
        _ => Ok(Some(text)),
    }
}

/// The range as a rule holds it.
fn range(protocol: Option<&str>, new: &NewRule) -> Result<(Option<u32>, Option<u32>)> {
    let (min, max) = (new.port_range_min, new.port_range_max);
    if min.is_none() && max.is_none() {
        return Ok((None, None));
    }
    match protocol {
        Some("icmp" | "ipv6-icmp") => icmp_range(min, max),
        Some("tcp" | "udp" | "sctp" | "dccp" | "udplite" | "6" | "17" | "132" | "33" | "136") => {
            port_range(min, max)
        }
        _ => Err(Error::invalid(
            "Must also specify protocol if port range is given.",
        )),
    }
}

/// A type, and a code of it.
fn icmp_range(kind: Option<i64>, code: Option<i64>) -> Result<(Option<u32>, Option<u32>)> {
    let octet = |what: &str, value: i64| {
        let octet = u8::try_from(value).map(u32::from);
        octet.map_err(|_| {
            Error::invalid(format!(
                "Invalid value for ICMP {what}: {value}. It must be 0 to 255."
            ))
        })
    };
    let kind = kind.ok_or_else(|| {
        Error::invalid(
            "ICMP code (port-range-max) is provided but ICMP type (port-range-min) is missing.",
        )
    })?;
    let kind = octet("type (port_range_min)", kind)?;
    let code = code.map(|code| octet("code (port_range_max)", code));
    Ok((Some(kind), code.transpose()?))
}

fn port_range(min: Option<i64>, max: Option<i64>) -> Result<(Option<u32>, Option<u32>)> {
    let port = |value: i64| match u16::try_from(value) {
        Ok(port) if port > 0 => Ok(u32::from(port)),
        _ => Err(Error::invalid(format!(
            "Invalid value for port {value}: it must be 1 to 65535."
        ))),
    };
    let (min, max) = (min.map(port).transpose()?, max.map(port).transpose()?);
    match min.is_some_and(|min| max.is_some_and(|max| min <= max)) {
        true => Ok((min, max)),
        false => Err(Error::invalid(
            "For TCP/UDP protocols, port_range_min must be <= port_range_max",
        )),
    }
}

fn check_prefix(text: &str, ethertype: &str) -> Result<String> {
    let wrong = || {
        Error::invalid(format!(
            "'{text}' is not a valid {ethertype} prefix for remote_ip_prefix"
        ))
    };
    let net: IpNet = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<std::net::IpAddr>().map_err(|_| wrong())?),
    };
    if matches!(net, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
        return Err(wrong());
    }
    match (net, ethertype) {
        (IpNet::V6(_), "IPv6") | (IpNet::V4(_), "IPv4") => Ok(net.to_string()),
        _ => Err(Error::invalid(format!(
            "Conflicting value ethertype {ethertype} for CIDR {text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use model::SecurityGroupId;

    use super::*;

    fn rule(edit: impl FnOnce(&mut NewRule)) -> Result<row::Rule> {
        let mut new = NewRule {
            group: SecurityGroupId::random(),
            description: String::new(),
            direction: "ingress".into(),
            ethertype: "IPv6".into(),
            protocol: Some("tcp".into()),
            port_range_min: Some(22),
            port_range_max: Some(22),
            remote_ip_prefix: None,
            remote_group: None,
            remote_address_group: None,
        };
        edit(&mut new);
        check_rule(&new, &"p".into())
    }

    #[test]
    fn rules_are_checked_and_made_normal() {
        assert_eq!(rule(|_| ()).unwrap().protocol.as_deref(), Some("tcp"));
        let icmp = rule(|r| {
            (r.protocol, r.port_range_min, r.port_range_max) = (Some("icmp".into()), None, None)
        })
        .unwrap();
        assert_eq!(icmp.protocol.as_deref(), Some("ipv6-icmp"));
        let bare = rule(|r| r.remote_ip_prefix = Some("2001:db8::1".into())).unwrap();
        assert_eq!(bare.remote_ip_prefix.as_deref(), Some("2001:db8::1/128"));
    }

    #[test]
    fn wrong_rules_are_refused() {
        assert!(rule(|r| r.direction = "sideways".into()).is_err());
        assert!(rule(|r| r.ethertype = "IPv5".into()).is_err());
        assert!(rule(|r| r.port_range_max = Some(21)).is_err());
        for (min, max, why) in [
            (Some(-16), Some(80), "Invalid value for port -16"),
            (Some(80), Some(65_536), "Invalid value for port 65536"),
            (Some(0), Some(80), "Invalid value for port 0"),
            (
                Some(80),
                Some(79),
                "port_range_min must be <= port_range_max",
            ),
            (None, Some(6), "port_range_min must be <= port_range_max"),
        ] {
            let refused = rule(|r| (r.port_range_min, r.port_range_max) = (min, max)).unwrap_err();
            assert!(refused.to_string().contains(why), "{refused}");
        }
        for (kind, code, why) in [
            (Some(1), Some(256), "ICMP code"),
            (Some(300), Some(1), "ICMP type"),
            (Some(-1), None, "ICMP type"),
            (None, Some(6), "is missing"),
        ] {
            let refused = rule(|r| {
                (r.port_range_min, r.port_range_max) = (kind, code);
                r.protocol = Some("icmp".into());
            });
            let refused = refused.unwrap_err();
            assert!(refused.to_string().contains(why), "{refused}");
        }
        assert!(rule(|r| r.protocol = None).is_err());
        assert!(rule(|r| r.protocol = Some("carrier-pigeon".into())).is_err());
        assert!(rule(|r| r.remote_ip_prefix = Some("192.0.2.0/24".into())).is_err());
    }
}
