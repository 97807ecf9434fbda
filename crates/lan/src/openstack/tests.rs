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
        allowed_macs: Vec::new(),
        rules: Vec::new(),
        server: Some(server().id),
        stateless: false,
        security_groups: Vec::new(),
        qos: model::Qos::default(),
        delegated: Vec::new(),
        dhcp_options: Vec::new(),
        subport: None,
    };
    let network = Network {
        id: network,
        mtu: 1430,
        physical_network: None,
        vlan: None,
        dns_domain: "openstacklocal.".into(),
        resolver: Vec::new(),
        subnets,
        retired: Vec::new(),
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
        lifetimes: model::Lifetimes::default(),
        pref64: None,
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
        password: Default::default(),
    }
}

fn tree<'a>(instance: &'a Instance, vendor_data: &'a Value) -> Tree<'a> {
    Tree {
        instance,
        vendor_data,
        seed: &[7; SEED_SIZE],
        password: "secret",
    }
}

fn text(instance: &Instance, path: &str) -> Option<String> {
    let found = tree(instance, &json!({"of": "cloud"})).find(path)?;
    Some(String::from_utf8(found.body).unwrap())
}

#[test]
fn the_tree_lists_itself() {
    let instance = sample();
    let all = "meta_data.json\nuser_data\npassword\nvendor_data.json\nnetwork_data.json\nvendor_data2.json";
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

#[test]
fn a_password_stands_where_it_is_listed() {
    for version in VERSIONS {
        let path = format!("/openstack//{version}/password/");
        let listed = text(&sample(), &path);
        assert_eq!(is_password(&path), listed.is_some(), "{version}");
        assert_eq!(listed.is_some(), version >= "2013-04-04", "{version}");
    }
    for other in [
        "/openstack/1999-01-01/password",
        "/openstack/latest/password/x",
        "/password",
    ] {
        assert!(!is_password(other), "{other}");
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
    assert!(!has("openstack/latest/password"));
}
