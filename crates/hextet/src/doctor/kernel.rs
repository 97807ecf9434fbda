//! The kernel's settings.

use std::io;

use doctor::host::sysctls::{Deaf, Sysctls, TooSmall};
use linux::netns::Netns;
use linux::sysctl;
use node::host::{Knob, Need};

use super::database::Database;
use super::{Host, Look};

/// A port is a neighbour in its network's namespace and in each router's.
const NEIGHBOURS_A_PORT: u64 = 2;

pub(super) fn look(look: &mut Look<'_>, database: &Database) {
    let seen = sysctls(&look.host);
    look.facts.sysctls = look.seen("the kernel's settings", seen);
    look.facts.sysctls.neighbours_needed = database.ports * NEIGHBOURS_A_PORT;
}

fn sysctls(host: &Host<'_>) -> io::Result<Sysctls> {
    let own = Netns::current()?;
    let is = |knob: &str, value: &str| match sysctl::get(&own, knob) {
        // A kernel without it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        read => Ok::<_, io::Error>(read? == value),
    };
    let mut seen = Sysctls {
        netns: host.config.node.netns.clone().unwrap_or_default(),
        running: host.up.is_some(),
        bindv6only: is("net/ipv6/bindv6only", "1")?,
        ..Sysctls::default()
    };
    for name in ["all", "lo"] {
        if is(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1")? {
            seen.disabled.push(name.into());
        }
    }
    // `up` looks at the same, and sets it.
    let knobs = match &host.node {
        Some(node) => node::host::look(&node.base)?,
        None => Vec::new(),
    };
    for Knob {
        name,
        is,
        should,
        need,
    } in knobs
    {
        match need {
            Need::Hear {
                link,
                has_learned,
                has_lost,
            } => seen.deaf.push(Deaf {
                interface: link,
                has_learned,
                has_lost,
            }),
            Need::Neighbours => seen.neighbours.push(TooSmall {
                knob: name,
                now: is.parse().unwrap_or_default(),
                least: should.parse().unwrap_or_default(),
            }),
        }
    }
    Ok(seen)
}
