//! The cloud's own name, looked up before anybody is served: what a client finds there must be this
//! host, over IPv6.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use net::{Family, NameError, Resolver};

/// How long the start waits for resolvers.
const PATIENCE: Duration = Duration::from_secs(4);

/// An address that this host holds, and the interface it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    address: Ipv6Addr,
    interface: String,
}

/// What the start makes of a name.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Clients get here; what they should know besides.
    Good(Vec<String>),
    /// They do not.
    Bad(String),
}

/// Looks the URL's host up and compares what is found with this host's addresses.
///
/// # Errors
/// A sentence that names the record, its address and this host's interfaces, when clients would
/// not get here. What cannot be found out is only told of: a resolver that is away must not keep
/// the cloud away.
pub(crate) async fn check(resolver: &Resolver, host: &str) -> Result<(), String> {
    let held = held(&std::fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default());
    let found = tokio::time::timeout(PATIENCE, find(resolver, host)).await;
    let late = || NameError::Silent {
        name: host.into(),
        why: format!("no answer within {} s", PATIENCE.as_secs()),
    };
    let verdict = match found.unwrap_or_else(|_| Err(late())) {
        Ok((six, four)) => judge(host, &six, &four, &held),
        Err(e) => Verdict::Good(vec![format!(
            "whether clients that look up the url's host get here is not known: {e}"
        )]),
    };
    match verdict {
        Verdict::Good(warnings) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            Ok(())
        }
        Verdict::Bad(why) => Err(why),
    }
}

/// The AAAA and A records of a host; an address is its own.
async fn find(resolver: &Resolver, host: &str) -> Result<(Vec<IpAddr>, Vec<IpAddr>), NameError> {
    if let Some(address) = model::parse_ip(host) {
        return Ok((vec![address], Vec::new()));
    }
    let (six, four) = tokio::join!(
        resolver.lookup(host, Family::V6),
        resolver.lookup(host, Family::V4)
    );
    // That there is a good AAAA record counts, whatever became of the other question.
    Ok((six?, four.unwrap_or_default()))
}

fn judge(host: &str, six: &[IpAddr], four: &[IpAddr], held: &[Held]) -> Verdict {
    let ours = |address: &&IpAddr| held.iter().any(|h| IpAddr::V6(h.address) == **address);
    let (here, elsewhere): (Vec<_>, Vec<_>) = six.iter().partition(ours);
    match (here.is_empty(), six.is_empty(), four.is_empty()) {
        (true, true, false) => Verdict::Bad(format!(
            "the url's host '{host}' has an A record ({}) and no AAAA record, and this cloud is reached over IPv6 only: give it an AAAA record with an address of this host ({}), and take the A record away",
            list(four),
            shown(held)
        )),
        (true, true, true) => Verdict::Good(vec![format!(
            "the url's host '{host}' has no AAAA record: clients do not find this cloud until it has one with an address of this host ({})",
            shown(held)
        )]),
        (true, false, _) => Verdict::Bad(format!(
            "the url's host '{host}' leads to {}, which no interface of this host has (they have {}): mend its AAAA record, give the address to an interface, or say `url_elsewhere = true` in [edge] if another machine passes connections on to this one",
            list(six),
            shown(held)
        )),
        (false, ..) => {
            let mut warnings = Vec::new();
            if !four.is_empty() {
                warnings.push(format!(
                    "the url's host '{host}' has an A record ({}) beside its AAAA: clients that try IPv4 find nobody there; take it away",
                    list(four)
                ));
            }
            if !elsewhere.is_empty() {
                let elsewhere: Vec<_> = elsewhere.into_iter().copied().collect();
                warnings.push(format!(
                    "the url's host '{host}' leads also to {}, which no interface of this host has: clients that go there do not come here",
                    list(&elsewhere)
                ));
            }
            Verdict::Good(warnings)
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
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

/// The lines of `/proc/net/if_inet6`: address, index, prefix length, scope, flags, name.
fn held(text: &str) -> Vec<Held> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        Some(Held {
            address: bits.into(),
            interface: words.nth(4)?.into(),
        })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = "00000000000000000000000000000001 01 80 10 80       lo\n\
        20010db8000000000000000000000005 02 40 00 80     eth0\n\
        fe800000000000000000000000000005 02 40 20 80     eth0\n";

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_must_lead_here_over_ipv6() {
        let judge = |six: &[&str], four: &[&str]| {
            judge("cloud.example", &ips(six), &ips(four), &held(HELD))
        };
        let good = |warnings: &[&str], verdict: Verdict| match verdict {
            Verdict::Good(told) => {
                assert_eq!(told.len(), warnings.len(), "{told:?}");
                for (told, words) in told.iter().zip(warnings) {
                    assert!(told.contains(words), "{told}");
                }
            }
            Verdict::Bad(why) => panic!("{why}"),
        };
        let bad = |words: &[&str], verdict: Verdict| match verdict {
            Verdict::Bad(why) => words
                .iter()
                .for_each(|word| assert!(why.contains(word), "{word}: {why}")),
            Verdict::Good(told) => panic!("{told:?}"),
        };
        good(&[], judge(&["2001:db8::5"], &[]));
        good(&[], judge(&["::1"], &[]));
        good(
            &["A record (192.0.2.1)"],
            judge(&["2001:db8::5"], &["192.0.2.1"]),
        );
        good(
            &["also to 2001:db8::6"],
            judge(&["2001:db8::5", "2001:db8::6"], &[]),
        );
        good(&["has no AAAA record"], judge(&[], &[]));
        bad(
            &["A record (192.0.2.1)", "no AAAA", "2001:db8::5 on eth0"],
            judge(&[], &["192.0.2.1"]),
        );
        bad(
            &["leads to fd00::9", "2001:db8::5 on eth0", "url_elsewhere"],
            judge(&["fd00::9"], &["192.0.2.1"]),
        );
    }
}
