//! From asking for a server to a guest that answers, beside the same guest without hextet.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Failure;
use crate::apis::made;
use crate::bare::Bare;
use crate::client::Client;
use crate::figures::{Figures, Series};
use crate::ping;
use crate::world::{World, post, put};

const PREFIX: &str = "2001:db8:a::/64";
const LOOK_EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(120);
/// Servers that lists show.
const LISTED: usize = 20;
/// Where servers are.
pub(crate) const SERVERS: &str = "/compute/v2.1/servers";

/// A guest's times, from the moment it was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) active: Duration,
    pub(crate) pinged: Duration,
}

/// Servers and bare guests in turn.
pub(crate) async fn beside_bare(
    world: &World,
    wanted: &Value,
    runs: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let mut client = world.client().await?;
    let bare = Bare::new(world).await?;
    let measured = turns(world, &mut client, wanted, &bare, runs).await?;
    let [active, pinged, bare_active, bare_pinged] = measured;
    let ratio = pinged.ratio("server over bare QEMU, until first ping", &bare_pinged);
    for series in [active, pinged, bare_active, bare_pinged, ratio] {
        figures.add(series);
    }
    Ok(())
}

/// Servers that no host has room for: the lists have something to say, and no guest takes time.
pub(crate) async fn populate(world: &World, wanted: &Value) -> Result<(), Failure> {
    let client = &mut world.client().await?;
    world.lift_quotas(client).await?;
    let huge = json!({"flavor": {"name": "huge", "ram": 1 << 26, "vcpus": 1, "disk": 1}});
    let huge = post(client, "/compute/v2.1/flavors", huge).await?;
    let mut wanted = wanted.clone();
    wanted["server"]["flavorRef"] = huge["flavor"]["id"].clone();
    for n in 0..LISTED {
        wanted["server"]["name"] = format!("listed-{n}").into();
        post(client, SERVERS, wanted.clone()).await?;
    }
    Ok(())
}

async fn turns(
    world: &World,
    client: &mut Client,
    wanted: &Value,
    bare: &Bare,
    runs: usize,
) -> Result<[Series; 4], Failure> {
    let mut series = [
        "POST servers until ACTIVE",
        "POST servers until first ping, through its router",
        "bare QEMU until it runs",
        "bare QEMU until first ping",
    ]
    .map(|name| Series::new(name, "s"));
    // The first of each fills caches: ours, and the kernel's of QEMU's files.
    for turn in 0..=runs {
        let server = server(world, client, wanted).await?;
        let alone = bare.boot().await?;
        if turn > 0 {
            let times = [server.active, server.pinged, alone.active, alone.pinged];
            series
                .iter_mut()
                .zip(times)
                .for_each(|(s, time)| s.add_time(time));
        }
    }
    Ok(series)
}

/// One server: made, timed, deleted.
async fn server(world: &World, client: &mut Client, wanted: &Value) -> Result<Times, Failure> {
    let began = Instant::now();
    let made = post(client, SERVERS, wanted.clone()).await?;
    let id = made["server"]["id"]
        .as_str()
        .ok_or("a server without an id")?;
    let path = format!("{SERVERS}/{id}");
    let (mut active, mut ping) = (None, None);
    while active.is_none() || ping.is_none() {
        let server = &client.get(&path).await?["server"];
        match server["status"].as_str() {
            Some("ACTIVE") => active = active.or(Some(began.elapsed())),
            Some("ERROR") => return Err(format!("server {id}: {}", server["fault"]).into()),
            _ => {}
        }
        if let (None, Some(address)) = (&ping, address(server)) {
            let ns = world.outside.clone();
            ping = Some(tokio::spawn(async move {
                ping::first_reply(&ns, address).await
            }));
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("server {id} is {} after {PATIENCE:?}", server["status"]).into());
        }
        sleep(LOOK_EVERY).await;
    }
    let pinged = match ping {
        Some(ping) => ping.await??,
        None => return Err("a server without an address".into()),
    };
    client.ask(Method::DELETE, &path, None).await?;
    while client.ask(Method::GET, &path, None).await?.0.is_success() {
        sleep(LOOK_EVERY).await;
    }
    let active = active.unwrap_or_default();
    Ok(Times {
        active,
        pinged: pinged - began,
    })
}

fn address(server: &Value) -> Option<Ipv6Addr> {
    let networks = server["addresses"].as_object()?.values();
    let mut all = networks.flat_map(|n| n.as_array().into_iter().flatten());
    all.find_map(|a| a["addr"].as_str()?.parse().ok())
}

/// Networks, router, rules and images; and the request for a server.
pub(crate) async fn prepare(world: &World) -> Result<Value, Failure> {
    let client = &mut world.client().await?;
    let external = json!({"name": "public", "router:external": true,
        "provider:network_type": "flat", "provider:physical_network": "public"});
    let external = made(client, "network", external).await?;
    made(
        client,
        "subnet",
        json!({"network_id": external, "ip_version": 6, "enable_dhcp": false,
        "cidr": "2001:db8:ffff::/64", "gateway_ip": "2001:db8:ffff::1"}),
    )
    .await?;
    let private = made(client, "network", json!({"name": "private"})).await?;
    let subnet = made(
        client,
        "subnet",
        json!({"network_id": private, "ip_version": 6, "cidr": PREFIX,
        "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}),
    )
    .await?;
    let router =
        json!({"router": {"name": "r1", "external_gateway_info": {"network_id": external}}});
    let router = post(client, "/network/v2.0/routers", router).await?;
    let router = &router["router"];
    let id = router["id"].as_str().ok_or("a router without an id")?;
    let path = format!("/network/v2.0/routers/{id}/add_router_interface");
    let (status, said) = client
        .ask(
            Method::PUT,
            &path,
            Some(json!({"subnet_id": subnet}).into()),
        )
        .await?;
    if !status.is_success() {
        return Err(format!("PUT {path}: {status} {}", String::from_utf8_lossy(&said)).into());
    }
    let outer = &router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"];
    world.route(PREFIX, outer.as_str().ok_or("a router without an address")?)?;
    let group = made(client, "security_group", json!({"name": "ping"})).await?;
    made(
        client,
        "security_group_rule",
        json!({"security_group_id": group, "direction": "ingress",
        "ethertype": "IPv6", "protocol": "ipv6-icmp"}),
    )
    .await?;
    let image = images(world, client).await?;
    let flavor = flavor(client).await?;
    Ok(
        json!({"server": {"name": "bench", "imageRef": image, "flavorRef": flavor,
        "networks": [{"uuid": private}], "security_groups": [{"name": "ping"}]}}),
    )
}

async fn images(world: &World, client: &mut Client) -> Result<String, Failure> {
    let kernel = std::fs::read(world.guest.join("vmlinuz"))?;
    let kernel = image(
        client,
        json!({"name": "kernel", "disk_format": "aki", "container_format": "aki"}),
        kernel,
    )
    .await?;
    let ramdisk = std::fs::read(world.guest.join("initrd"))?;
    let ramdisk = image(
        client,
        json!({"name": "ramdisk", "disk_format": "ari", "container_format": "ari"}),
        ramdisk,
    )
    .await?;
    let guest = json!({"name": "guest", "disk_format": "raw", "container_format": "bare",
        "kernel_id": kernel, "ramdisk_id": ramdisk});
    image(client, guest, vec![0; 1 << 20]).await
}

/// An image with its data; its id.
pub(crate) async fn image(
    client: &mut Client,
    wanted: Value,
    data: Vec<u8>,
) -> Result<String, Failure> {
    let made = post(client, "/image/v2/images", wanted).await?;
    let id = made["id"].as_str().ok_or("an image without an id")?;
    put(client, &format!("/image/v2/images/{id}/file"), data).await?;
    Ok(id.to_owned())
}

/// The same as the bare guest's: one processor, 128 MiB.
pub(crate) async fn flavor(client: &mut Client) -> Result<String, Failure> {
    let flavors = client.get("/compute/v2.1/flavors/detail").await?;
    let all = flavors["flavors"].as_array().into_iter().flatten();
    let mut fitting = all.filter(|f| f["ram"] == 128 && f["vcpus"] == 1);
    let id = fitting.find_map(|f| f["id"].as_str());
    Ok(id.ok_or("no flavor of 128 MiB")?.to_owned())
}
