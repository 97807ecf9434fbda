//! Links and filters beside what should be: each step that a pass would take is a finding.

use std::collections::BTreeSet;
use std::io;

use linux::netns::Netns;
use linux::nft;
use model::Finding;

use super::kernel::Kernel;
use super::names::{self, Space};
use super::plan::{Step, plan};
use super::proxied::{self, Chosen};
use super::{LinkSettings, delegated, layout};
use crate::Wanted;
use crate::check::{LEAK, MISSING};

/// The tables of a network's namespace.
const TABLES: [&str; 2] = ["table bridge hextet", "table inet hextet"];
/// And of a router's.
const ROUTER_TABLES: [&str; 2] = ["table ip hextet", "table ip6 hextet"];

/// Compares; changes nothing.
///
/// # Errors
/// When the node's own namespace cannot be read.
pub fn check(settings: &LinkSettings, wanted: &Wanted) -> io::Result<Vec<Finding>> {
    let mut kernel = Kernel::new(settings);
    let seen = kernel.observe()?;
    // What guests say is not heard here: any of their addresses will do.
    let nexthops = delegated::routed(wanted, &seen.layout);
    let mut design = layout::design(wanted, settings, &seen.bridges, &nexthops);
    // What guests choose changes between passes: more than is assigned may well be answered for.
    proxied::add(&mut design.layout, wanted, &Chosen::new());
    let mut steps = plan(&design.layout, &seen.layout);
    steps.retain(|step| !matches!(step, Step::RemoveProxy(..)));
    let mut found: Vec<Finding> = of_steps(&steps, &settings.short).into_iter().collect();
    for name in Netns::list(&names::prefix(&settings.short))? {
        match Space::parse(&settings.short, &name) {
            None => found.push(leak(format!(
                "namespace {name} has our mark, and no network or router"
            ))),
            Some(space) if design.layout.spaces.contains_key(&space) => {
                let tables = match space {
                    Space::Router(_) => ROUTER_TABLES,
                    _ => TABLES,
                };
                found.extend(missing_tables(&name, tables)?);
            }
            Some(_) => {}
        }
    }
    Ok(found)
}

/// One finding for each link or namespace, however much of it differs.
fn of_steps(steps: &[Step], short: &str) -> BTreeSet<Finding> {
    let describe = |step: &Step| {
        let (space, place) = step.place();
        let space = space.name(short).unwrap_or_else(|| "the node's own".into());
        let what = match place {
            Some((_, link)) => format!("link {link} in namespace {space}"),
            None => format!("namespace {space}"),
        };
        match step {
            Step::RemoveLink(_) | Step::RemoveSpace(_) => {
                leak(format!("{what} is there, and nothing wants it"))
            }
            step if step.is_of_limit() => Finding::new(
                format!("{what} is not limited as its port's QoS policy has it"),
                "a guest sends or receives faster or slower than it should",
                MISSING,
            ),
            _ => Finding::new(
                format!("{what} is missing, or not as it should be"),
                "a guest has no network, or a wrong one",
                MISSING,
            ),
        }
    };
    steps.iter().map(describe).collect()
}

fn leak(what: String) -> Finding {
    Finding::new(
        what,
        "it holds names and memory of the kernel, and may carry packets",
        LEAK,
    )
}

fn missing_tables(name: &str, tables: [&str; 2]) -> io::Result<Vec<Finding>> {
    let listed = match Netns::open(name).and_then(|ns| nft::ask(&ns, &["list", "tables"])) {
        // It went meanwhile: the next look sees it as missing, if it is.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let missing = tables
        .iter()
        .filter(|table| !listed.lines().any(|line| line == **table));
    let finding = |table: &&str| {
        Finding::new(
            format!("namespace {name} lacks nft's {table}"),
            "its packets are not filtered, or not translated",
            MISSING,
        )
    };
    Ok(missing.map(finding).collect())
}
