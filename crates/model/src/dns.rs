//! Names of ports. The API shows them and nodes answer for them, so both make them here.

use std::net::IpAddr;

/// The domain of a cloud whose settings say nothing.
pub const DEFAULT_DOMAIN: &str = "openstacklocal.";

/// What one address of a port is called (`dns_assignment`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The first part, or all of a name that was given whole.
    pub hostname: String,
    /// With the dot at its end.
    pub fqdn: String,
}

/// The name of an address of a port that has the name `dns_name`, or none, in a domain. Domains
/// end in a dot, and so does a name that is whole.
pub fn assignment(dns_name: &str, domain: &str, address: IpAddr) -> Assignment {
    let hostname = match dns_name {
        "" => format!("host-{}", address.to_string().replace(['.', ':'], "-")),
        name => name.to_owned(),
    };
    let fqdn = match hostname.ends_with('.') {
        true => hostname.clone(),
        false => format!("{hostname}.{domain}"),
    };
    Assignment { hostname, fqdn }
}

/// The domain of a port's name: its own, or its network's. A port without a name has only the latter.
pub fn domain_of<'a>(dns_name: &str, own: &'a str, network: &'a str) -> &'a str {
    match dns_name.is_empty() || own.is_empty() {
        true => network,
        false => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_called_by_their_ports_name() {
        for (name, address, hostname, fqdn) in [
            ("web", "192.0.2.1", "web", "web.a.example."),
            (
                "web.a.example.",
                "2001:db8::1",
                "web.a.example.",
                "web.a.example.",
            ),
            (
                "",
                "192.0.2.1",
                "host-192-0-2-1",
                "host-192-0-2-1.a.example.",
            ),
            (
                "",
                "2001:db8::1",
                "host-2001-db8--1",
                "host-2001-db8--1.a.example.",
            ),
        ] {
            let made = assignment(name, "a.example.", address.parse().unwrap());
            assert_eq!(
                (made.hostname.as_str(), made.fqdn.as_str()),
                (hostname, fqdn)
            );
        }
        assert_eq!(domain_of("web", "own.", "network."), "own.");
        assert_eq!(domain_of("web", "", "network."), "network.");
        assert_eq!(domain_of("", "own.", "network."), "network.");
    }
}
