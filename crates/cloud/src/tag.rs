//! Tags of what the network API has: words that a project marks its things with.

use model::{Caller, Error, Kind, Result};
use store::{Row, Tx, row};

use crate::list::check_tags;
use crate::{
    Cloud, floating_ip, network, now_ms, port, qos, router, security_group, subnet, subnet_pool,
    trunk,
};

/// A kind of thing that has tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    Network,
    Subnet,
    Port,
    Router,
    SecurityGroup,
    FloatingIp,
    SubnetPool,
    Trunk,
    QosPolicy,
}

/// What is to happen to tags.
#[derive(Clone, Debug)]
pub enum TagChange {
    Replace(Vec<String>),
    Add(String),
    Remove(String),
}

/// A row with tags.
trait HasTags: Row {
    fn tags(&mut self) -> &mut Vec<String>;
    fn revision(&self) -> u64;
    fn changed(&mut self);
}

macro_rules! has_tags {
    ($($row:ident)*) => {$(
        impl HasTags for row::$row {
            fn tags(&mut self) -> &mut Vec<String> {
                &mut self.tags.0
            }
            fn revision(&self) -> u64 {
                self.revision
            }
            fn changed(&mut self) {
                self.revision += 1;
                self.updated_ms = now_ms();
            }
        }
    )*};
}
has_tags!(Network Subnet Port Router SecurityGroup FloatingIp SubnetPool Trunk QosPolicy);

impl Cloud {
    /// The tags of a thing the caller may see.
    pub fn tags(&self, caller: &Caller, of: Tagged, id: &str) -> Result<Vec<String>> {
        self.store().read(|tx| {
            Ok(match of {
                Tagged::Network => network::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::Subnet => subnet::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::Port => port::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::Router => router::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::SecurityGroup => {
                    security_group::visible(tx, caller, &named(of, id)?)?.tags.0
                }
                Tagged::FloatingIp => floating_ip::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::SubnetPool => subnet_pool::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::Trunk => trunk::visible(tx, caller, &named(of, id)?)?.tags.0,
                Tagged::QosPolicy => qos::visible(tx, caller, &named(of, id)?)?.tags.0,
            })
        })
    }

    /// Changes the tags of a thing the caller may change; what they are then.
    ///
    /// # Errors
    /// `NotFound` for a tag to remove that is not there.
    pub fn change_tags(
        &self,
        caller: &Caller,
        of: Tagged,
        id: &str,
        change: &TagChange,
    ) -> Result<Vec<String>> {
        caller.require_member()?;
        self.store().write(|tx| match of {
            Tagged::Network => {
                let row = network::owned(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::Subnet => {
                let row = subnet::owned(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::Port => {
                let row = port::visible(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::Router => {
                let row = router::visible(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::SecurityGroup => {
                let row = security_group::owned(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::FloatingIp => {
                let row = floating_ip::visible(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::SubnetPool => {
                let row = subnet_pool::owned(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::Trunk => {
                let row = trunk::visible(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
            Tagged::QosPolicy => {
                let row = qos::changeable(tx, caller, &named(of, id)?)?;
                apply(tx, caller, row, change)
            }
        })
    }
}

fn apply<R: HasTags>(
    tx: &mut Tx<'_>,
    caller: &Caller,
    mut row: R,
    change: &TagChange,
) -> Result<Vec<String>> {
    caller.check_revision(row.revision())?;
    let tags = row.tags();
    match change {
        TagChange::Replace(new) => {
            tags.clear();
            new.iter().for_each(|tag| add(tags, tag));
        }
        TagChange::Add(tag) => add(tags, tag),
        TagChange::Remove(tag) => {
            let place = tags.iter().position(|t| t == tag);
            tags.remove(place.ok_or_else(|| Error::not_found(Kind::Tag, tag))?);
        }
    }
    check_tags(tags)?;
    let now = tags.clone();
    row.changed();
    tx.update(&row)?;
    Ok(now)
}

fn add(tags: &mut Vec<String>, tag: &str) {
    if !tags.iter().any(|t| t == tag) {
        tags.push(tag.to_owned());
    }
}

/// An id in a path. What is no id names nothing.
fn named<Id: std::str::FromStr>(of: Tagged, text: &str) -> Result<Id> {
    let kind = match of {
        Tagged::Network => Kind::Network,
        Tagged::Subnet => Kind::Subnet,
        Tagged::Port => Kind::Port,
        Tagged::Router => Kind::Router,
        Tagged::SecurityGroup => Kind::SecurityGroup,
        Tagged::FloatingIp => Kind::FloatingIp,
        Tagged::SubnetPool => Kind::SubnetPool,
        Tagged::Trunk => Kind::Trunk,
        Tagged::QosPolicy => Kind::QosPolicy,
    };
    text.parse().map_err(|_| Error::not_found(kind, text))
}
