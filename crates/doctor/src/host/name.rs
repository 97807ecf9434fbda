//! The host in the cloud's URL, as clients find it. `hextet up` judges by the same function.

use std::net::{IpAddr, Ipv6Addr};

use super::found;
use crate::finding::{Finding, Kind, Place};
use crate::table;

/// What is known of the name.
#[derive(Clone, Debug)]
pub struct Name {
    pub host: String,
    /// Its AAAA records.
    pub six: Vec<IpAddr>,
    /// Its A records.
    pub four: Vec<IpAddr>,
    /// This host's addresses.
    pub held: Vec<Held>,
    /// Where the settings say the name.
    pub place: Place,
}

/// An address that this host holds, and the interface it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub address: Ipv6Addr,
    pub interface: String,
}

/// What is wrong with the name. Where a finding is an error, clients do not get here.
pub fn check(name: &Name) -> Vec<Finding> {
    let ours = |a: &&IpAddr| name.held.iter().any(|h| IpAddr::V6(h.address) == **a);
    let (here, elsewhere): (Vec<_>, Vec<_>) = name.six.iter().partition(ours);
    let say = |kind: &'static Kind, what: String, fix: String| {
        let what = format!("the url's host '{}' {what}", name.host);
        found(kind, name.place.clone(), what, fix)
    };
    let (four, held) = (list(&name.four), shown(&name.held));
    match (here.is_empty(), name.six.is_empty(), name.four.is_empty()) {
        (true, true, false) => vec![say(
            &table::NAME_WITHOUT_AAAA,
            format!(
                "has an A record ({four}) and no AAAA record, and this cloud is reached over IPv6 only"
            ),
            format!(
                "give it an AAAA record with an address of this host ({held}), and take the A record away"
            ),
        )],
        (true, true, true) => vec![say(
            &table::NAME_NOT_IN_DNS,
            "has no AAAA record, so clients do not find this cloud".into(),
            format!("give it an AAAA record with an address of this host ({held})"),
        )],
        (true, false, _) => vec![elsewhere_only(name, &held)],
        (false, ..) => {
            let orphan = (!name.four.is_empty()).then(|| say(
                &table::NAME_ORPHANED_A,
                format!("has an A record ({four}) beside its AAAA: clients that try IPv4 find nobody there"),
                "take the A record away".into(),
            ));
            let astray = (!elsewhere.is_empty()).then(|| say(
                &table::NAME_PARTLY_ELSEWHERE,
                format!("leads also to {}, which no interface of this host has: clients that go there do not come here", list(elsewhere)),
                "take that AAAA record away, or give the address to an interface".into(),
            ));
            orphan.into_iter().chain(astray).collect()
        }
    }
}

fn elsewhere_only(name: &Name, held: &str) -> Finding {
    const BALANCED: &str = "or say `url_elsewhere = true` in [edge] if another machine passes connections on to this one";
    let (host, six) = (&name.host, list(&name.six));
    let (what, fix) = match *host == six {
        true => (
            format!("the url's host is the address {host}"),
            format!("give the address to an interface, write another into url, {BALANCED}"),
        ),
        false => (
            format!("the url's host '{host}' leads to {six}"),
            format!("mend its AAAA record, give the address to an interface, {BALANCED}"),
        ),
    };
    let what = format!("{what}, which no interface of this host has (they have {held})");
    found(&table::NAME_ELSEWHERE, name.place.clone(), what, fix)
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    let texts: Vec<_> = addresses.into_iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// Addresses with their interfaces, those that nobody elsewhere can use left out.
fn shown(held: &[Held]) -> String {
    let usable = held
        .iter()
        .filter(|h| !h.address.is_unicast_link_local() && !h.address.is_loopback());
    let texts: Vec<_> = usable
        .map(|h| format!("{} on {}", h.address, h.interface))
        .collect();
    match texts.is_empty() {
        true => "none but on loopback and links".into(),
        false => texts.join(", "),
    }
}
