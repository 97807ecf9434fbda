//! What the kernel has noted of a network's guests, for an operator to see.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use linux::netns::Netns;
use linux::nft;
use model::{AddressHeard, Mac, PortHeard, PortId};

use super::learned::address;
use super::printed::{self, Element};
use super::table::NAME;
use crate::links::names;

/// The timeout of all the sets that are read here.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Addresses by the tap of their port, with the time of the last word of each.
type ByTap = BTreeMap<String, BTreeMap<IpAddr, i64>>;

/// What is noted in one network.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Noted {
    used: ByTap,
    met: ByTap,
    /// How many Router Advertisements came from outside.
    adverts: BTreeMap<(Mac, Ipv6Addr), u64>,
}

impl Noted {
    /// Reads the bridge table, at a time in milliseconds since 1970.
    ///
    /// # Errors
    /// Where there is none, as before the first pass.
    pub(crate) fn read(ns: &Netns, now_ms: i64) -> io::Result<Noted> {
        let text = nft::ask(ns, &["list", "table", "bridge", NAME])?;
        Ok(Noted::parse(&text, now_ms))
    }

    /// Addresses that the guest on a port used.
    pub(crate) fn used(&self, port: PortId) -> Vec<AddressHeard> {
        of(&self.used, port)
    }

    /// Addresses that it asked for, and that a neighbour said to have.
    pub(crate) fn met(&self, port: PortId) -> Vec<AddressHeard> {
        of(&self.met, port)
    }

    /// How many Router Advertisements came from outside, by who sent them. Who is silent for an hour
    /// is forgotten.
    pub(crate) fn adverts(&self) -> &BTreeMap<(Mac, Ipv6Addr), u64> {
        &self.adverts
    }

    fn parse(text: &str, now_ms: i64) -> Noted {
        let mut noted = Noted::default();
        for element in printed::elements(text) {
            match element.set {
                "routers" => noted.advert(&element),
                _ => noted.take(&element, now_ms),
            };
        }
        noted
    }

    fn advert(&mut self, element: &Element<'_>) -> Option<()> {
        let [mac, ".", source, ..] = element.words[..] else {
            return None;
        };
        let count = element.after("packets")?.parse().ok()?;
        let source = (mac.parse().ok()?, source.parse().ok()?);
        self.adverts.insert(source, count);
        Some(())
    }

    /// An element of no interest is passed over.
    fn take(&mut self, element: &Element<'_>, now_ms: i64) -> Option<()> {
        let first = element.words.first()?;
        let (by_tap, tap, address) = match element.set.split_once('_') {
            Some(("used4", tap)) => (&mut self.used, tap, first.parse().ok()?),
            Some(("used" | "seen", tap)) => (&mut self.used, tap, address(first)?.into()),
            None if element.set == "met" => {
                let [tap, ".", target, ..] = element.words[..] else {
                    return None;
                };
                (
                    &mut self.met,
                    tap.trim_matches('"'),
                    address(target)?.into(),
                )
            }
            _ => return None,
        };
        let left = printed::duration(element.after("expires")?)?;
        let ago = i64::try_from(REMEMBERED.saturating_sub(left).as_millis()).ok()?;
        // To the second: so that a look at what did not change tells the same.
        let last_ms = (now_ms - ago).div_euclid(1000) * 1000;
        let last = by_tap.entry(tap.to_owned()).or_default().entry(address);
        last.and_modify(|last| *last = last_ms.max(*last))
            .or_insert(last_ms);
        Some(())
    }
}

fn of(by_tap: &ByTap, port: PortId) -> Vec<AddressHeard> {
    let addresses = by_tap.get(&names::tap(port)).into_iter().flatten();
    let heard = addresses.map(|(address, last_ms)| AddressHeard {
        address: *address,
        last_ms: *last_ms,
    });
    heard.take(PortHeard::MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_with_its_time() {
        let port = PortId("0a1b2c3d-0000-4000-8000-000000000001".parse().unwrap());
        let printed = "table bridge hextet {\n\
            \tset seen {\n\t\telements = { 0xfe80 expires 1m }\n\t}\n\
            \tset seen_t0a1b2c3d000040 {\n\t\telements = { 0xfe800000000000000000000000000001 expires 59m59s992ms }\n\t}\n\
            \tset used_t0a1b2c3d000040 {\n\t\telements = { 0x20010db8000000000000000000000005 expires 30m, 0x7 }\n\t}\n\
            \tset used4_t0a1b2c3d000040 {\n\t\telements = { 192.0.2.7 expires 59m, nonsense expires 1s }\n\t}\n\
            \tset met {\n\t\telements = { \"t0a1b2c3d000040\" . 0x20010db8000000000000000000000009 expires 59m50s,\n\
            \t\t\t\"t2\" . 0x1 expires 1s }\n\t}\n\
            \tset routers {\n\t\telements = { 02:00:00:00:00:09 . fe80::9 counter packets 3 bytes 312 expires 59m,\n\
            \t\t\tx . fe80::9 counter packets 3 bytes 4 expires 59m, 02:00:00:00:00:0a . fe80::a expires 1s }\n\t}\n}\n";
        let noted = Noted::parse(printed, 10_000_000_500);
        let text = |heard: Vec<AddressHeard>| -> Vec<String> {
            let texts = heard.iter().map(|a| format!("{} {}", a.address, a.last_ms));
            texts.collect()
        };
        assert_eq!(
            text(noted.used(port)),
            [
                "192.0.2.7 9999940000",
                "2001:db8::5 9998200000",
                "fe80::1 10000000000"
            ]
        );
        assert_eq!(text(noted.met(port)), ["2001:db8::9 9999990000"]);
        assert_eq!(noted.used(PortId::random()), []);
        let router = (Mac([2, 0, 0, 0, 0, 9]), "fe80::9".parse().unwrap());
        assert_eq!(*noted.adverts(), [(router, 3)].into());
    }
}
