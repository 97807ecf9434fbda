//! The tree of EC2's words, for systems that know no others, as nova has it.
//!
//! ```text
//! /VERSION                  meta-data/, user-data
//! /VERSION/meta-data/...    one value at each path
//! ```
//! An id of EC2 has eight hex digits: here they are the first of the OpenStack id, so that it is the
//! same wherever and whenever it is asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::{Document, Instance, LATEST, text};

/// The versions, oldest first.
pub(super) const VERSIONS: [&str; 9] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
];

/// How the name stands in its parent's list, where that is not its own.
const LISTED_AS: &str = "_name";

/// What stands below a version.
pub(super) fn find(instance: &Instance, version: &str, steps: &[&str]) -> Option<Document> {
    if version != LATEST && !VERSIONS.contains(&version) {
        return None;
    }
    match steps {
        [] if instance.server.user_data.is_some() => Some(text("meta-data/\nuser-data".into())),
        [] => Some(text("meta-data/".into())),
        ["user-data"] => super::user_data(instance),
        ["meta-data", below @ ..] => {
            let all = meta_data(instance, version);
            let found = below.iter().try_fold(&all, |value, step| {
                value.get(step).filter(|_| *step != LISTED_AS)
            });
            found.map(|value| text(shown(value)))
        }
        _ => None,
    }
}

/// All of `meta-data/`; Amazon's dates compare as text, and `latest` is above every date.
pub(super) fn meta_data(instance: &Instance, version: &str) -> Value {
    let server = &instance.server;
    let id = |kind: &str, id: &model::ImageFile| json!(format!("{kind}-{}", id.id.short()));
    let image = |kind, file: &Option<model::ImageFile>| file.as_ref().map(|f| id(kind, f));
    let local = addresses(instance).find_map(ipv4);
    let public = instance.floating.first();
    let says = [
        ("1.0", "ami-id", image("ami", &server.boot.disk)),
        ("1.0", "ami-launch-index", Some(json!(server.launch_index))),
        // What Amazon says of an image that was not made of such a file.
        ("1.0", "ami-manifest-path", Some(json!("(unknown)"))),
        ("1.0", "hostname", Some(json!(server.hostname))),
        (
            "1.0",
            "instance-id",
            Some(json!(format!("i-{}", server.id.short()))),
        ),
        ("1.0", "local-ipv4", Some(or_empty(local.as_ref()))),
        ("1.0", "public-keys", public_keys(instance)),
        ("1.0", "reservation-id", Some(json!(server.reservation))),
        ("1.0", "security-groups", Some(security_groups(instance))),
        ("2007-01-19", "local-hostname", Some(json!(server.hostname))),
        (
            "2007-01-19",
            "public-hostname",
            Some(json!(server.hostname)),
        ),
        ("2007-01-19", "public-ipv4", Some(or_empty(public))),
        ("2007-08-29", "instance-type", Some(json!(server.flavor))),
        ("2007-12-15", "block-device-mapping", Some(disks(instance))),
        ("2007-12-15", "kernel-id", image("aki", &server.boot.kernel)),
        (
            "2007-12-15",
            "ramdisk-id",
            image("ari", &server.boot.ramdisk),
        ),
        (
            "2008-02-01",
            "placement",
            Some(json!({"availability-zone": server.availability_zone})),
        ),
        ("2008-09-01", "instance-action", Some(json!("none"))),
        // Younger than what nova lists; Amazon's own `latest` has it.
        (
            LATEST,
            "ipv6",
            addresses(instance).find_map(ipv6).map(|a| json!(a)),
        ),
    ];
    let here = says.into_iter().filter(|(since, ..)| version >= *since);
    let here = here.filter_map(|(_, key, value)| Some((key.to_owned(), value?)));
    Value::Object(here.collect())
}

fn addresses(instance: &Instance) -> impl Iterator<Item = IpAddr> {
    instance
        .ports
        .iter()
        .flat_map(|(port, _)| port.addresses.iter().copied())
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

fn or_empty(address: Option<&Ipv4Addr>) -> Value {
    json!(address.map(Ipv4Addr::to_string).unwrap_or_default())
}

fn public_keys(instance: &Instance) -> Option<Value> {
    let keys = instance.server.public_keys.iter().enumerate();
    let keys = keys.map(|(index, (name, key))| {
        let value = json!({LISTED_AS: format!("{index}={name}"), "openssh-key": key});
        (index.to_string(), value)
    });
    let keys: Map<_, _> = keys.collect();
    (!keys.is_empty()).then_some(Value::Object(keys))
}

fn security_groups(instance: &Instance) -> Value {
    let names = instance.ports.iter();
    let mut names: Vec<_> = names.flat_map(|(port, _)| &port.security_groups).collect();
    names.sort();
    names.dedup();
    json!(names)
}

/// The root disk, which the compute API calls `/dev/vda`, and the volumes by the API's names.
fn disks(instance: &Instance) -> Value {
    let mut disks = json!({"ami": "vda", "root": "/dev/vda"});
    let volumes = instance.server.attachments.iter().filter(|a| !a.root);
    for (index, volume) in volumes.enumerate() {
        disks[format!("ebs{index}")] = json!(volume.device);
    }
    disks
}

/// A value as a body: of several, one a line; of a level, the names on it.
fn shown(value: &Value) -> String {
    let lines: Vec<String> = match value {
        Value::String(text) => return text.clone(),
        Value::Array(values) => values.iter().map(shown).collect(),
        Value::Object(level) => {
            let mut names: Vec<_> = level
                .iter()
                .filter(|(name, _)| *name != LISTED_AS)
                .collect();
            names.sort_by_key(|(name, _)| *name);
            names
                .into_iter()
                .map(|(name, below)| listed(name, below))
                .collect()
        }
        other => return other.to_string(),
    };
    lines.join("\n")
}

fn listed(name: &str, below: &Value) -> String {
    match below.get(LISTED_AS) {
        Some(as_this) => shown(as_this),
        None if below.is_object() => format!("{name}/"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::tests::sample;

    fn dual() -> Instance {
        let mut instance = sample();
        let port = &mut instance.ports[0].0;
        port.addresses.insert(0, "192.0.2.5".parse().unwrap());
        port.security_groups = vec!["default".into(), "web".into()];
        instance.floating = vec!["203.0.113.7".parse().unwrap()];
        instance
    }

    fn check(instance: &Instance, path: &str, expected: Option<&str>) {
        let steps: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let found = find(instance, steps[0], &steps[1..]);
        let found = found.map(|d| String::from_utf8(d.body).unwrap());
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn each_path_has_its_value() {
        let instance = dual();
        let check = |path: &str, expected: &str| check(&instance, path, Some(expected));
        check("latest", "meta-data/\nuser-data");
        check("2009-04-04/user-data", "#cloud-config\n");
        check(
            "latest/meta-data",
            "ami-id\nami-launch-index\nami-manifest-path\nblock-device-mapping/\nhostname\n\
             instance-action\ninstance-id\ninstance-type\nipv6\nlocal-hostname\nlocal-ipv4\n\
             placement/\npublic-hostname\npublic-ipv4\npublic-keys/\nreservation-id\nsecurity-groups",
        );
        check("latest/meta-data/ami-id", "ami-00000000");
        check("latest/meta-data/ami-launch-index", "0");
        check("latest/meta-data/instance-id", "i-00000000");
        check("latest/meta-data/instance-type", "m1.small");
        check("latest/meta-data/reservation-id", "r-12345678");
        check("latest/meta-data/local-ipv4", "192.0.2.5");
        check("latest/meta-data/public-ipv4", "203.0.113.7");
        check("latest/meta-data/ipv6", "2001:db8:4::5");
        check("latest/meta-data/security-groups", "default\nweb");
        check("latest/meta-data/placement", "availability-zone");
        check("latest/meta-data/placement/availability-zone", "nova");
        check("latest/meta-data/public-keys", "0=laptop");
        check("latest/meta-data/public-keys/0", "openssh-key");
        check(
            "latest/meta-data/public-keys/0/openssh-key",
            "ssh-ed25519 AAAA me",
        );
        check("latest/meta-data/block-device-mapping", "ami\nroot");
        check("latest/meta-data/block-device-mapping/root", "/dev/vda");
        check(
            "1.0/meta-data",
            "ami-id\nami-launch-index\nami-manifest-path\nhostname\ninstance-id\nlocal-ipv4\n\
             public-keys/\nreservation-id\nsecurity-groups",
        );
    }

    #[test]
    fn elsewhere_is_nothing() {
        let instance = dual();
        for path in [
            "2010-01-01",
            "latest/x",
            "latest/meta-data/x",
            "latest/meta-data/hostname/x",
            "latest/meta-data/public-keys/1",
            "latest/meta-data/public-keys/0/_name",
            "latest/meta-data/security-groups/0",
            "1.0/meta-data/instance-type",
            "2009-04-04/meta-data/ipv6",
        ] {
            check(&instance, path, None);
        }
    }

    #[test]
    fn what_a_server_lacks_is_empty_or_not_there() {
        let mut instance = sample();
        instance.server.public_keys.clear();
        instance.server.user_data = None;
        check(&instance, "latest", Some("meta-data/"));
        check(&instance, "latest/user-data", None);
        check(&instance, "latest/meta-data/public-keys", None);
        for name in ["local-ipv4", "public-ipv4", "security-groups"] {
            check(&instance, &format!("latest/meta-data/{name}"), Some(""));
        }
    }
}
