//! Traffic control: how fast a link sends, and where what it receives goes first.
//!
//! ```text
//!                      +-- link ----------------------------------------+
//!   to the other end <-|-- root: tbf (`Tbf`), a rate for what it sends   |<-- the stack
//!   from there       --|-> clsact: filters by priority (`Filter`), and   |--> the stack
//!                      |           one may redirect to an ifb, whose tbf |
//!                      |           is a rate for what the link receives  |
//!                      +------------------------------------------------+
//! ```
//! [`qdisc`] has the queueing disciplines, [`filter`] what stands at clsact's ingress, [`vlan`] the VLANs of a guest's card. Several features may
//! have filters there, each at a priority of its own: the lowest is asked first.

pub mod filter;
pub mod qdisc;
pub mod vlan;

use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use netlink_packet_utils::nla::{DefaultNla, Nla, NlaBuffer, NlasIterator};

use crate::netlink::{Link, Netlink, Result};

pub use filter::{Filter, Verdict};
pub use qdisc::{Qdisc, Tbf};
pub use vlan::Vlan;

/// The priority of a port's limit among the filters of its tap: what looks at a frame before it is counted has
/// a lower one.
pub const LIMIT_PRIORITY: u16 = 10;
/// That of a card's VLANs.
const VLAN_PRIORITY: u16 = 1;

/// What options of a queueing discipline or filter are in.
const TCA_OPTIONS: u16 = 2; // TCA_OPTIONS of linux/rtnetlink.h
const NESTED: u16 = 0x8000; // NLA_F_NESTED of linux/netlink.h

impl Netlink {
    /// A message about a link's queueing discipline or filter of this kind.
    fn of(&mut self, link: &str, parent: TcHandle, kind: Option<&str>) -> Result<TcMessage> {
        let index = self.index(link)?;
        let mut message = TcMessage::with_index(index.cast_signed());
        message.header.parent = parent;
        let kind = kind.map(|kind| TcAttribute::Kind(kind.to_owned()));
        message.attributes.extend(kind);
        Ok(message)
    }
}

/// Options as the kernel reads them: attributes inside one.
fn options(attributes: &[DefaultNla]) -> TcAttribute {
    use netlink_packet_utils::Emitable;
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    TcAttribute::Other(DefaultNla::new(TCA_OPTIONS | NESTED, bytes))
}

/// The kind of a queueing discipline or filter.
fn kind(message: &TcMessage) -> Option<&str> {
    message.attributes.iter().find_map(|a| match a {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    })
}

/// An attribute's octets among those in `nest`.
fn inside(nest: &[u8], kind: u16) -> Option<Vec<u8>> {
    NlasIterator::new(nest).find_map(|found| {
        let found: NlaBuffer<&[u8]> = found.ok()?;
        (found.kind() == kind).then(|| found.value().to_vec())
    })
}

/// An attribute's octets, whatever they mean.
fn octets(attribute: &impl Nla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.value_len()];
    attribute.emit_value(&mut bytes);
    bytes
}

/// The name of the link that a message is about.
fn name_of(links: &[Link], message: &TcMessage) -> Option<String> {
    let index = message.header.index.cast_unsigned();
    let link = links.iter().find(|link| link.index == index)?;
    Some(link.name.clone())
}
