//! The cloud's own name, looked up before anybody is served: what a client finds there must be this
//! host, over IPv6.

use std::net::IpAddr;
use std::time::Duration;

use doctor::Severity;
use doctor::host::name::{Held, Name};
use net::{Family, NameError, Resolver};

/// How long is waited for resolvers.
const PATIENCE: Duration = Duration::from_secs(4);

/// Looks the URL's host up and compares what is found with this host's addresses.
///
/// # Errors
/// A sentence that names the record, its address and this host's interfaces, when clients would
/// not get here. What cannot be found out is only told of: a resolver that is away must not keep
/// the cloud away.
pub(crate) async fn check(resolver: &Resolver, host: &str) -> Result<(), String> {
    let name = match look(resolver, host).await {
        Ok(name) => name,
        Err(e) => {
            tracing::warn!(
                "whether clients that look up the url's host get here is not known: {e}"
            );
            return Ok(());
        }
    };
    for finding in doctor::host::name::check(&name) {
        let said = format!("{}: {}", finding.what, finding.fix);
        match finding.kind.severity {
            Severity::Error => return Err(said),
            _ => tracing::warn!("{said}"),
        }
    }
    Ok(())
}

/// What is known of a host's name.
///
/// # Errors
/// When no resolver says.
pub(crate) async fn look(resolver: &Resolver, host: &str) -> Result<Name, NameError> {
    let found = tokio::time::timeout(PATIENCE, find(resolver, host)).await;
    let late = || NameError::Silent {
        name: host.into(),
        why: format!("no answer within {} s", PATIENCE.as_secs()),
    };
    let (six, four) = found.unwrap_or_else(|_| Err(late()))?;
    Ok(Name {
        host: host.into(),
        six,
        four,
        held: held(),
        place: doctor::Place::default(),
    })
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

/// This host's addresses.
pub(crate) fn held() -> Vec<Held> {
    parse(&std::fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default())
}

/// The lines of `/proc/net/if_inet6`: address, index, prefix length, scope, flags, name.
fn parse(text: &str) -> Vec<Held> {
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

    fn judge(six: &[&str], four: &[&str]) -> Vec<(Severity, String)> {
        let ips = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect();
        let name = Name {
            host: "cloud.example".into(),
            six: ips(six),
            four: ips(four),
            held: parse(HELD),
            place: doctor::Place::default(),
        };
        let found = doctor::host::name::check(&name).into_iter();
        found
            .map(|f| (f.kind.severity, format!("{}: {}", f.what, f.fix)))
            .collect()
    }

    #[test]
    fn a_name_must_lead_here_over_ipv6() {
        let check = |six: &[&str], four: &[&str], severity, words: &[&str]| {
            let found = judge(six, four);
            assert_eq!(found.len(), usize::from(!words.is_empty()), "{found:?}");
            for (of, said) in &found {
                assert_eq!(*of, severity, "{said}");
                words
                    .iter()
                    .for_each(|w| assert!(said.contains(w), "{w}: {said}"));
            }
        };
        use Severity::{Error, Warning};
        check(&["2001:db8::5"], &[], Error, &[]);
        check(&["::1"], &[], Error, &[]);
        check(
            &["2001:db8::5"],
            &["192.0.2.1"],
            Warning,
            &["A record (192.0.2.1)"],
        );
        check(
            &["2001:db8::5", "2001:db8::6"],
            &[],
            Warning,
            &["also to 2001:db8::6"],
        );
        check(&[], &[], Warning, &["has no AAAA record"]);
        check(
            &[],
            &["192.0.2.1"],
            Error,
            &["A record (192.0.2.1)", "no AAAA", "2001:db8::5 on eth0"],
        );
        check(
            &["fd00::9"],
            &["192.0.2.1"],
            Error,
            &["leads to fd00::9", "2001:db8::5 on eth0", "url_elsewhere"],
        );
    }
}
