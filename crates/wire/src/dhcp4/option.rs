//! Options (RFC 2132): a code, a length and a value each.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::Malformed;

/// An option that a server reads or says; any other is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DhcpOption {
    SubnetMask(Ipv4Addr),
    Routers(Vec<Ipv4Addr>),
    DnsServers(Vec<Ipv4Addr>),
    /// Whatever octets the client calls its name.
    HostName(Vec<u8>),
    DomainName(Vec<u8>),
    Mtu(u16),
    Broadcast(Ipv4Addr),
    RequestedAddress(Ipv4Addr),
    LeaseTime(u32),
    Kind(Kind),
    ServerId(Ipv4Addr),
    /// Codes of the options that the client would have.
    ParameterList(Vec<u8>),
    /// T1, in seconds.
    RenewalTime(u32),
    /// T2, in seconds.
    RebindingTime(u32),
    ClientId(Vec<u8>),
    /// Destinations with their routers; `0.0.0.0` stands for the link itself (RFC 3442).
    Routes(Vec<(Ipv4Net, Ipv4Addr)>),
    Other {
        code: u8,
        value: Vec<u8>,
    },
}

/// What a message is about (RFC 2132, section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Discover,
        Kind::Offer,
        Kind::Request,
        Kind::Decline,
        Kind::Ack,
        Kind::Nak,
        Kind::Release,
        Kind::Inform,
    ];

    fn parse(value: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(value).checked_sub(1)?).copied()
    }
}

const PAD: u8 = 0;
const END: u8 = 255;
const OVERLOAD: u8 = 52;

/// Reads the options' own field, and those of the other two that it says hold options (RFC 2131,
/// section 4.1). Parts of one option are joined (RFC 3396).
pub(super) fn parse(
    options: &[u8],
    file: &[u8],
    sname: &[u8],
) -> Result<Vec<DhcpOption>, Malformed> {
    let mut found = Vec::new();
    collect(options, &mut found)?;
    let overload = found.iter().position(|(code, _)| *code == OVERLOAD);
    let fields = overload.map_or(0, |at| match found.remove(at).1[..] {
        [fields] => fields,
        _ => 0,
    });
    for (bit, field) in [(1, file), (2, sname)] {
        if fields & bit != 0 {
            collect(field, &mut found)?;
        }
    }
    // Said there, it would mean nothing.
    found.retain(|(code, _)| *code != OVERLOAD);
    let read = |(code, value)| DhcpOption::parse(code, value);
    found.into_iter().map(read).collect()
}

fn collect(mut rest: &[u8], found: &mut Vec<(u8, Vec<u8>)>) -> Result<(), Malformed> {
    let cut = Malformed("dhcp option's length");
    while let Some((&code, after)) = rest.split_first() {
        rest = match code {
            PAD => after,
            END => return Ok(()),
            _ => {
                let (&length, after) = after.split_first().ok_or(cut)?;
                let (value, after) = after.split_at_checked(length.into()).ok_or(cut)?;
                match found.iter_mut().find(|(c, _)| *c == code) {
                    Some((_, whole)) => whole.extend(value),
                    None => found.push((code, value.to_vec())),
                }
                after
            }
        };
    }
    Ok(())
}

/// Appends options and their end. One of more than 255 octets is said in parts (RFC 3396).
pub(super) fn emit(options: &[DhcpOption], out: &mut Vec<u8>) {
    for option in options {
        let (code, value) = option.value();
        if value.is_empty() {
            out.extend([code, 0]);
        }
        for part in value.chunks(255) {
            out.extend([code, part.len() as u8]);
            out.extend(part);
        }
    }
    out.push(END);
}

impl DhcpOption {
    /// By which the registry knows it.
    pub fn code(&self) -> u8 {
        self.value().0
    }

    fn parse(code: u8, value: Vec<u8>) -> Result<DhcpOption, Malformed> {
        use DhcpOption as O;
        let wrong = Malformed("dhcp option");
        Ok(match code {
            1 => O::SubnetMask(address(&value)?),
            3 => O::Routers(addresses(&value)?),
            6 => O::DnsServers(addresses(&value)?),
            12 => O::HostName(value),
            15 => O::DomainName(value),
            26 => O::Mtu(u16::from_be_bytes(fixed(&value)?)),
            28 => O::Broadcast(address(&value)?),
            50 => O::RequestedAddress(address(&value)?),
            51 => O::LeaseTime(u32::from_be_bytes(fixed(&value)?)),
            53 => O::Kind(Kind::parse(fixed::<1>(&value)?[0]).ok_or(wrong)?),
            54 => O::ServerId(address(&value)?),
            55 => O::ParameterList(value),
            58 => O::RenewalTime(u32::from_be_bytes(fixed(&value)?)),
            59 => O::RebindingTime(u32::from_be_bytes(fixed(&value)?)),
            61 => O::ClientId(value),
            121 => O::Routes(routes(&value)?),
            code => O::Other { code, value },
        })
    }

    fn value(&self) -> (u8, Vec<u8>) {
        use DhcpOption as O;
        let list = |all: &[Ipv4Addr]| all.iter().flat_map(Ipv4Addr::octets).collect();
        match self {
            O::SubnetMask(a) => (1, a.octets().into()),
            O::Routers(all) => (3, list(all)),
            O::DnsServers(all) => (6, list(all)),
            O::HostName(name) => (12, name.clone()),
            O::DomainName(name) => (15, name.clone()),
            O::Mtu(mtu) => (26, mtu.to_be_bytes().into()),
            O::Broadcast(a) => (28, a.octets().into()),
            O::RequestedAddress(a) => (50, a.octets().into()),
            O::LeaseTime(s) => (51, s.to_be_bytes().into()),
            O::Kind(kind) => (53, vec![*kind as u8 + 1]),
            O::ServerId(a) => (54, a.octets().into()),
            O::ParameterList(codes) => (55, codes.clone()),
            O::RenewalTime(s) => (58, s.to_be_bytes().into()),
            O::RebindingTime(s) => (59, s.to_be_bytes().into()),
            O::ClientId(id) => (61, id.clone()),
            O::Routes(all) => (121, all.iter().flat_map(route).collect()),
            O::Other { code, value } => (*code, value.clone()),
        }
    }
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    let wrong = Malformed("dhcp option's length");
    value.try_into().map_err(|_| wrong)
}

fn address(value: &[u8]) -> Result<Ipv4Addr, Malformed> {
    fixed::<4>(value).map(Ipv4Addr::from)
}

fn addresses(value: &[u8]) -> Result<Vec<Ipv4Addr>, Malformed> {
    value.chunks(4).map(address).collect()
}

/// `length, only as many octets of the destination as it has, router` (RFC 3442).
fn route((to, by): &(Ipv4Net, Ipv4Addr)) -> Vec<u8> {
    let octets = usize::from(to.prefix_len().div_ceil(8));
    let mut out = vec![to.prefix_len()];
    out.extend(&to.network().octets()[..octets]);
    out.extend(by.octets());
    out
}

fn routes(mut rest: &[u8]) -> Result<Vec<(Ipv4Net, Ipv4Addr)>, Malformed> {
    let wrong = Malformed("dhcp routes");
    let mut found = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let octets = usize::from(length.div_ceil(8));
        let (destination, after) = after.split_at_checked(octets).ok_or(wrong)?;
        let (by, after) = after.split_at_checked(4).ok_or(wrong)?;
        let mut whole = [0; 4];
        whole
            .get_mut(..octets)
            .ok_or(wrong)?
            .copy_from_slice(destination);
        let to = Ipv4Net::new(whole.into(), length).map_err(|_| wrong)?;
        found.push((to.trunc(), address(by)?));
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(option: DhcpOption, expected: &[u8]) {
        let mut out = Vec::new();
        emit(std::slice::from_ref(&option), &mut out);
        assert_eq!(out.split_last(), Some((&END, expected)));
        assert_eq!(parse(&out, &[], &[]), Ok(vec![option]));
    }

    #[test]
    fn golden() {
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        check(DhcpOption::SubnetMask(a), &[1, 4, 192, 0, 2, 1]);
        let two = [6, 8, 192, 0, 2, 1, 192, 0, 2, 2];
        check(DhcpOption::DnsServers(vec![a, b]), &two);
        check(DhcpOption::Kind(Kind::Inform), &[53, 1, 8]);
        check(DhcpOption::DomainName(b"a.b".into()), b"\x0f\x03a.b");
        check(DhcpOption::Mtu(1430), &[26, 2, 5, 150]);
        check(DhcpOption::LeaseTime(86_400), &[51, 4, 0, 1, 0x51, 0x80]);
        let routes = [("10.17.0.0/16", a), ("0.0.0.0/0", b), ("192.0.2.128/25", a)];
        let routes = routes.map(|(to, by)| (to.parse().unwrap(), by));
        let octets = [
            121, 21, 16, 10, 17, 192, 0, 2, 1, 0, 192, 0, 2, 2, 25, 192, 0, 2, 128, 192, 0, 2, 1,
        ];
        check(DhcpOption::Routes(routes.into()), &octets);
    }

    #[test]
    fn a_long_option_is_said_in_parts() {
        let long = DhcpOption::HostName(vec![b'x'; 300]);
        let mut out = Vec::new();
        emit(std::slice::from_ref(&long), &mut out);
        assert_eq!((out[1], out[258]), (255, 45));
        assert_eq!(parse(&out, &[], &[]), Ok(vec![long]));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for bad in [
            &[53][..],
            &[53, 1],
            &[53, 2, 1, 1],
            &[53, 1, 0],
            &[53, 1, 9],
            &[1, 3, 1, 2, 3],
            &[3, 5, 1, 2, 3, 4, 5],
            &[121, 5, 33, 1, 2, 3, 4],
            &[121, 4, 0, 1, 2, 3],
        ] {
            assert!(parse(bad, &[], &[]).is_err(), "{bad:?}");
        }
        assert_eq!(parse(&[0, 0, 255, 53], &[], &[]), Ok(Vec::new()));
    }
}
