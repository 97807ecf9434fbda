//! What a node needs of its host's kernel: looked at, and set, before anything else is done.
//!
//! hextet forwards only inside namespaces of its own. But where something else on the host forwards,
//! Linux hears Router Advertisements only with `accept_ra` 2, and a host that lives by them would lose
//! its default route some time after; a node must not be what such a host is blamed for.

use std::fs;
use std::io;

use linux::netlink::Netlink;
use linux::netns::Netns;
use linux::sysctl;

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
    for uplink in uplinks(base)? {
        if uplink.is_deaf() {
            hear(base, &uplink)?;
        }
    }
    for family in ["ipv6", "ipv4"] {
        for (name, least) in NEIGHBOURS {
            raise(&format!("net/{family}/neigh/default/{name}"), least)?;
        }
    }
    Ok(())
}

/// An interface of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Uplink {
    name: String,
    accept_ra: String,
    forwarding: bool,
    /// The kernel learned a default route by it.
    has_learned: bool,
}

impl Uplink {
    /// It is to hear advertisements, and does not. With 0 somebody else hears them, as networkd does.
    fn is_deaf(&self) -> bool {
        self.forwarding && self.accept_ra == "1"
    }

    fn knob(&self) -> String {
        format!("net/ipv6/conf/{}/accept_ra", self.name)
    }

    /// What is said when it cannot be mended.
    fn complaint(&self, error: &io::Error) -> String {
        format!(
            "{error}: {} forwards and would forget the default route that it learned from Router Advertisements; run `sysctl -w {}=2`, or switch its forwarding off",
            self.name,
            dotted(&self.knob())
        )
    }
}

fn uplinks(base: &Netns) -> io::Result<Vec<Uplink>> {
    let learned = base.run(|| fs::read_to_string("/proc/thread-self/net/ipv6_route"));
    let learned = match learned {
        Ok(text) => learned_defaults(&text),
        // A kernel without IPv6 has other troubles; they are said elsewhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for link in Netlink::open(base)?.links()? {
        let read = |knob: &str| sysctl::get(base, &format!("net/ipv6/conf/{}/{knob}", link.name));
        match (read("accept_ra"), read("forwarding")) {
            (Ok(accept_ra), Ok(forwarding)) => found.push(Uplink {
                has_learned: learned.contains(&link.name),
                name: link.name,
                accept_ra,
                forwarding: forwarding == "1",
            }),
            // It went meanwhile, or is too small for IPv6.
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(link = link.name, %error, "an interface without IPv6");
            }
        }
    }
    Ok(found)
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

fn hear(base: &Netns, uplink: &Uplink) -> io::Result<()> {
    let (link, knob) = (&uplink.name, dotted(&uplink.knob()));
    match sysctl::set(base, &uplink.knob(), "2") {
        Ok(()) => {
            tracing::info!(
                link,
                "{knob} is 2 now: with 1 a link that forwards hears none"
            );
            Ok(())
        }
        Err(error) if uplink.has_learned => {
            Err(io::Error::new(error.kind(), uplink.complaint(&error)))
        }
        Err(error) => {
            tracing::warn!(link, %error, "a link hears no Router Advertisements: run `sysctl -w {knob}=2`");
            Ok(())
        }
    }
}

/// Raises a number that is lower. Only the first namespace has these, for all.
fn raise(knob: &str, least: u32) -> io::Result<()> {
    let ns = Netns::current()?;
    let now = match sysctl::get(&ns, knob) {
        Ok(text) => text.parse().unwrap_or(u32::MAX),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if now >= least {
        return Ok(());
    }
    let name = dotted(knob);
    match sysctl::set(&ns, knob, &least.to_string()) {
        Ok(()) => tracing::info!("{name} is {least} now, and was {now}: guests have neighbours"),
        Err(error) => tracing::warn!(
            %error,
            "{name} is {now}, too few for many guests: run `sysctl -w {name}={least}`"
        ),
    }
    Ok(())
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

    fn uplink(accept_ra: &str, forwarding: bool) -> Uplink {
        Uplink {
            name: "eth0.7".into(),
            accept_ra: accept_ra.into(),
            forwarding,
            has_learned: true,
        }
    }

    #[test]
    fn only_a_link_that_forwards_and_should_hear_is_deaf() {
        assert!(uplink("1", true).is_deaf());
        for (accept_ra, forwarding) in [("0", true), ("2", true), ("1", false), ("0", false)] {
            assert!(
                !uplink(accept_ra, forwarding).is_deaf(),
                "{accept_ra} {forwarding}"
            );
        }
    }

    #[test]
    fn a_refusal_is_one_sentence_with_the_line_to_run() {
        let said = uplink("1", true).complaint(&io::ErrorKind::PermissionDenied.into());
        assert!(
            said.contains("run `sysctl -w net.ipv6.conf.eth0/7.accept_ra=2`"),
            "{said}"
        );
        assert!(said.contains("eth0.7 forwards"), "{said}");
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
    }
}
