//! What a node needs of its host's kernel: looked at, and set, before anything else is done.
//!
//! hextet forwards only inside namespaces of its own. But where something else on the host forwards,
//! Linux hears Router Advertisements only with `accept_ra` 2, and a host that lives by them would lose
//! its default route some time after; a node must not be what such a host is blamed for.

mod programs;
mod trial;

use std::fs;
use std::io;

use linux::netlink::Netlink;
use linux::netns::Netns;
use linux::sysctl;

pub use programs::{Missing, has_iscsi, missing, without_kvm};
pub use trial::{Lack, trial};

/// Entries of the neighbour tables, which all namespaces share: below the first nothing is
/// collected, above the last nothing is added. A guest needs one in its network's namespace and one
/// in each router's, so Linux's own 128, 512 and 1024 end at some hundred guests.
const NEIGHBOURS: [(&str, u32); 3] = [
    // The last first: they must never be out of order.
    ("gc_thresh3", 65_536),
    ("gc_thresh2", 32_768),
    ("gc_thresh1", 8_192),
];

/// Makes the host ready: `base` is the namespace with its uplinks.
///
/// # Errors
/// A sentence that says why the host would lose its way out, and what to do.
pub fn prepare(base: &Netns) -> io::Result<()> {
    look(base)?.iter().try_for_each(|knob| knob.turn(base))
}

/// A setting of the kernel that is not as a node needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knob {
    /// As below `/proc/sys`.
    pub name: String,
    pub is: String,
    pub should: String,
    pub need: Need,
}

/// Why a node needs a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A link that forwards should hear Router Advertisements.
    Hear {
        link: String,
        /// The kernel learned a default route by it.
        has_learned: bool,
        /// It is up, and there is no default route at all.
        has_lost: bool,
    },
    /// Guests are neighbours. Only the first namespace has these settings, for all.
    Neighbours,
}

/// The settings that are not as a node needs them; changes nothing.
///
/// # Errors
/// Those of reading them.
pub fn look(base: &Netns) -> io::Result<Vec<Knob>> {
    let mut found = deaf(base)?;
    let ns = Netns::current()?;
    for family in ["ipv6", "ipv4"] {
        for (name, least) in NEIGHBOURS {
            found.extend(small(
                &ns,
                format!("net/{family}/neigh/default/{name}"),
                least,
            )?);
        }
    }
    Ok(found)
}

impl Knob {
    fn turn(&self, base: &Netns) -> io::Result<()> {
        let own = Netns::current()?;
        let (ns, name) = match &self.need {
            Need::Hear { .. } => (base, dotted(&self.name)),
            Need::Neighbours => (&own, dotted(&self.name)),
        };
        match (sysctl::set(ns, &self.name, &self.should), &self.need) {
            (Ok(()), _) => {
                tracing::info!("{name} is {} now, and was {}", self.should, self.is);
                Ok(())
            }
            (
                Err(error),
                Need::Hear {
                    link,
                    has_learned: true,
                    ..
                },
            ) => Err(io::Error::new(error.kind(), complaint(link, &name, &error))),
            (Err(error), Need::Hear { link, .. }) => {
                tracing::warn!(link, %error, "a link hears no Router Advertisements: run `sysctl -w {name}=2`");
                Ok(())
            }
            (Err(error), Need::Neighbours) => {
                let (is, should) = (&self.is, &self.should);
                tracing::warn!(%error, "{name} is {is}, too few for many guests: run `sysctl -w {name}={should}`");
                Ok(())
            }
        }
    }
}

/// What is said when a link cannot be made to hear.
fn complaint(link: &str, knob: &str, error: &io::Error) -> String {
    format!(
        "{link} forwards and would forget the default route that it learned from Router Advertisements, and that could not be prevented ({error}): run `sysctl -w {knob}=2`, or switch its forwarding off"
    )
}

/// Links that forward, so that with `accept_ra` 1 they hear nothing. With 0 somebody else hears, as
/// networkd does.
fn deaf(base: &Netns) -> io::Result<Vec<Knob>> {
    let routes = base.run(|| fs::read_to_string("/proc/thread-self/net/ipv6_route"));
    let routes = match routes {
        Ok(text) => text,
        // A kernel without IPv6 has other troubles; they are said elsewhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (learned, has_way) = (learned_defaults(&routes), has_default(&routes));
    let mut found = Vec::new();
    for link in Netlink::open(base)?.links()? {
        let read = |knob: &str| sysctl::get(base, &format!("net/ipv6/conf/{}/{knob}", link.name));
        match (read("accept_ra"), read("forwarding")) {
            (Ok(is), Ok(forwarding)) if is == "1" && forwarding == "1" => found.push(Knob {
                name: format!("net/ipv6/conf/{}/accept_ra", link.name),
                is,
                should: "2".into(),
                need: Need::Hear {
                    has_learned: learned.contains(&link.name),
                    has_lost: link.up && !has_way && link.name != "lo",
                    link: link.name,
                },
            }),
            (Ok(_), Ok(_)) => {}
            // It went meanwhile, or is too small for IPv6.
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(link = link.name, %error, "an interface without IPv6");
            }
        }
    }
    Ok(found)
}

/// A number that is lower than it should be; nothing where there is no such setting.
fn small(ns: &Netns, name: String, least: u32) -> io::Result<Option<Knob>> {
    let is = match sysctl::get(ns, &name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        is => is?,
    };
    let enough = is.parse().unwrap_or(u32::MAX) >= least;
    Ok((!enough).then(|| Knob {
        name,
        is,
        should: least.to_string(),
        need: Need::Neighbours,
    }))
}

/// Whether packets for elsewhere have a way out: `text` is `/proc/net/ipv6_route`.
fn has_default(text: &str) -> bool {
    /// RTF_REJECT of linux/route.h
    const REJECT: u32 = 0x0200;
    text.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let flags = fields.iter().rev().nth(1);
        let flags = flags.and_then(|flags| u32::from_str_radix(flags, 16).ok());
        line.starts_with(&format!("{} 00 ", "0".repeat(32)))
            && flags.is_some_and(|flags| flags & REJECT == 0)
    })
}

/// The interfaces of default routes that advertisements brought: `text` is `/proc/net/ipv6_route`.
fn learned_defaults(text: &str) -> Vec<String> {
    // RTF_DEFAULT and RTF_ADDRCONF of linux/ipv6_route.h: the kernel's own, from an advertisement.
    const LEARNED: u32 = 0x0001_0000 | 0x0004_0000;
    let lines = text.lines().map(|line| line.split_whitespace().collect());
    let learned = lines.filter_map(|fields: Vec<&str>| match fields.as_slice() {
        [.., flags, link] => {
            let flags = u32::from_str_radix(flags, 16).ok()?;
            (flags & LEARNED == LEARNED).then(|| (*link).to_owned())
        }
        _ => None,
    });
    learned.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_sentence_with_the_line_to_run() {
        let knob = dotted("net/ipv6/conf/eth0.7/accept_ra");
        let said = complaint("eth0.7", &knob, &io::ErrorKind::PermissionDenied.into());
        assert!(
            said.contains("run `sysctl -w net.ipv6.conf.eth0/7.accept_ra=2`"),
            "{said}"
        );
        assert!(said.starts_with("eth0.7 forwards"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn defaults_of_advertisements_are_told_from_others() {
        let zeros = "0".repeat(32);
        let line = |flags: &str, link: &str| {
            format!("{zeros} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 {flags} {link}\n")
        };
        let text = [
            line("00450003", "eth0"),
            line("00000003", "eth1"),
            line("00040001", "eth2"),
        ];
        assert_eq!(learned_defaults(&text.concat()), ["eth0"]);
        assert!(learned_defaults("no route\n\n").is_empty());
        assert!(text.iter().all(|line| has_default(line)));
        let prefix = line("00000001", "eth0").replacen("00 ", "40 ", 1);
        for none in [line("00200200", "lo"), prefix, "no route\n\n".into()] {
            assert!(!has_default(&none), "{none}");
        }
    }
}
