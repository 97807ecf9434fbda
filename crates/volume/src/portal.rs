//! Where volumes are served, as an operator writes it. `SocketAddrV6` is the type from here on, and
//! its own text has the brackets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

/// iSCSI's port (RFC 7143, section 14).
pub const PORT: u16 = 3260;

/// Reads `ADDRESS`, `[ADDRESS]` or `[ADDRESS]:PORT`; `$my_ip` and `${my_ip}` stand for an address
/// that is given elsewhere.
///
/// # Errors
/// A sentence that names the text, the reason and what to write instead.
pub fn parse(text: &str, my_ip: Option<Ipv6Addr>) -> Result<SocketAddrV6, String> {
    let text = text.trim();
    let (host, port) = split(text)?;
    let address = match host {
        "$my_ip" | "${my_ip}" => my_ip.ok_or_else(|| {
            format!("portal '{text}' needs my_ip: give this node's address as [node] my_ip")
        })?,
        literal => literal.parse().map_err(|_| no_address(text, literal))?,
    };
    usable(address).map_err(|why| format!("portal '{text}': {why}"))?;
    Ok(SocketAddrV6::new(address, port, 0, 0))
}

/// Whether others can reach a service at an address that is written down for them.
///
/// # Errors
/// Half a sentence that says why not.
pub fn usable(address: Ipv6Addr) -> Result<(), String> {
    let why = if address.is_unspecified() {
        "is no address that a client could connect to; give one of this node's own"
    } else if address.is_multicast() {
        "is a group; give one of this node's own addresses"
    } else if address.is_unicast_link_local() {
        "is link-local, and means something else on every link; give a global or unique local one"
    } else if address.to_ipv4_mapped().is_some() {
        "stands for an IPv4 address; volumes are served over IPv6 only"
    } else {
        return Ok(());
    };
    Err(format!("{address} {why}"))
}

fn split(text: &str) -> Result<(&str, u16), String> {
    let Some(rest) = text.strip_prefix('[') else {
        return match text
            .strip_prefix("$my_ip:")
            .or(text.strip_prefix("${my_ip}:"))
        {
            Some(port) => Err(format!(
                "portal '{text}' has a port and no brackets: write [$my_ip]:{port}"
            )),
            None => Ok((text, PORT)),
        };
    };
    let malformed = || format!("portal '{text}' must be ADDRESS, [ADDRESS] or [ADDRESS]:PORT");
    let (host, after) = rest.split_once(']').ok_or_else(malformed)?;
    let port = match after.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| malformed())?,
        None if after.is_empty() => PORT,
        None => return Err(malformed()),
    };
    Ok((host, port))
}

fn no_address(text: &str, host: &str) -> String {
    let first = host.split(':').next().unwrap_or_default();
    if first.parse::<Ipv4Addr>().is_ok() {
        return format!("portal '{text}' is an IPv4 address: volumes are served over IPv6 only");
    }
    if host.contains('%') {
        return format!(
            "portal '{text}' has a zone, which means something on this node only; give a global or unique local address"
        );
    }
    format!(
        "portal '{text}' is no IPv6 address: write [ADDRESS]:PORT, such as [2001:db8::5]:{PORT}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portals_are_read_with_and_without_brackets() {
        let my_ip = Some("2001:db8::5".parse().unwrap());
        for (text, expected) in [
            ("::1", "[::1]:3260"),
            ("[::1]", "[::1]:3260"),
            ("[::1]:3260", "[::1]:3260"),
            ("[::1]:0", "[::1]:0"),
            (" [2001:DB8:0::1]:860 ", "[2001:db8::1]:860"),
            ("2001:db8::1", "[2001:db8::1]:3260"),
            ("fd00::1", "[fd00::1]:3260"),
            ("$my_ip", "[2001:db8::5]:3260"),
            ("${my_ip}", "[2001:db8::5]:3260"),
            ("[$my_ip]", "[2001:db8::5]:3260"),
            ("[${my_ip}]", "[2001:db8::5]:3260"),
            ("[$my_ip]:3261", "[2001:db8::5]:3261"),
            ("[${my_ip}]:0", "[2001:db8::5]:0"),
        ] {
            assert_eq!(parse(text, my_ip).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_no_client_can_use_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no IPv6 address"),
            ("cloud.example", "no IPv6 address"),
            ("192.0.2.1", "IPv4"),
            ("192.0.2.1:3260", "IPv4"),
            ("[192.0.2.1]:3260", "IPv4"),
            ("[::ffff:192.0.2.1]:3260", "IPv4"),
            ("fe80::1", "link-local"),
            ("[fe80::1%eth0]:3260", "zone"),
            ("::", "no address that a client"),
            ("[::]:3260", "no address that a client"),
            ("ff02::1", "a group"),
            ("[::1", "must be"),
            ("[::1]3260", "must be"),
            ("[::1]:65536", "must be"),
            ("[::1]:", "must be"),
            ("$my_ip", "needs my_ip"),
            ("$my_ip:3260", "write [$my_ip]:3260"),
            ("${my_ip}:3260", "write [$my_ip]:3260"),
            ("$mine", "no IPv6 address"),
        ] {
            let error = parse(text, None).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains(text), "{error}");
        }
        assert!(parse("$my_ip", Some("fe80::1".parse().unwrap())).is_err());
    }
}
