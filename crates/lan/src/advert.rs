//! What a Router Advertisement says, and its messages.

use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use model::Mac;
use wire::nd::{
    Dnssl, DomainName, Mtu, NdOption, Pref64, Preference, PrefixInfo, Rdnss, RouteInfo,
    RouterAdvert, SourceLinkAddress,
};

/// What is advertised on a link, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The link-local address it comes from.
    pub source: Ipv6Addr,
    pub mac: Mac,
    pub mtu: u32,
    /// 0: not a default router.
    pub router_lifetime_s: u16,
    /// Among several default routers (RFC 4191).
    pub preference: Preference,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other settings are to be had by DHCPv6.
    pub other: bool,
    pub prefixes: Vec<Prefix>,
    pub rdnss: Vec<Ipv6Addr>,
    pub dnssl: Vec<String>,
    pub routes: Vec<Route>,
    /// Where a translator to IPv4 is (RFC 8781): prefixes of 96, 64, 56, 48, 40 or 32 bits.
    pub pref64: Vec<Ipv6Net>,
    pub interval: Interval,
}

/// A prefix of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub prefix: Ipv6Net,
    pub autonomous: bool,
    pub on_link: bool,
    pub valid_s: u32,
    pub preferred_s: u32,
    /// When it ends, in milliseconds since 1970: until then both lifetimes count down (RFC 9096,
    /// section 3.3). `None`: not in sight.
    pub ends_ms: Option<i64>,
}

/// A route by this router (RFC 4191).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub prefix: Ipv6Net,
    pub preference: Preference,
    pub lifetime_s: u32,
}

/// How long to wait between unsolicited multicast advertisements: at random between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub min: Duration,
    pub max: Duration,
}

impl Default for Interval {
    /// MinRtrAdvInterval and MaxRtrAdvInterval of RFC 4861, section 6.2.1.
    fn default() -> Self {
        Interval {
            min: Duration::from_secs(198),
            max: Duration::from_secs(600),
        }
    }
}

/// What hosts put into their packets: the same that Linux has without being told.
const HOP_LIMIT: u8 = 64;
/// The longest that RFC 8319, section 4, allows between advertisements.
const INTERVAL_MAX: Duration = Duration::from_secs(65_535);
/// RFC 8200, section 5.
const MTU_MIN: u32 = 1280;
/// What the smallest packet leaves for options after the IPv6 header and the fixed part.
const OPTIONS_MAX: usize = MTU_MIN as usize - 40 - 16;

impl Advert {
    /// The ICMPv6 messages that say it. One is enough unless the options exceed 1280 octets: then
    /// each repeats the fixed part and what concerns the link itself (RFC 4861, section 6.2.3).
    ///
    /// # Errors
    /// `InvalidInput` when it says what may not be said.
    pub(crate) fn messages(&self, now_ms: i64) -> io::Result<Vec<Vec<u8>>> {
        self.check()?;
        let common = [
            NdOption::SourceLinkAddress(SourceLinkAddress(self.mac.0)),
            NdOption::Mtu(Mtu(self.mtu)),
        ];
        let mut packs = vec![common.to_vec()];
        let mut filled = emitted(&packs[0]);
        for option in self.options(now_ms)? {
            let length = emitted(std::slice::from_ref(&option));
            if filled + length > OPTIONS_MAX {
                packs.push(common.to_vec());
                filled = emitted(&common);
            }
            filled += length;
            packs.last_mut().expect("begins with one").push(option);
        }
        Ok(packs
            .into_iter()
            .map(|options| self.message(options))
            .collect())
    }

    /// The same from a router that goes: nothing goes by it any more. Prefixes stay as they were,
    /// for the addresses made of them need no router.
    pub(crate) fn farewell(&self) -> Advert {
        let mut last = Advert {
            router_lifetime_s: 0,
            ..self.clone()
        };
        last.routes
            .iter_mut()
            .for_each(|route| route.lifetime_s = 0);
        last
    }

    fn message(&self, options: Vec<NdOption>) -> Vec<u8> {
        let advert = RouterAdvert {
            hop_limit: HOP_LIMIT,
            managed: self.managed,
            other: self.other,
            preference: self.said_preference(),
            router_lifetime_s: self.router_lifetime_s,
            reachable_ms: 0,
            retransmit_ms: 0,
            options,
        };
        let mut message = Vec::new();
        advert.emit(&mut message);
        message
    }

    /// What is no default router says medium (RFC 4191, section 2.2).
    fn said_preference(&self) -> Preference {
        match self.router_lifetime_s {
            0 => Preference::Medium,
            _ => self.preference,
        }
    }

    /// Whether what it says depends on when it is said.
    pub(crate) fn counts_down(&self) -> bool {
        self.prefixes.iter().any(|prefix| prefix.ends_ms.is_some())
    }

    /// The options that may be spread over messages.
    fn options(&self, now_ms: i64) -> io::Result<Vec<NdOption>> {
        let prefixes = self.prefixes.iter().map(|p| {
            let left_s = p.ends_ms.map_or(u32::MAX, |end| {
                u32::try_from((end - now_ms).max(0) / 1000).unwrap_or(u32::MAX)
            });
            NdOption::Prefix(PrefixInfo {
                prefix: p.prefix.trunc(),
                on_link: p.on_link,
                autonomous: p.autonomous,
                valid_s: p.valid_s.min(left_s),
                preferred_s: p.preferred_s.min(left_s),
            })
        });
        let routes = self.routes.iter().map(|r| {
            NdOption::Route(RouteInfo {
                prefix: r.prefix.trunc(),
                preference: r.preference,
                lifetime_s: r.lifetime_s,
            })
        });
        // Three times the longest interval (RFC 8106, section 5.1).
        let lifetime_s = u32::try_from(3 * self.interval.max.as_secs()).unwrap_or(u32::MAX);
        // An option must fit into one message: 16 servers take 264 octets, 4 domains 1032 at most.
        let rdnss = self.rdnss.chunks(16).map(|servers| {
            NdOption::Rdnss(Rdnss {
                lifetime_s,
                servers: servers.to_vec(),
            })
        });
        let domains = self.domains()?;
        let dnssl = domains.chunks(4).map(|domains| {
            NdOption::Dnssl(Dnssl {
                lifetime_s,
                domains: domains.to_vec(),
            })
        });
        // Its default is the same (RFC 8781, section 4.1), in units of 8 s.
        let pref64 = self.pref64.iter().map(|prefix| {
            let option = Pref64::new(*prefix, lifetime_s);
            option
                .map(NdOption::Pref64)
                .ok_or_else(|| invalid(format!("{prefix} is no prefix for a translator to IPv4")))
        });
        let pref64 = pref64.collect::<io::Result<Vec<_>>>()?;
        let options = prefixes.chain(routes).chain(rdnss).chain(dnssl);
        Ok(options.chain(pref64).collect())
    }

    fn domains(&self) -> io::Result<Vec<DomainName>> {
        let parse = |name: &String| {
            name.parse()
                .map_err(|_| invalid(format!("'{name}' is not a domain name")))
        };
        self.dnssl.iter().map(parse).collect()
    }

    fn check(&self) -> io::Result<()> {
        if !self.source.is_unicast_link_local() {
            return Err(invalid(format!("source {} is not link-local", self.source)));
        }
        if self.mtu < MTU_MIN {
            return Err(invalid(format!("mtu {} is below {MTU_MIN}", self.mtu)));
        }
        let Interval { min, max } = self.interval;
        if min > max || max.is_zero() || max > INTERVAL_MAX {
            return Err(invalid(format!("interval from {min:?} to {max:?}")));
        }
        match self.prefixes.iter().find(|p| p.preferred_s > p.valid_s) {
            Some(p) => Err(invalid(format!(
                "{} is preferred for longer than valid",
                p.prefix
            ))),
            None => Ok(()),
        }
    }
}

fn emitted(options: &[NdOption]) -> usize {
    let mut out = Vec::new();
    options.iter().for_each(|option| option.emit(&mut out));
    out.len()
}

fn invalid(what: String) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("router advertisement: {what}"),
    )
}

#[cfg(test)]
impl Advert {
    /// A router's advertisement of one prefix.
    pub(crate) fn sample() -> Advert {
        let mac: Mac = "fa:16:3e:00:00:01".parse().unwrap();
        Advert {
            source: mac.link_local(),
            mac,
            mtu: 1430,
            router_lifetime_s: 1800,
            preference: Preference::Medium,
            managed: false,
            other: false,
            prefixes: vec![Prefix {
                prefix: "2001:db8:1::/64".parse().unwrap(),
                autonomous: true,
                on_link: true,
                valid_s: 2_592_000,
                preferred_s: 604_800,
                ends_ms: None,
            }],
            rdnss: vec!["2001:db8::53".parse().unwrap()],
            dnssl: vec!["cloud.example".to_owned()],
            routes: Vec::new(),
            pref64: Vec::new(),
            interval: Interval::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::icmpv6::{ALL_NODES, Icmpv6};

    use super::*;

    fn said(advert: &Advert) -> Vec<RouterAdvert> {
        let parse = |message: &Vec<u8>| {
            let (source, destination) = (advert.source, ALL_NODES);
            RouterAdvert::parse(&Icmpv6 {
                source,
                destination,
                hop_limit: 255,
                message,
            })
            .unwrap()
        };
        advert.messages(0).unwrap().iter().map(parse).collect()
    }

    #[test]
    fn lifetimes_follow_the_interval() {
        let said = said(&Advert::sample());
        let [advert] = said.as_slice() else {
            panic!("{said:?}")
        };
        assert_eq!((advert.hop_limit, advert.router_lifetime_s), (64, 1800));
        let dns = advert.options.iter().filter_map(|o| match o {
            NdOption::Rdnss(rdnss) => Some(rdnss.lifetime_s),
            NdOption::Dnssl(dnssl) => Some(dnssl.lifetime_s),
            _ => None,
        });
        assert!(dns.eq([1800, 1800]));
    }

    #[test]
    fn much_is_said_in_several_messages() {
        let mut advert = Advert::sample();
        advert.prefixes = vec![advert.prefixes[0]; 60];
        advert.rdnss = vec![Ipv6Addr::LOCALHOST; 40];
        advert.dnssl = vec![["a".repeat(60).as_str(); 4].join("."); 9];
        let said = said(&advert);
        assert!(said.len() > 4);
        assert!(advert.messages(0).unwrap().iter().all(|m| m.len() <= 1240));
        let linked = |a: &RouterAdvert| matches!(a.options[0], NdOption::SourceLinkAddress(_));
        assert!(said.iter().all(linked));
        let options = said.iter().flat_map(|a| &a.options);
        assert_eq!(
            options.filter(|o| matches!(o, NdOption::Prefix(_))).count(),
            60
        );
    }

    #[test]
    fn a_farewell_withdraws_the_router_and_its_routes() {
        let mut advert = Advert::sample();
        let prefix = "fd00::/8".parse().unwrap();
        advert.routes = vec![Route {
            prefix,
            preference: Preference::High,
            lifetime_s: 600,
        }];
        let last = &said(&advert.farewell())[0];
        assert_eq!(last.router_lifetime_s, 0);
        assert!(
            last.options
                .iter()
                .any(|o| matches!(o, NdOption::Route(route) if route.lifetime_s == 0))
        );
        assert!(
            last.options
                .iter()
                .any(|o| matches!(o, NdOption::Prefix(prefix) if prefix.valid_s == 2_592_000))
        );
    }

    #[test]
    fn a_prefix_that_ends_counts_down() {
        let mut advert = Advert::sample();
        advert.prefixes[0].preferred_s = 0;
        advert.prefixes[0].ends_ms = Some(7_200_000);
        let at = |now_ms| {
            let options = advert.options(now_ms).unwrap();
            let valid = options.iter().find_map(|o| match o {
                NdOption::Prefix(prefix) => Some((prefix.valid_s, prefix.preferred_s)),
                _ => None,
            });
            valid.unwrap()
        };
        assert_eq!(at(0), (7200, 0));
        assert_eq!(at(7_100_500), (99, 0));
        assert_eq!(at(8_000_000), (0, 0));
    }

    #[test]
    fn only_a_default_router_is_preferred() {
        let mut advert = Advert::sample();
        advert.preference = Preference::High;
        advert.pref64 = vec!["64:ff9b::/96".parse().unwrap()];
        let router = &said(&advert)[0];
        assert_eq!(router.preference, Preference::High);
        assert!(
            router
                .options
                .iter()
                .any(|o| matches!(o, NdOption::Pref64(p) if p.lifetime_s() == 1800))
        );
        assert_eq!(said(&advert.farewell())[0].preference, Preference::Medium);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |change: fn(&mut Advert)| {
            let mut advert = Advert::sample();
            change(&mut advert);
            advert.messages(0).unwrap_err().to_string()
        };
        assert!(refused(|a| a.source = Ipv6Addr::LOCALHOST).contains("link-local"));
        assert!(refused(|a| a.mtu = 1279).contains("1279"));
        assert!(refused(|a| a.dnssl.push("a b".into())).contains("'a b'"));
        assert!(refused(|a| a.interval.max = Duration::ZERO).contains("interval"));
        assert!(refused(|a| a.interval.max = Duration::MAX).contains("interval"));
        assert!(refused(|a| a.pref64.push("64:ff9b::/95".parse().unwrap())).contains("/95"));
        assert!(refused(|a| a.prefixes[0].valid_s = 1).contains("2001:db8:1::/64"));
    }
}
