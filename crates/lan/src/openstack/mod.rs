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
    /// Floating addresses that stand for its own.
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

/// What every tree has beside its dates.
const LATEST: &str = "latest";

/// How many random octets a guest gets for its own random numbers, as from nova.
pub const SEED_SIZE: usize = 512;

/// Documents, with the version that brought them. Dates compare as text, and `latest` is above
/// every date.
const DOCUMENTS: [(&str, &str); 5] = [
    ("meta_data.json", "2012-08-10"),
    ("user_data", "2012-08-10"),
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
            let names = DOCUMENTS.iter().map(|(name, _)| *name);
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
            _ => return None,
        })
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
pub(crate) mod tests {
    use model::UserData;
    use model::{
        Boot, ImageFile, ImageId, NetworkId, PortId, Power, ProjectId, RaMode, Reboot, ServerId,
        Subnet, SubnetId,
    };
    use uuid::Uuid;

    use super::*;

    /// A server named `web` with one port on a network with one subnet for each address mode.
    pub(crate) fn sample() -> Instance {
        let network = NetworkId(Uuid::from_u128(0x77));
        let modes = [
            Some(RaMode::Slaac),
            Some(RaMode::Dhcpv6Stateless),
            Some(RaMode::Dhcpv6Stateful),
            None,
        ];
        let subnets = (1..).zip(modes).map(|(n, mode)| subnet(n, mode)).collect();
        let addresses = [
            "2001:db8:4::5",
            "2001:db8:1::5",
            "2001:db8:2::5",
            "2001:db8:3::5",
        ];
        let port = Port {
            id: PortId(Uuid::from_u128(0x1234_5678 << 96)),
            network,
            mac: "fa:16:3e:01:02:03".parse().unwrap(),
            enabled: true,
            addresses: addresses.map(|a| a.parse().unwrap()).to_vec(),
            port_security: true,
            allowed_prefixes: Vec::new(),
            rules: Vec::new(),
            server: Some(server().id),
            security_groups: Vec::new(),
        };
        let network = Network {
            id: network,
            mtu: 1430,
            physical_network: None,
            dns_domain: "openstacklocal.".into(),
            resolver: Vec::new(),
            subnets,
        };
        Instance {
            server: server(),
            ports: vec![(port, network)],
            floating: Vec::new(),
        }
    }

    fn subnet(n: u16, address_mode: Option<RaMode>) -> Subnet {
        Subnet {
            id: SubnetId(Uuid::from_u128(n.into())),
            prefix: format!("2001:db8:{n}::/64").parse().unwrap(),
            gateway: Some(format!("2001:db8:{n}::1").parse().unwrap()),
            ra_mode: address_mode,
            address_mode,
            enable_dhcp: true,
            dns_nameservers: vec!["2001:db8::53".parse().unwrap()],
            host_routes: vec![model::Route {
                destination: "fd00:9::/32".parse().unwrap(),
                nexthop: format!("2001:db8:{n}::9").parse().unwrap(),
            }],
        }
    }

    fn server() -> Server {
        let disk = ImageFile {
            id: ImageId(Uuid::nil()),
            size_bytes: 0,
            sha512: String::new(),
            disk_format: "raw".to_owned(),
        };
        Server {
            id: ServerId(Uuid::from_u128(0x5e)),
            name: "Web 1".to_owned(),
            hostname: "web-1".to_owned(),
            project: ProjectId("0123456789abcdef0123456789abcdef".to_owned()),
            power: Power::Running,
            start_epoch: 1,
            reboot_epoch: 0,
            reboot: Reboot::Soft,
            vcpus: 1,
            ram_mib: 64,
            disk_gib: 0,
            boot: Boot {
                disk: Some(disk),
                kernel: None,
                ramdisk: None,
                kernel_args: String::new(),
                hardware: Default::default(),
            },
            ports: Vec::new(),
            availability_zone: "nova".to_owned(),
            public_keys: vec![("laptop".to_owned(), "ssh-ed25519 AAAA me".to_owned())],
            user_data: Some(UserData(b"#cloud-config\n".to_vec())),
            metadata: vec![("role".to_owned(), "web".to_owned())],
            created_ms: 0,
            attachments: Vec::new(),
            config_drive: false,
            flavor: "m1.small".to_owned(),
            reservation: "r-12345678".to_owned(),
            launch_index: 0,
        }
    }

    fn tree<'a>(instance: &'a Instance, vendor_data: &'a Value) -> Tree<'a> {
        Tree {
            instance,
            vendor_data,
            seed: &[7; SEED_SIZE],
        }
    }

    fn text(instance: &Instance, path: &str) -> Option<String> {
        let found = tree(instance, &json!({"of": "cloud"})).find(path)?;
        Some(String::from_utf8(found.body).unwrap())
    }

    #[test]
    fn the_tree_lists_itself() {
        let instance = sample();
        let all =
            "meta_data.json\nuser_data\nvendor_data.json\nnetwork_data.json\nvendor_data2.json";
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(text(&instance, path).as_deref(), expected, "{path}");
        };
        let ec2 = "1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n\
                   2008-09-01\n2009-04-04\nlatest";
        for root in ["/", "", "/ec2", "/ec2/"] {
            check(root, Some(ec2));
        }
        check("/latest/meta-data/hostname", Some("web-1"));
        check("/ec2/latest//meta-data/hostname/", Some("web-1"));
        check("/openstack", Some(VERSIONS.join("\n").as_str()));
        check("//openstack/latest/", Some(all));
        check("/openstack/2020-10-14", Some(all));
        check("/openstack/2012-08-10", Some("meta_data.json\nuser_data"));
        check("/openstack/latest/user_data", Some("#cloud-config\n"));
        check(
            "/openstack/latest/vendor_data.json",
            Some(r#"{"of":"cloud"}"#),
        );
        check(
            "/openstack/latest/vendor_data2.json",
            Some(r#"{"static":{"of":"cloud"}}"#),
        );
        check("/openstack/2012-08-10/network_data.json", None);
        check("/openstack/2016-06-30/vendor_data2.json", None);
        for missing in [
            "/ec2/x",
            "/openstack/1999-01-01",
            "/openstack/latest/x",
            "/openstack/latest/user_data/x",
            "/latest/a/b/c/d",
        ] {
            check(missing, None);
        }
    }

    /// What a version lists is there, and nothing that it does not list.
    #[test]
    fn a_list_tells_the_truth() {
        let mut instance = sample();
        for user_data in [instance.server.user_data.clone(), None] {
            instance.server.user_data = user_data;
            for version in VERSIONS {
                let listed = text(&instance, &format!("openstack/{version}")).unwrap();
                for (name, _) in DOCUMENTS {
                    let there = text(&instance, &format!("openstack/{version}/{name}")).is_some();
                    assert_eq!(there, listed.lines().any(|l| l == name), "{version}/{name}");
                }
            }
        }
    }

    #[test]
    fn the_config_drive_says_what_the_service_says() {
        let (instance, vendor_data) = (sample(), json!({}));
        let tree = tree(&instance, &vendor_data);
        let files = tree.config_drive();
        for (path, content) in files
            .iter()
            .filter(|(path, _)| path.starts_with("openstack"))
        {
            assert_eq!(tree.find(path).unwrap().body, *content, "{path}");
        }
        let has = |path: &str| files.iter().any(|(p, _)| p == path);
        for path in [
            "openstack/latest/meta_data.json",
            "openstack/latest/network_data.json",
            "openstack/latest/vendor_data.json",
            "openstack/latest/vendor_data2.json",
            "openstack/latest/user_data",
            "openstack/2012-08-10/meta_data.json",
            "ec2/2009-04-04/meta-data.json",
            "ec2/latest/meta-data.json",
        ] {
            assert!(has(path), "{path}");
        }
        assert!(!has("openstack/2012-08-10/network_data.json"));
    }
}
