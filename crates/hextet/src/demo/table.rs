//! What the demo says on standard output: its times, and how to use a cloud that was kept.

use std::io::{self, Write};
use std::time::Duration;

use super::needs::Tools;
use super::place::Place;
use super::{Servers, cloud, reach};
use crate::Failure;

/// The servers with their times.
pub(super) fn print(servers: &Servers) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let width = servers.values().map(|s| s.address.to_string().len()).max();
    let width = width.unwrap_or_default().max("address".len());
    writeln!(
        out,
        "{:<8}{:<width$}{:>14}{:>20}",
        "server", "address", "ACTIVE after", "first ping after"
    )?;
    for (name, s) in servers {
        let (active, pinged) = (seconds(s.active), seconds(s.pinged));
        writeln!(
            out,
            "{name:<8}{:<width$}{active:>14}{pinged:>20}",
            s.address.to_string()
        )?;
    }
    out.flush()
}

/// The very lines to type.
pub(super) fn print_use(place: &Place, tools: &Tools, servers: &Servers) -> Result<(), Failure> {
    let (root, clouds) = (
        place.root().display(),
        place.places()?.etc.join("clouds.yaml"),
    );
    let (outside, key) = (place.outside_name(), place.file(cloud::KEY));
    let program = std::env::current_exe()?;
    let (program, options) = (program.display(), reach::ssh_options(&key).join(" "));
    let mut out = io::stdout().lock();
    writeln!(out, "\nThe cloud runs on. To use it:")?;
    writeln!(out, "  export OS_CLIENT_CONFIG_FILE={}", clouds.display())?;
    writeln!(
        out,
        "  {} --os-cloud hextet server list",
        tools.openstack.display()
    )?;
    for server in servers.values() {
        writeln!(
            out,
            "  ip netns exec {outside} ssh {options} root@{}",
            server.address
        )?;
    }
    writeln!(out, "To end it:")?;
    writeln!(out, "  {program} --root {root} node purge && rm -r {root}")?;
    Ok(out.flush()?)
}

fn seconds(time: Option<Duration>) -> String {
    time.map(|t| format!("{:.2} s", t.as_secs_f64()))
        .unwrap_or_else(|| "-".into())
}
