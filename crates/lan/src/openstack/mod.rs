//! The metadata tree of one guest: paths to documents. No I/O.
//!
//! ```text
//! /                       EC2's versions, oldest first: below them is what `ec2` says
//! /openstack              the versions, oldest first
//! /openstack/VERSION      the names of its documents
//! /openstack/VERSION/NAME meta_data.json, user_data, vendor_data.json, network_data.json, vendor_data2.json
//! ```
//! The config drive holds the same documents.

mod ec2;
mod meta_data;
mod network_data;

use std::net::Ipv4Addr;

use model::{Network, Port, Server};
use serde_json::{Value, json};

/// A guest with what its metadata says of its links.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub server: Server,
    /// In the order in which the guest sees them.
    pub ports: Vec<(Port, Network)>,
    /// Floating addresses of IPv4 that stand for its own: the formats know of no others.
    pub floating: Vec<Ipv4Addr>,
}

/// Versions of the tree, oldest first, as nova's metadata names them.
pub const VERSIONS: [&str; 10] = [
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    LATEST,
];

/// What a guest may write, once.
const PASSWORD: &str = "password";

/// What every tree has beside its dates.
const LATEST: &str = "latest";

/// How many random octets a guest gets for its own random numbers, as from nova.
pub const SEED_SIZE: usize = 512;

/// Documents, with the version that brought them. Dates compare as text, and `latest` is above
/// every date.
const DOCUMENTS: [(&str, &str); 6] = [
    ("meta_data.json", "2012-08-10"),
    ("user_data", "2012-08-10"),
    (PASSWORD, "2013-04-04"),
    ("vendor_data.json", "2013-10-17"),
    ("network_data.json", "2015-10-15"),
    ("vendor_data2.json", "2016-10-06"),
];

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// What the tree of one guest is made of.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    pub instance: &'a Instance,
    /// What the operator tells every guest; an object.
    pub vendor_data: &'a Value,
    /// Fresh from the kernel.
    pub seed: &'a [u8; SEED_SIZE],
    /// What the guest has told; empty when it has told nothing.
    pub password: &'a str,
}

impl Tree<'_> {
    /// Finds what stands at a path such as `openstack/latest/meta_data.json`; further slashes do not
    /// matter.
    pub fn find(&self, path: &str) -> Option<Document> {
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        match *steps.as_slice() {
            [] | ["ec2"] => Some(text([&ec2::VERSIONS[..], &[LATEST]].concat().join("\n"))),
            ["openstack"] => Some(text(VERSIONS.join("\n"))),
            ["openstack", version] => {
                let there = DOCUMENTS.map(|(name, _)| name);
                let version = known(version)?;
                let there = there.iter().filter(|name| self.has(version, name));
                Some(text(there.copied().collect::<Vec<_>>().join("\n")))
            }
            ["openstack", version, name] => {
                let version = known(version).filter(|version| self.has(version, name))?;
                self.document(version, name)
            }
            ["openstack", ..] => None,
            ["ec2", version, ref below @ ..] | [version, ref below @ ..] => {
                ec2::find(self.instance, version, below)
            }
        }
    }

    /// Every document with its path from the root of a config drive, where nova has EC2's too.
    pub fn config_drive(&self) -> Vec<(String, Vec<u8>)> {
        let openstack = VERSIONS.iter().flat_map(|version| {
            // A disk is made before a guest can tell anything.
            let names = DOCUMENTS.map(|(name, _)| name).into_iter();
            let names = names.filter(|name| *name != PASSWORD);
            names.filter_map(move |name| {
                let path = format!("openstack/{version}/{name}");
                self.find(&path).map(|found| (path, found.body))
            })
        });
        let ec2 = ["2009-04-04", LATEST].map(|version| {
            let all = ec2::meta_data(self.instance, version);
            (format!("ec2/{version}/meta-data.json"), json(&all).body)
        });
        openstack.chain(ec2).collect()
    }

    fn has(&self, version: &str, name: &str) -> bool {
        let brought = DOCUMENTS.iter().find(|(known, _)| *known == name);
        brought.is_some_and(|(_, since)| version >= *since)
            && (name != "user_data" || self.instance.server.user_data.is_some())
    }

    fn document(&self, version: &str, name: &str) -> Option<Document> {
        let server = &self.instance.server;
        Some(match name {
            "meta_data.json" => json(&meta_data::render(server, version, self.seed)),
            "network_data.json" => json(&network_data::render(&self.instance.ports)),
            "vendor_data.json" => json(self.vendor_data),
            // By the name of what provides it: nova calls the operator's file so.
            "vendor_data2.json" => json(&json!({"static": self.vendor_data})),
            "user_data" => return user_data(self.instance),
            PASSWORD => text(self.password.to_owned()),
            _ => return None,
        })
    }
}

/// Whether a path is that of the password.
pub(crate) fn is_password(path: &str) -> bool {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let since = DOCUMENTS.iter().find(|(name, _)| *name == PASSWORD);
    match *steps.as_slice() {
        ["openstack", version, PASSWORD] => {
            known(version).is_some_and(|v| since.is_some_and(|(_, since)| v >= *since))
        }
        _ => false,
    }
}

fn known(version: &str) -> Option<&'static str> {
    VERSIONS.into_iter().find(|v| *v == version)
}

fn user_data(instance: &Instance) -> Option<Document> {
    let body = instance.server.user_data.clone()?.0;
    Some(Document {
        content_type: "application/octet-stream",
        body,
    })
}

fn json(value: &Value) -> Document {
    Document {
        content_type: "application/json",
        body: value.to_string().into_bytes(),
    }
}

fn text(body: String) -> Document {
    Document {
        content_type: "text/plain; charset=utf-8",
        body: body.into_bytes(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
