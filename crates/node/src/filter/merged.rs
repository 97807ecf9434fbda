//! Rules of a port that differ in their ports or prefixes alone, written as one with a set: what rules
//! cost a packet then grows with their kinds and not with their number.
//!
//! Only how they are written: everything else about them (which of them are new, and which connections
//! went by one that is gone) goes by the single rules.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::rules::bare;

/// How every line of a port's rules begins and ends. Their order means nothing: they only ever allow.
const BEGIN: &str = "meta nfproto ";
const END: &str = " return";

/// The lines of a chain, as few as say the same.
pub(super) fn merged(rules: &[String]) -> Vec<String> {
    let rules = join(rules, " dport ", ports);
    let rules = join(&rules, " saddr ", prefixes);
    join(&rules, " daddr ", prefixes)
}

/// Puts the words that follow a key into one set, where lines are the same but for these. The set has
/// the place of the first.
fn join(rules: &[String], key: &str, union: fn(&[&str]) -> Option<Vec<String>>) -> Vec<String> {
    let mut words: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (before, word, after) in rules.iter().filter_map(|rule| parts(rule, key)) {
        words.entry((before, after)).or_default().push(word);
    }
    let mut joined = Vec::new();
    for rule in rules {
        let Some((before, _, after)) = parts(rule, key) else {
            joined.push(rule.clone());
            continue;
        };
        // Said already.
        let Some(all) = words.remove(&(before, after)) else {
            continue;
        };
        match union(&all).as_deref() {
            None => joined.extend(all.iter().map(|word| format!("{before}{key}{word}{after}"))),
            Some([one]) => joined.push(format!("{before}{key}{one}{after}")),
            Some(many) => joined.push(format!("{before}{key}{{ {} }}{after}", many.join(", "))),
        }
    }
    joined
}

/// A rule's text before a key, the word behind it and the rest; `None` for what is no such rule, or
/// names a set there.
fn parts<'a>(rule: &'a str, key: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (before, rest) = rule.split_once(key)?;
    let (word, _) = rest.split_once(' ')?;
    let sound = rule.starts_with(BEGIN) && rule.ends_with(END) && !word.starts_with(['@', '{']);
    sound.then(|| (before, word, &rest[word.len()..]))
}

/// Ports and ranges of them, without overlaps.
fn ports(words: &[&str]) -> Option<Vec<String>> {
    let mut ranges = Vec::new();
    for word in words {
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        ranges.push((low.parse::<u32>().ok()?, high.parse::<u32>().ok()?));
    }
    ranges.sort_unstable();
    let mut apart: Vec<(u32, u32)> = Vec::new();
    for (low, high) in ranges {
        match apart.last_mut() {
            Some(last) if low <= last.1 + 1 => last.1 = last.1.max(high),
            _ => apart.push((low, high)),
        }
    }
    let text = |(low, high): &(u32, u32)| match low == high {
        true => low.to_string(),
        false => format!("{low}-{high}"),
    };
    Some(apart.iter().map(text).collect())
}

/// Addresses and prefixes, without overlaps.
fn prefixes(words: &[&str]) -> Option<Vec<String>> {
    let net = |word: &&str| {
        let address = || word.parse::<IpAddr>().map(IpNet::from);
        word.parse::<IpNet>().or_else(|_| address()).ok()
    };
    let nets: Vec<IpNet> = words.iter().map(net).collect::<Option<_>>()?;
    Some(IpNet::aggregate(&nets).iter().map(bare).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &[&str], expected: &[&str]) {
        let rules: Vec<String> = rules.iter().map(|&rule| rule.to_owned()).collect();
        assert_eq!(merged(&rules), expected);
    }

    #[test]
    fn what_differs_in_ports_is_one_rule() {
        check(
            &[
                "ct state invalid drop",
                "meta nfproto ipv6 tcp dport 443 return",
                "meta nfproto ipv6 tcp dport 20-30 return",
                "meta nfproto ipv6 udp dport 53 return",
                "meta nfproto ipv6 tcp dport 25-40 return",
                "meta nfproto ipv6 tcp dport 41 return",
                "meta nfproto ipv4 tcp dport 80 return",
                "counter name filtered_ingress drop",
            ],
            &[
                "ct state invalid drop",
                "meta nfproto ipv6 tcp dport { 20-41, 443 } return",
                "meta nfproto ipv6 udp dport 53 return",
                "meta nfproto ipv4 tcp dport 80 return",
                "counter name filtered_ingress drop",
            ],
        );
    }

    #[test]
    fn what_differs_in_prefixes_is_one_rule() {
        check(
            &[
                "meta nfproto ipv6 ip6 saddr 2001:db8::/33 tcp dport 22 return",
                "meta nfproto ipv6 ip6 saddr 2001:db8:8000::/33 tcp dport 22 return",
                "meta nfproto ipv6 ip6 saddr 2001:db8:1::5 tcp dport 22 return",
                "meta nfproto ipv6 ip6 saddr fd00::5 tcp dport 22 return",
                "meta nfproto ipv6 ip6 saddr fd00::5 tcp dport 23-24 return",
                "meta nfproto ipv4 ip daddr 192.0.2.1 return",
                "meta nfproto ipv4 ip daddr 192.0.2.3 return",
            ],
            &[
                "meta nfproto ipv6 ip6 saddr 2001:db8::/32 tcp dport 22 return",
                "meta nfproto ipv6 ip6 saddr fd00::5 tcp dport 22-24 return",
                "meta nfproto ipv4 ip daddr { 192.0.2.1, 192.0.2.3 } return",
            ],
        );
    }

    #[test]
    fn groups_and_what_is_no_rule_of_a_port_stay() {
        let lines = [
            "meta nfproto ipv6 ip6 saddr @group6_a tcp dport 22 return",
            "meta nfproto ipv6 ip6 saddr @group6_b tcp dport 22 return",
            "meta nfproto ipv6 icmpv6 type 128 icmpv6 code 0 return",
            "udp dport 546 counter name rogue drop",
            "udp dport 547 counter name rogue drop",
        ];
        check(&lines, &lines);
        let ports = [
            "meta nfproto ipv6 ip6 saddr @group6_a tcp dport 22 return",
            "meta nfproto ipv6 ip6 saddr @group6_a tcp dport 80 return",
        ];
        check(
            &ports,
            &["meta nfproto ipv6 ip6 saddr @group6_a tcp dport { 22, 80 } return"],
        );
    }
}
