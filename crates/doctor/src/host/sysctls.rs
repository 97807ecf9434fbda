//! Settings of the kernel.

use super::{at, found, mended};
use crate::finding::{Edit, Finding, Kind};
use crate::table;

/// Where a setting is written so that the next boot has it too.
const KEPT: &str = "/etc/sysctl.d/90-hextet.conf";

/// What matters of the kernel's settings.
#[derive(Debug, Default)]
pub struct Sysctls {
    /// The network namespace that uplinks are in; empty: the host's own.
    pub netns: String,
    /// Interfaces that should hear Router Advertisements, and do not.
    pub deaf: Vec<Deaf>,
    /// Sizes of the neighbour tables that are below what a node sets.
    pub neighbours: Vec<TooSmall>,
    /// Whether `hextet up` runs: it sets what it can.
    pub running: bool,
    /// Entries that the ports on record can need.
    pub neighbours_needed: u64,
    /// Whether sockets on `::` refuse IPv4 unless they ask for it.
    pub bindv6only: bool,
    /// Interfaces on which IPv6 is off; `all` for every one.
    pub disabled: Vec<String>,
}

/// An interface that forwards with `accept_ra` 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deaf {
    pub interface: String,
    /// The kernel learned a default route by it: it will be forgotten.
    pub has_learned: bool,
    /// There is no default route any more, so perhaps it has been.
    pub has_lost: bool,
}

/// A number that is lower than a node sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// As below `/proc/sys`.
    pub knob: String,
    pub now: u64,
    pub least: u64,
}

pub(super) fn check(seen: &Sysctls) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(seen.deaf.iter().filter_map(|link| deaf(&seen.netns, link)));
    found.extend(seen.disabled.iter().map(|name| disabled(name)));
    found.extend(seen.neighbours.iter().filter_map(|n| too_small(seen, n)));
    if seen.bindv6only {
        found.push(bindv6only());
    }
    found
}

fn deaf(netns: &str, seen: &Deaf) -> Option<Finding> {
    let Deaf { interface, .. } = seen;
    let knob = format!("net/ipv6/conf/{interface}/accept_ra");
    let why = match seen {
        Deaf {
            has_learned: true, ..
        } => "the default route that it learned from Router Advertisements ends with the last one",
        Deaf { has_lost: true, .. } => "this host has no default route of IPv6",
        // It lives by another way out.
        _ => return None,
    };
    let what = format!("{interface} forwards, and its accept_ra is 1: {why}");
    Some(set(&table::SYSCTL_ACCEPT_RA, netns, &knob, what, "2"))
}

fn disabled(interface: &str) -> Finding {
    let knob = format!("net/ipv6/conf/{interface}/disable_ipv6");
    let whose = match interface {
        "all" => "every interface".to_owned(),
        "lo" => "lo, so that ::1 does not exist,".to_owned(),
        name => name.to_owned(),
    };
    let what = format!("IPv6 is off on {whose} of this host");
    let name = dotted(&knob);
    let fix = format!(
        "find who set it (`grep -rs disable_ipv6 /etc/sysctl.conf /etc/sysctl.d /etc/default/grub`), take it out, then `sysctl -w {name}=0`"
    );
    // Not mended: who switched it off may have no filter for it.
    found(&table::SYSCTL_DISABLE_IPV6, at(path(&knob)), what, fix)
}

fn too_small(seen: &Sysctls, knob: &TooSmall) -> Option<Finding> {
    let TooSmall { now, least, .. } = knob;
    // `up` raises it when it starts: until then it is small only where ports need more.
    if !seen.running && *now >= seen.neighbours_needed {
        return None;
    }
    let what = format!("{} is {now}, and a node sets {least}", dotted(&knob.knob));
    Some(set(
        &table::SYSCTL_GC_THRESH,
        "",
        &knob.knob,
        what,
        &least.to_string(),
    ))
}

fn bindv6only() -> Finding {
    let knob = "net/ipv6/bindv6only";
    let what =
        "net.ipv6.bindv6only is 1: programs that listen on `::` for both families hear IPv6 alone";
    let fix = "nothing, if that is meant; else take the line out of /etc/sysctl.d and run `sysctl -w net.ipv6.bindv6only=0`";
    let place = at(path(knob));
    found(&table::SYSCTL_BINDV6ONLY, place, what.into(), fix.into())
}

fn set(kind: &'static Kind, netns: &str, knob: &str, what: String, value: &str) -> Finding {
    let name = dotted(knob);
    let fix = match netns {
        "" => format!(
            "`sysctl -w {name}={value}` (`hextet doctor --fix` does it); for the next boot the line `{name} = {value}` in {KEPT}"
        ),
        // No file of sysctl.d is read for a namespace.
        netns => format!(
            "`ip netns exec {netns} sysctl -w {name}={value}` (`hextet doctor --fix` does it), and where the namespace is made"
        ),
    };
    let edit = Edit::Sysctl {
        name: knob.to_owned(),
        value: value.to_owned(),
    };
    mended(found(kind, at(path(knob)), what, fix), edit)
}

fn path(knob: &str) -> String {
    format!("/proc/sys/{knob}")
}

/// As `sysctl` takes it: dots part the levels, and a dot in an interface's name is a slash.
fn dotted(knob: &str) -> String {
    let swapped = knob.chars().map(|c| match c {
        '/' => '.',
        '.' => '/',
        other => other,
    });
    swapped.collect()
}
