//! Options of DHCP that a user gives a port (`extra_dhcp_opts`): names become codes, and texts what
//! stands in a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use model::{DhcpOption, Error, Result};
use store::row::ExtraDhcpOption;

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Text,
    /// Addresses of the option's family, separated by commas.
    Addresses,
    /// Domain names, separated by commas, uncompressed.
    Domains,
    /// `DESTINATION,ROUTER` again and again (RFC 3442).
    Routes,
    U16,
    U32,
    /// NTP servers of DHCPv6: a suboption for each (RFC 5908).
    NtpServers,
}

/// Names as dnsmasq and neutron's users know them.
const V4: [(&str, u16, Shape); 20] = [
    ("netmask", 1, Shape::Addresses),
    ("router", 3, Shape::Addresses),
    ("dns-server", 6, Shape::Addresses),
    ("log-server", 7, Shape::Addresses),
    ("hostname", 12, Shape::Text),
    ("domain-name", 15, Shape::Text),
    ("root-path", 17, Shape::Text),
    ("mtu", 26, Shape::U16),
    ("broadcast", 28, Shape::Addresses),
    ("nis-domain", 40, Shape::Text),
    ("ntp-server", 42, Shape::Addresses),
    ("lease-time", 51, Shape::U32),
    ("tftp-server", 66, Shape::Text),
    ("tftp-server-name", 66, Shape::Text),
    ("bootfile-name", 67, Shape::Text),
    ("v6-only-preferred", 108, Shape::U32),
    ("domain-search", 119, Shape::Domains),
    ("classless-static-route", 121, Shape::Routes),
    ("tftp-server-address", 150, Shape::Addresses),
    ("server-ip-address", 150, Shape::Addresses),
];
const V6: [(&str, u16, Shape); 9] = [
    ("dns-server", 23, Shape::Addresses),
    ("domain-search", 24, Shape::Domains),
    ("sntp-server", 31, Shape::Addresses),
    ("information-refresh-time", 32, Shape::U32),
    ("ntp-server", 56, Shape::NtpServers),
    ("bootfile-url", 59, Shape::Text),
    ("bootfile-name", 59, Shape::Text),
    ("bootfile-param", 60, Shape::Text),
    ("tftp-server", 59, Shape::Text),
];
/// What the protocol itself says: another value would break it.
const OURS_V4: [u16; 8] = [0, 50, 53, 54, 55, 61, 82, 255];
const OURS_V6: [u16; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 25, 26, 148];

/// Options of a port: a document must stay small enough for every node.
const MAX_OPTIONS: usize = 32;
const MAX_VALUE: usize = 255;

/// Checks what a port is given.
pub(super) fn check(options: &[ExtraDhcpOption]) -> Result<()> {
    if options.len() > MAX_OPTIONS {
        return Err(Error::invalid(format!(
            "a port takes at most {MAX_OPTIONS} extra_dhcp_opts"
        )));
    }
    for (place, option) in options.iter().enumerate() {
        let same = |o: &&ExtraDhcpOption| {
            (&o.opt_name, o.ip_version) == (&option.opt_name, option.ip_version)
        };
        if options[..place].iter().any(|o| same(&o)) {
            return Err(Error::invalid(format!(
                "extra_dhcp_opts: {} is given twice for IPv{}",
                option.opt_name, option.ip_version
            )));
        }
        document(option)?;
    }
    Ok(())
}

/// As neutron does: what is named changes or goes, the rest stays.
pub(super) fn change(
    options: &mut Vec<ExtraDhcpOption>,
    changes: &[(String, u32, Option<String>)],
) {
    for (name, ip_version, value) in changes {
        options.retain(|o| (&o.opt_name, o.ip_version) != (name, *ip_version));
        options.extend(value.clone().map(|opt_value| ExtraDhcpOption {
            opt_name: name.clone(),
            opt_value,
            ip_version: *ip_version,
        }));
    }
}

/// The option as nodes know it; `None` when its value is of the other family, and so says nothing.
pub(crate) fn document(option: &ExtraDhcpOption) -> Result<Option<DhcpOption>> {
    let refused = |why: &str| {
        Error::invalid(format!(
            "extra_dhcp_opts: {} '{}' {why}",
            option.opt_name, option.opt_value
        ))
    };
    let ipv6 = match option.ip_version {
        4 => false,
        6 => true,
        _ => return Err(refused("has an ip_version that is neither 4 nor 6")),
    };
    let (code, shape) = match meaning(&option.opt_name, ipv6) {
        Some(found) => found,
        None => {
            return Err(refused(
                "is no option this cloud knows: give its name as dnsmasq has it, or its number",
            ));
        }
    };
    if option.opt_value.is_empty() || option.opt_value.len() > MAX_VALUE {
        return Err(refused("must have 1 to 255 characters"));
    }
    let other_family = option
        .opt_value
        .parse::<IpAddr>()
        .is_ok_and(|a| a.is_ipv6() != ipv6);
    if shape == Shape::Addresses && other_family {
        return Ok(None);
    }
    let value = encode(shape, ipv6, &option.opt_value);
    let value = value.ok_or_else(|| refused("is not what this option holds"))?;
    Ok(Some(DhcpOption { ipv6, code, value }))
}

/// A name's code; a number is an option that holds a text.
fn meaning(name: &str, ipv6: bool) -> Option<(u16, Shape)> {
    let known: &[_] = if ipv6 { &V6 } else { &V4 };
    if let Some((_, code, shape)) = known.iter().find(|(n, ..)| *n == name) {
        return Some((*code, *shape));
    }
    let code: u16 = name.parse().ok()?;
    let ours: &[u16] = if ipv6 { &OURS_V6 } else { &OURS_V4 };
    let fits = !ours.contains(&code) && code != 0 && (ipv6 || code < 255);
    let shape = known.iter().find(|(_, c, _)| *c == code);
    fits.then(|| (code, shape.map_or(Shape::Text, |(.., shape)| *shape)))
}

fn encode(shape: Shape, ipv6: bool, text: &str) -> Option<Vec<u8>> {
    let words = || text.split(',').map(str::trim);
    match shape {
        Shape::Text => Some(text.as_bytes().to_vec()),
        Shape::U16 => text.parse::<u16>().ok().map(|n| n.to_be_bytes().into()),
        Shape::U32 => text.parse::<u32>().ok().map(|n| n.to_be_bytes().into()),
        Shape::Addresses => words()
            .map(|word| address(ipv6, word))
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat()),
        Shape::NtpServers => {
            let server = |word| {
                let octets = address(true, word)?;
                Some([&[0, 1, 0, 16][..], &octets].concat())
            };
            words()
                .map(server)
                .collect::<Option<Vec<_>>>()
                .map(|all| all.concat())
        }
        Shape::Domains => words()
            .map(domain)
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat()),
        Shape::Routes => {
            let words: Vec<_> = words().collect();
            let pairs = words.chunks(2).map(|pair| match pair {
                [to, by] => route(to.parse().ok()?, by.parse().ok()?),
                _ => None,
            });
            pairs.collect::<Option<Vec<_>>>().map(|all| all.concat())
        }
    }
}

fn address(ipv6: bool, word: &str) -> Option<Vec<u8>> {
    match ipv6 {
        true => word.parse::<Ipv6Addr>().ok().map(|a| a.octets().into()),
        false => word.parse::<Ipv4Addr>().ok().map(|a| a.octets().into()),
    }
}

/// Labels with their lengths, and the root (RFC 1035, section 3.1).
fn domain(name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let sound = label
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !sound || label.is_empty() || label.len() > 63 {
            return None;
        }
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    (out.len() <= 255).then_some(out)
}

fn route(to: Ipv4Net, by: Ipv4Addr) -> Option<Vec<u8>> {
    let octets = usize::from(to.prefix_len().div_ceil(8));
    let mut out = vec![to.prefix_len()];
    out.extend(&to.network().octets()[..octets]);
    out.extend(by.octets());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, value: &str, ip_version: u32) -> ExtraDhcpOption {
        ExtraDhcpOption {
            opt_name: name.into(),
            opt_value: value.into(),
            ip_version,
        }
    }

    #[test]
    fn names_and_texts_become_codes_and_octets() {
        let check = |name: &str, value: &str, version, code: u16, octets: &[u8]| {
            let made = document(&option(name, value, version)).unwrap().unwrap();
            assert_eq!((made.code, made.value.as_slice()), (code, octets), "{name}");
        };
        check("mtu", "1400", 4, 26, &[5, 120]);
        check(
            "dns-server",
            "192.0.2.1, 192.0.2.2",
            4,
            6,
            &[192, 0, 2, 1, 192, 0, 2, 2],
        );
        check("bootfile-name", "pxelinux.0", 4, 67, b"pxelinux.0");
        check(
            "classless-static-route",
            "10.0.0.0/8,192.0.2.1",
            4,
            121,
            &[8, 10, 192, 0, 2, 1],
        );
        check("domain-search", "a.example", 6, 24, b"\x01a\x07example\x00");
        check(
            "bootfile-url",
            "tftp://[2001:db8::1]/x",
            6,
            59,
            b"tftp://[2001:db8::1]/x",
        );
        check("224", "abc", 4, 224, b"abc");
        check("26", "1400", 4, 26, &[5, 120]);
        let ntp = document(&option("ntp-server", "2001:db8::1", 6))
            .unwrap()
            .unwrap();
        assert_eq!(
            (ntp.code, &ntp.value[..6]),
            (56, &[0, 1, 0, 16, 0x20, 1][..])
        );
    }

    #[test]
    fn an_address_of_the_other_family_says_nothing() {
        assert_eq!(
            document(&option("server-ip-address", "2001:db8::1", 4)).unwrap(),
            None
        );
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for (name, value, version) in [
            ("carrier-pigeon", "x", 4),
            ("53", "x", 4),
            ("255", "x", 4),
            ("3", "", 4),
            ("2", "x", 6),
            ("0", "x", 6),
            ("mtu", "big", 4),
            ("dns-server", "nowhere", 6),
            ("domain-search", "a..b", 6),
            ("classless-static-route", "10.0.0.0/8", 4),
            ("mtu", "1400", 5),
        ] {
            assert!(
                document(&option(name, value, version)).is_err(),
                "{name} {value}"
            );
        }
        let twice = [option("mtu", "1400", 4), option("mtu", "1401", 4)];
        assert!(check(&twice).is_err());
    }
}
