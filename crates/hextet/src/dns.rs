//! `[dns]` of the settings: the names of this cloud, and who knows all others.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Where the system keeps the addresses of its resolvers.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DnsConfig {
    /// Resolvers that are asked for all names but this cloud's, with brackets and port or without.
    /// Those of IPv6 in `/etc/resolv.conf` when left out; `[]` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstreams: Option<Vec<String>>,
    /// What names end in on networks that have no `dns_domain` of their own.
    pub(crate) dns_domain: String,
}

impl Default for DnsConfig {
    fn default() -> DnsConfig {
        DnsConfig {
            upstreams: None,
            dns_domain: model::dns::DEFAULT_DOMAIN.into(),
        }
    }
}

impl DnsConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == DnsConfig::default()
    }

    /// The resolvers that were named.
    ///
    /// # Errors
    /// A sentence that says which setting cannot be, and why.
    pub(crate) fn named(&self) -> Result<Option<Vec<SocketAddrV6>>, String> {
        let texts = self.upstreams.as_deref();
        texts
            .map(|texts| texts.iter().map(|text| resolver(text)).collect())
            .transpose()
            .map_err(|why: String| format!("[dns] upstreams: {why}"))
    }

    /// Who is asked: those that were named, or the system's.
    ///
    /// # Errors
    /// As [`DnsConfig::named`].
    pub(crate) fn upstreams(&self) -> Result<Vec<SocketAddrV6>, String> {
        Ok(self.named()?.unwrap_or_else(of_system))
    }
}

/// The system's resolvers that are reached over IPv6.
pub(crate) fn of_system() -> Vec<SocketAddrV6> {
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    of_resolv_conf(&text)
}

/// Reads a resolver's address, with brackets and port or without.
///
/// # Errors
/// A sentence that says why it cannot be.
pub(crate) fn resolver(text: &str) -> Result<SocketAddrV6, String> {
    let wrong = |why: &str| format!("'{text}' {why}");
    let (host, port) = model::parse_host_port(text)
        .ok_or_else(|| wrong("is no address, with brackets and a port or without"))?;
    match host.parse() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => Err(wrong(
            "stands for an IPv4 address: resolvers are asked over IPv6 only",
        )),
        Ok(IpAddr::V6(address)) if address.is_unicast_link_local() => Err(wrong(
            "is a link-local address: it does not say on which link",
        )),
        Ok(IpAddr::V6(address)) if address.is_multicast() || address.is_unspecified() => {
            Err(wrong("is the address of no host"))
        }
        Ok(IpAddr::V6(address)) => Ok(SocketAddrV6::new(address, port.unwrap_or(PORT), 0, 0)),
        Ok(IpAddr::V4(_)) => Err(wrong(
            "is an IPv4 address: resolvers are asked over IPv6 only",
        )),
        Err(_) => Err(wrong(
            "is a name: who answers for names cannot be looked up by name",
        )),
    }
}

/// The resolvers of IPv6 that resolv.conf(5) names. One on a link is named with its link.
fn of_resolv_conf(text: &str) -> Vec<SocketAddrV6> {
    let servers = nameservers(text).filter_map(|(_, text)| {
        let (address, scope) = match text.split_once('%') {
            Some((address, link)) => (address, link_index(link)?),
            None => (text, 0),
        };
        let address: Ipv6Addr = address.parse().ok()?;
        let usable =
            address.to_ipv4_mapped().is_none() && (scope != 0 || !address.is_unicast_link_local());
        usable.then(|| SocketAddrV6::new(address, PORT, 0, scope))
    });
    servers.collect()
}

/// The resolvers of both families that resolv.conf(5) names, as written, each with its line.
pub(crate) fn nameservers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).filter_map(|(line, number)| {
        let mut words = line.split_whitespace();
        let named = (words.next() == Some("nameserver")).then(|| words.next())?;
        Some((number, named?))
    })
}

/// The number of a link of this host.
fn link_index(link: &str) -> Option<u32> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if link.parse::<u32>().is_ok() || !link.chars().all(plain) || link.starts_with('.') {
        return link.parse().ok();
    }
    let path = Path::new("/sys/class/net").join(link).join("ifindex");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(servers: &[SocketAddrV6]) -> Vec<String> {
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn upstreams_are_addresses_of_ipv6() {
        let named = |text: &str| toml::from_str::<DnsConfig>(text).unwrap().named();
        assert_eq!(named("").unwrap(), None);
        assert_eq!(named("upstreams = []").unwrap(), Some(Vec::new()));
        let three = "upstreams = ['[2001:db8::53]:5353', '2001:db8::53', '[2001:db8::54]']";
        assert_eq!(
            shown(&named(three).unwrap().unwrap()),
            [
                "[2001:db8::53]:5353",
                "[2001:db8::53]:53",
                "[2001:db8::54]:53"
            ]
        );
        for (text, reason) in [
            ("192.0.2.53", "is an IPv4 address"),
            ("192.0.2.53:53", "is an IPv4 address"),
            ("::ffff:192.0.2.53", "stands for an IPv4 address"),
            ("fe80::1", "link-local"),
            ("ff02::1", "of no host"),
            ("::", "of no host"),
            ("dns.example", "is a name"),
            ("[2001:db8::53", "is no address"),
            ("[2001:db8::53]:port", "is no address"),
            ("", "is no address"),
        ] {
            let error = named(&format!("upstreams = ['{text}']")).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_systems_resolvers_are_those_of_ipv6() {
        let text = "# nameserver 2001:db8::1\nsearch example\nnameserver 127.0.0.53\n\
                    nameserver 2001:db8::53 \n nameserver\t::1\nnameserver fe80::1\n\
                    nameserver fe80::1%lo\nnameserver fe80::1%7\nnameserver fe80::1%../x\n\
                    nameserver ::ffff:192.0.2.1\nnameserver\noptions edns0\n";
        assert_eq!(
            shown(&of_resolv_conf(text)),
            [
                "[2001:db8::53]:53",
                "[::1]:53",
                "[fe80::1%1]:53",
                "[fe80::1%7]:53"
            ]
        );
        assert_eq!(of_resolv_conf(""), []);
    }
}
