//! What a message gets: a function of the message and of what its port is told.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use wire::Malformed;
use wire::dhcp6::{Association, Dhcp6, Dhcp6Option, Kind, Lease, Status};

use super::Binding;

/// IRT_DEFAULT of RFC 9915, section 7.6: how long what an Information-request brought holds.
const REFRESH_S: u32 = 86_400;
/// The codes of what is told only to those who ask for it.
const ADDRESS_REGISTRATION: u16 = 148;

/// An answer, and the addresses that the message named.
pub(super) struct Said {
    pub(super) message: Dhcp6,
    pub(super) named: Vec<Ipv6Addr>,
}

/// Answers all but a registration. What breaks the rules of section 16 is malformed.
pub(super) fn answer(binding: &Binding, duid: &[u8], asked: &Dhcp6) -> Result<Said, Malformed> {
    let client = check(duid, asked)?;
    let named = named(asked);
    let rapid = asked.options.contains(&Dhcp6Option::RapidCommit);
    let kind = match asked.kind {
        Kind::Solicit if !rapid => Kind::Advertise,
        _ => Kind::Reply,
    };
    let mut options = vec![Dhcp6Option::ServerId(duid.to_vec())];
    options.extend(client.map(|id| Dhcp6Option::ClientId(id.to_vec())));
    match asked.kind {
        Kind::Solicit | Kind::Request | Kind::Renew | Kind::Rebind => {
            options.extend(associations(binding, asked));
            options.extend(settings(binding, asked));
        }
        Kind::InformationRequest => {
            options.push(Dhcp6Option::RefreshTime(REFRESH_S));
            options.extend(settings(binding, asked));
        }
        Kind::Confirm => {
            let own = |address: &Ipv6Addr| binding.addresses.iter().any(|a| a.value == *address);
            // The address of another port is on the link, but would not be let through.
            let status = match named.iter().all(own) {
                _ if named.is_empty() => {
                    return Err(Malformed("dhcpv6 confirm without an address"));
                }
                true => Status::SUCCESS,
                false => Status::NOT_ON_LINK,
            };
            options.push(Dhcp6Option::Status(Status::of(status)));
        }
        Kind::Release | Kind::Decline => {
            options.push(Dhcp6Option::Status(Status::of(Status::SUCCESS)));
        }
        _ => return Err(Malformed("dhcpv6 kind")),
    }
    match (asked.kind, kind) {
        (Kind::Solicit, Kind::Advertise) => options.push(Dhcp6Option::Preference(u8::MAX)),
        (Kind::Solicit, _) => options.push(Dhcp6Option::RapidCommit),
        _ => {}
    }
    let message = Dhcp6 {
        kind,
        transaction: asked.transaction,
        options,
    };
    Ok(Said { message, named })
}

/// Answers a host that tells an address it made (RFC 9686, section 4.2.1): it comes from there.
pub(super) fn registered(
    on_link: &[Ipv6Net],
    source: Ipv6Addr,
    asked: &Dhcp6,
) -> Result<Said, Malformed> {
    let wrong = Malformed("dhcpv6 registration");
    let mut told = asked.options.iter().filter_map(|option| match option {
        Dhcp6Option::Address(lease) => Some(*lease),
        _ => None,
    });
    let (Some(lease), None) = (told.next(), told.next()) else {
        return Err(wrong);
    };
    let client = asked
        .options
        .iter()
        .find(|o| matches!(o, Dhcp6Option::ClientId(_)));
    let other = |option: &Dhcp6Option| {
        matches!(
            option,
            Dhcp6Option::ServerId(_) | Dhcp6Option::Addresses(_) | Dhcp6Option::Prefixes(_)
        )
    };
    let here = on_link.iter().any(|prefix| prefix.contains(&source));
    let (Some(client), true, false) = (client, here, asked.options.iter().any(other)) else {
        return Err(wrong);
    };
    if lease.value != source {
        return Err(wrong);
    }
    let message = Dhcp6 {
        kind: Kind::AddressReply,
        transaction: asked.transaction,
        options: vec![client.clone(), Dhcp6Option::Address(lease)],
    };
    let named = vec![lease.value];
    Ok(Said { message, named })
}

/// Who must name whom (section 16); gives the client's DUID.
fn check<'a>(duid: &[u8], asked: &'a Dhcp6) -> Result<Option<&'a [u8]>, Malformed> {
    let client = asked.options.iter().find_map(|option| match option {
        Dhcp6Option::ClientId(id) => Some(id.as_slice()),
        _ => None,
    });
    let server = asked.options.iter().find_map(|option| match option {
        Dhcp6Option::ServerId(id) => Some(id.as_slice()),
        _ => None,
    });
    let associations = asked
        .options
        .iter()
        .any(|o| matches!(o, Dhcp6Option::Addresses(_) | Dhcp6Option::Prefixes(_)));
    let sound = match asked.kind {
        Kind::Solicit | Kind::Confirm | Kind::Rebind => client.is_some() && server.is_none(),
        Kind::Request | Kind::Renew | Kind::Release | Kind::Decline => {
            client.is_some() && server == Some(duid)
        }
        Kind::InformationRequest => server.is_none_or(|s| s == duid) && !associations,
        _ => false,
    };
    // A DUID has a type and at most 128 octets more (section 11.1).
    let fits = client.is_none_or(|id| (3..=130).contains(&id.len()));
    match sound && fits {
        true => Ok(client),
        false => Err(Malformed("dhcpv6 identifiers")),
    }
}

/// All addresses that a message names.
fn named(asked: &Dhcp6) -> Vec<Ipv6Addr> {
    let leases = asked.options.iter().filter_map(|option| match option {
        Dhcp6Option::Addresses(association) => Some(&association.leases),
        _ => None,
    });
    leases.flatten().map(|lease| lease.value).collect()
}

/// Everything is for the first association of its kind: an address can be in one only.
fn associations(binding: &Binding, asked: &Dhcp6) -> Vec<Dhcp6Option> {
    let (mut addresses, mut prefixes) = (&binding.addresses[..], &binding.prefixes[..]);
    let mut options = Vec::new();
    for option in &asked.options {
        match option {
            Dhcp6Option::Addresses(wish) => {
                let own = std::mem::take(&mut addresses);
                let given = given(own, wish, asked.kind, Status::NO_ADDRS_AVAIL);
                options.push(Dhcp6Option::Addresses(given));
            }
            Dhcp6Option::Prefixes(wish) => {
                let own = std::mem::take(&mut prefixes);
                let given = given(own, wish, asked.kind, Status::NO_PREFIX_AVAIL);
                options.push(Dhcp6Option::Prefixes(given));
            }
            _ => {}
        }
    }
    options
}

/// What is the port's own, and with 0 s what else a client that extends its leases names; `none`
/// says why nothing is.
fn given<T: Copy + PartialEq>(
    own: &[Lease<T>],
    wish: &Association<T>,
    kind: Kind,
    none: u16,
) -> Association<T> {
    let foreign = |wish: &&Lease<T>| own.iter().all(|lease| lease.value != wish.value);
    let foreign = wish.leases.iter().filter(foreign);
    let ended = foreign.filter(|_| extends(kind)).map(|lease| Lease {
        preferred_s: 0,
        valid_s: 0,
        ..*lease
    });
    let leases: Vec<_> = own.iter().copied().chain(ended).collect();
    let (renew_s, rebind_s) = times(own);
    Association {
        id: wish.id,
        renew_s,
        rebind_s,
        status: status(leases.is_empty(), kind, none),
        leases,
    }
}

/// Whether the client would keep what it names: then it must hear what of it is not its own.
fn extends(kind: Kind) -> bool {
    matches!(kind, Kind::Renew | Kind::Rebind)
}

fn status(nothing: bool, kind: Kind, none: u16) -> Option<Status> {
    nothing.then(|| match extends(kind) {
        true => Status::of(Status::NO_BINDING),
        false => Status::of(none),
    })
}

/// T1 and T2: 0.5 and 0.8 of the shortest preferred lifetime (section 14.2).
fn times<T>(own: &[Lease<T>]) -> (u32, u32) {
    let shortest = own.iter().map(|lease| lease.preferred_s).min().unwrap_or(0);
    (shortest / 2, shortest / 5 * 4)
}

/// What a port is told beside its leases: always where to find names, the rest when it is asked for.
fn settings(binding: &Binding, asked: &Dhcp6) -> Vec<Dhcp6Option> {
    let wishes = asked.options.iter().find_map(|option| match option {
        Dhcp6Option::OptionRequest(codes) => Some(codes.as_slice()),
        _ => None,
    });
    let asks = |code: u16| wishes.is_some_and(|codes| codes.contains(&code));
    let mut options = Vec::new();
    if !binding.dns.is_empty() {
        options.push(Dhcp6Option::DnsServers(binding.dns.clone()));
    }
    let domains: Vec<_> = binding
        .domains
        .iter()
        .filter_map(|d| d.parse().ok())
        .collect();
    if !domains.is_empty() {
        options.push(Dhcp6Option::DomainSearch(domains));
    }
    let ntp = Dhcp6Option::NtpServers(binding.ntp.clone());
    if !binding.ntp.is_empty() && asks(ntp.code()) {
        options.push(ntp);
    }
    let boot = binding.bootfile_url.as_ref();
    let boot = boot.map(|url| Dhcp6Option::BootfileUrl(url.clone().into_bytes()));
    options.extend(boot.filter(|option| asks(option.code())));
    for (code, value) in binding.extra.iter().filter(|(code, _)| asks(*code)) {
        options.retain(|option| option.code() != *code);
        options.push(Dhcp6Option::Other {
            code: *code,
            value: value.clone(),
        });
    }
    if asks(ADDRESS_REGISTRATION) {
        options.push(Dhcp6Option::AddressRegistration);
    }
    options
}
