//! Neighbour Discovery (RFC 4861): the messages that make a link usable.
//!
//! A receiver's duty to check what it got (RFC 4861, section 6.1) is done here, in `parse`, with
//! the IPv6 header in view. Options it cannot read are passed over as unknown ones are; only an
//! option whose length is zero or exceeds the packet spoils the message (RFC 4861, section 4.6).

mod advert;
mod domain;
mod neighbour;
mod option;
mod pref64;
mod prefix;
mod solicit;

pub use advert::RouterAdvert;
pub use domain::DomainName;
pub use neighbour::NeighbourAdvert;
pub use option::{Dnssl, Mtu, NdOption, Rdnss, SourceLinkAddress, TargetLinkAddress};
pub use pref64::Pref64;
pub use prefix::{Preference, PrefixInfo, RouteInfo};
pub use solicit::RouterSolicit;

use crate::Malformed;
use crate::icmpv6::Icmpv6;

/// Proof that no router forwarded the packet (RFC 4861, section 3.1).
pub const HOP_LIMIT: u8 = 255;

/// The message, when it came over the link itself, has this type and code 0, and fills `N` octets.
fn fixed_part<'a, const N: usize>(
    packet: &Icmpv6<'a>,
    kind: u8,
    name: &'static str,
) -> Result<(&'a [u8; N], &'a [u8]), Malformed> {
    let wrong = Malformed(name);
    if packet.hop_limit != HOP_LIMIT || packet.message.get(..2) != Some(&[kind, 0]) {
        return Err(wrong);
    }
    packet.message.split_first_chunk::<N>().ok_or(wrong)
}
