//! What the demo asks of its cloud, in the words of an OpenStack user.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::process::Command;

use super::openstack::OpenStack;
use crate::Failure;

/// The external network, with the outside's addresses as its gateways. All are of the prefixes for
/// documentation (RFC 3849, RFC 5737): nothing real can be meant.
const EXTERNAL: &str = "2001:db8:ffff::/64";
const GATEWAY: &str = "2001:db8:ffff::1";
const EXTERNAL4: &str = "198.51.100.0/24";
const GATEWAY4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The network that servers are on.
const PRIVATE: &str = "2001:db8:1::/64";
const PRIVATE4: &str = "192.0.2.0/24";
/// The private key that opens them, a file beside the cloud's.
pub(super) const KEY: &str = "ssh-key";
pub(super) const SERVERS: [&str; 3] = ["demo-1", "demo-2", "demo-3"];

/// The disk of servers whose all is in the ramdisk.
const BLANK_DISK_BYTES: u64 = 1 << 20;

/// Makes all but the servers, and returns the router's address on the external network.
pub(super) async fn prepare(openstack: OpenStack<'_>) -> Result<Ipv6Addr, Failure> {
    // Two at a time: each is a second of one processor's work.
    let images_and_access = async {
        images(openstack).await?;
        access(openstack).await
    };
    let (router, ()) = tokio::try_join!(networks(openstack), images_and_access)?;
    Ok(router)
}

/// Asks for the servers, one after another.
pub(super) async fn servers(openstack: OpenStack<'_>) -> Result<(), Failure> {
    let create = "server create --image guest --flavor m1.nano --network private --key-name demo";
    for name in SERVERS {
        let words: Vec<&str> = create.split(' ').chain([name]).collect();
        openstack.create(&words).await?;
    }
    Ok(())
}

/// Gives a server an address that the outside knows, and says which.
pub(super) async fn floating_ip(
    openstack: OpenStack<'_>,
    server: &str,
) -> Result<Ipv4Addr, Failure> {
    let made = openstack
        .create(&words("floating ip create public"))
        .await?;
    let address = made["floating_ip_address"].as_str();
    let address: Ipv4Addr = address
        .and_then(|text| text.parse().ok())
        .ok_or("the floating IP has no IPv4 address")?;
    let text = address.to_string();
    let add = [words("server add floating ip"), vec![server, &text]].concat();
    openstack.run(&add).await?;
    Ok(address)
}

/// The outside's addresses, with the lengths of the external network's prefixes.
pub(super) fn gateways() -> [IpNet; 2] {
    let address = GATEWAY.parse().expect("a constant of this form");
    [
        Ipv6Net::new_assert(address, 64).into(),
        Ipv4Net::new_assert(GATEWAY4, 24).into(),
    ]
}

/// The prefix of the network that servers are on.
pub(super) fn private() -> Ipv6Net {
    PRIVATE.parse().expect("a constant of this form")
}

async fn networks(openstack: OpenStack<'_>) -> Result<Ipv6Addr, Failure> {
    let public = "network create --external --provider-network-type flat --provider-physical-network public public";
    openstack.create(&words(public)).await?;
    let public6 = "subnet create --network public --ip-version 6 --no-dhcp --subnet-range";
    let rest = [EXTERNAL, "--gateway", GATEWAY, "public6"];
    openstack
        .create(&[words(public6), rest.into()].concat())
        .await?;
    let public4 = "subnet create --network public --no-dhcp --subnet-range";
    let gateway4 = GATEWAY4.to_string();
    let rest = [EXTERNAL4, "--gateway", &gateway4, "public4"];
    openstack
        .create(&[words(public4), rest.into()].concat())
        .await?;
    openstack.create(&words("network create private")).await?;
    let private6 = "subnet create --network private --ip-version 6 --ipv6-ra-mode slaac --ipv6-address-mode slaac --subnet-range";
    let rest = [PRIVATE, "private6"];
    openstack
        .create(&[words(private6), rest.into()].concat())
        .await?;
    let private4 = "subnet create --network private --subnet-range";
    let rest = [PRIVATE4, "private4"];
    openstack
        .create(&[words(private4), rest.into()].concat())
        .await?;
    let router = "router create --external-gateway public r1";
    let made = openstack.create(&words(router)).await?;
    for subnet in ["private6", "private4"] {
        let add = [words("router add subnet r1"), vec![subnet]].concat();
        openstack.run(&add).await?;
    }
    let addresses = made["external_gateway_info"]["external_fixed_ips"].as_array();
    let mut addresses = addresses.into_iter().flatten();
    let address = addresses.find_map(|a| a["ip_address"].as_str()?.parse().ok());
    Ok(address.ok_or("the router has no IPv6 address on the external network")?)
}

async fn images(openstack: OpenStack<'_>) -> Result<(), Failure> {
    let tools = openstack.tools;
    let kernel = "image create --public --disk-format aki --container-format aki --file";
    let file = tools.kernel.to_string_lossy();
    let kernel = [words(kernel), vec![&file, "kernel"]].concat();
    let kernel = openstack.create_id(&kernel).await?;
    let ramdisk = "image create --public --disk-format ari --container-format ari --file";
    let file = tools.ramdisk.to_string_lossy();
    let ramdisk = [words(ramdisk), vec![&file, "ramdisk"]].concat();
    let ramdisk = openstack.create_id(&ramdisk).await?;
    let blank = openstack.place.file("blank.raw");
    File::create(&blank)?.set_len(BLANK_DISK_BYTES)?;
    let guest = format!(
        "image create --public --disk-format raw --container-format bare --property kernel_id={kernel} --property ramdisk_id={ramdisk} --file"
    );
    let file = blank.to_string_lossy();
    let guest = [words(&guest), vec![&file, "guest"]].concat();
    openstack.create(&guest).await.map(drop)
}

/// A line's words, where none holds a space.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A key for SSH, and rules that let ping and SSH in.
async fn access(openstack: OpenStack<'_>) -> Result<(), Failure> {
    let key = openstack.place.file(KEY);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "hextet demo", "-f"]);
    let made = command.arg(&key).stdin(Stdio::null()).output().await?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(format!("ssh-keygen failed: {}", said.trim()).into());
    }
    let public = key.with_extension("pub");
    let words = [
        "keypair",
        "create",
        "--public-key",
        &public.to_string_lossy(),
        "demo",
    ];
    openstack.create(&words).await?;
    for (family, protocol) in [
        ("IPv6", &["ipv6-icmp"][..]),
        ("IPv6", &["tcp", "--dst-port", "22"]),
        ("IPv4", &["icmp"]),
        ("IPv4", &["tcp", "--dst-port", "22"]),
    ] {
        let words = [
            "security",
            "group",
            "rule",
            "create",
            "--ethertype",
            family,
            "--protocol",
        ];
        openstack
            .create(&[&words[..], protocol, &["default"]].concat())
            .await?;
    }
    Ok(())
}
