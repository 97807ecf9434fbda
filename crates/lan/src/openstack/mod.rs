//! The OpenStack metadata tree of one guest: paths to documents. No I/O.
//!
//! ```text
//! /                       openstack
//! /openstack              the versions, oldest first
//! /openstack/VERSION      the names of its documents
//! /openstack/VERSION/NAME meta_data.json, user_data, network_data.json, vendor_data.json
//! ```
//! The config drive holds the same documents.

mod ec2;
mod meta_data;
mod network_data;

use model::{Network, Port, Server};

/// A guest with what its metadata says of its links.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub server: Server,
    /// In the order in which the guest sees them.
    pub ports: Vec<(Port, Network)>,
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
    "latest",
];

/// How many random octets a guest gets for its own random numbers, as from nova.
pub const SEED_SIZE: usize = 512;

/// Documents, with the version that brought them. Dates compare as text, and `latest` is above
/// every date.
const DOCUMENTS: [(&str, &str); 4] = [
    ("meta_data.json", "2012-08-10"),
    ("user_data", "2012-08-10"),
    ("vendor_data.json", "2013-10-17"),
    ("network_data.json", "2015-10-15"),
];

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// Finds what stands at a path such as `openstack/latest/meta_data.json`; further slashes do not
/// matter. The seed must be fresh from the kernel.
pub fn find(instance: &Instance, path: &str, seed: &[u8; SEED_SIZE]) -> Option<Document> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    match *steps.as_slice() {
        [] => Some(lines(&["openstack"])),
        ["openstack"] => Some(lines(&VERSIONS)),
        ["openstack", version] => {
            let version = known(version)?;
            let there = DOCUMENTS.iter().filter(|(name, since)| {
                version >= *since && (*name != "user_data" || instance.server.user_data.is_some())
            });
            Some(lines(&there.map(|(name, _)| *name).collect::<Vec<_>>()))
        }
        ["openstack", version, name] => {
            let version = known(version)?;
            DOCUMENTS
                .iter()
                .find(|(n, since)| *n == name && version >= *since)?;
            document(instance, version, name, seed)
        }
        _ => None,
    }
}

/// Every document with its path from the root of a config drive, where nova has EC2's too.
pub fn config_drive(instance: &Instance, seed: &[u8; SEED_SIZE]) -> Vec<(String, Vec<u8>)> {
    let openstack = VERSIONS.iter().flat_map(|version| {
        let names = DOCUMENTS.iter().map(|(name, _)| *name);
        names.filter_map(move |name| {
            let path = format!("openstack/{version}/{name}");
            find(instance, &path, seed).map(|found| (path, found.body))
        })
    });
    let ec2 = json(&ec2::render(&instance.server)).body;
    let ec2 = ["2009-04-04", "latest"].map(|v| (format!("ec2/{v}/meta-data.json"), ec2.clone()));
    openstack.chain(ec2).collect()
}

fn known(version: &str) -> Option<&'static str> {
    VERSIONS.into_iter().find(|v| *v == version)
}

fn document(
    instance: &Instance,
    version: &str,
    name: &str,
    seed: &[u8; SEED_SIZE],
) -> Option<Document> {
    match name {
        "meta_data.json" => Some(json(&meta_data::render(&instance.server, version, seed))),
        "network_data.json" => Some(json(&network_data::render(&instance.ports))),
        "vendor_data.json" => Some(json(&serde_json::json!({}))),
        "user_data" => {
            let body = instance.server.user_data.clone()?.0;
            Some(Document {
                content_type: "application/octet-stream",
                body,
            })
        }
        _ => None,
    }
}

fn json(value: &serde_json::Value) -> Document {
    Document {
        content_type: "application/json",
        body: value.to_string().into_bytes(),
    }
}

fn lines(lines: &[&str]) -> Document {
    Document {
        content_type: "text/plain; charset=utf-8",
        body: lines.join("\n").into_bytes(),
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
        };
        let network = Network {
            id: network,
            mtu: 1430,
            physical_network: None,
            subnets,
        };
        Instance {
            server: server(),
            ports: vec![(port, network)],
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
        }
    }

    fn text(instance: &Instance, path: &str) -> Option<String> {
        let found = find(instance, path, &[7; SEED_SIZE])?;
        Some(String::from_utf8(found.body).unwrap())
    }

    #[test]
    fn the_tree_lists_itself() {
        let instance = sample();
        let all = "meta_data.json\nuser_data\nvendor_data.json\nnetwork_data.json";
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(text(&instance, path).as_deref(), expected, "{path}");
        };
        check("/", Some("openstack"));
        check("", Some("openstack"));
        check("/openstack", Some(VERSIONS.join("\n").as_str()));
        check("//openstack/latest/", Some(all));
        check("/openstack/2020-10-14", Some(all));
        check("/openstack/2012-08-10", Some("meta_data.json\nuser_data"));
        check("/openstack/latest/user_data", Some("#cloud-config\n"));
        check("/openstack/latest/vendor_data.json", Some("{}"));
        check("/openstack/2012-08-10/network_data.json", None);
        for missing in [
            "/ec2",
            "/openstack/1999-01-01",
            "/openstack/latest/x",
            "/latest/a/b/c/d",
        ] {
            check(missing, None);
        }
    }

    #[test]
    fn the_config_drive_says_what_the_service_says() {
        let instance = sample();
        let files = config_drive(&instance, &[7; SEED_SIZE]);
        for (path, content) in files
            .iter()
            .filter(|(path, _)| path.starts_with("openstack"))
        {
            let served = find(&instance, path, &[7; SEED_SIZE]).unwrap();
            assert_eq!(served.body, *content, "{path}");
        }
        for path in [
            "openstack/latest/meta_data.json",
            "openstack/latest/network_data.json",
            "openstack/latest/vendor_data.json",
            "openstack/latest/user_data",
            "openstack/2012-08-10/meta_data.json",
            "ec2/latest/meta-data.json",
        ] {
            assert!(files.iter().any(|(p, _)| p == path), "{path}");
        }
        assert!(
            !files
                .iter()
                .any(|(p, _)| p == "openstack/2012-08-10/network_data.json")
        );
    }

    #[test]
    fn without_user_data_there_is_none() {
        let mut instance = sample();
        instance.server.user_data = None;
        assert_eq!(text(&instance, "/openstack/latest/user_data"), None);
        assert!(
            !text(&instance, "/openstack/latest")
                .unwrap()
                .contains("user_data")
        );
    }
}
