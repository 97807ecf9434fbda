//! `hextet init`: a new cloud on this host.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener};
use std::path::PathBuf;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloud::{Account, Secret};
use model::NodeId;
use store::Store;

use crate::Failure;
use crate::cli::Init;
use crate::config::{Config, Hypervisor, NodeConfig, Places, host_of};
use crate::dns::DnsConfig;
use crate::edge::EdgeConfig;
use crate::files::{Readers, directory, write};
use crate::metadata::MetadataConfig;

/// Where Prometheus finds the counters of a cloud whose APIs are at a port that was chosen.
const METRICS: u16 = 8445;

/// Writes everything a cloud needs. The settings come last: while they are not there, `init` can be
/// run again.
pub(crate) fn init(places: &Places, wish: &Init) -> Result<(), Failure> {
    if places.config().exists() {
        return Err(format!(
            "{} is there already: this cloud is set up; remove it by hand to begin anew",
            places.config().display()
        )
        .into());
    }
    let listen = with_port(wish.listen)?;
    let url = match &wish.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => default_url(listen)?,
    };
    let host = host_of(&url)?;
    directory(&places.etc, Readers::All)?;
    for private in [
        &places.state,
        &places.run,
        &places.images(),
        &places.state.join("node"),
    ] {
        directory(private, Readers::Owner)?;
    }
    certificates(places, wish, &host, listen)?;
    write(&places.token_key(), &Secret::random()?, Readers::Owner)?;
    write(
        &places.node_id(),
        format!("{}\n", NodeId::random()).as_bytes(),
        Readers::Owner,
    )?;
    let account = Account {
        user: "admin".into(),
        password: password()?,
        project: "admin".into(),
    };
    database(places, &account)?;
    clients(places, &url, &account)?;
    let config = Config {
        url: url.clone(),
        listen,
        metrics: Some(with_port(SocketAddrV6::new(
            Ipv6Addr::LOCALHOST,
            if wish.listen.port() == 0 { 0 } else { METRICS },
            0,
            0,
        ))?),
        region: "RegionOne".into(),
        mtu: 1500,
        token_lifetime_hours: 12,
        max_image_gib: 1024,
        edge: EdgeConfig::default(),
        acme: None,
        node: NodeConfig {
            name: None,
            netns: wish.netns.clone(),
            hypervisor: match wish.fake_nodes {
                None => Hypervisor::Qemu,
                Some(_) => Hypervisor::Fake,
            },
            fake_nodes: wish.fake_nodes,
            image_cache_gib: None,
            physical_networks: wish.physical_network.iter().cloned().collect(),
            ..NodeConfig::default()
        },
        dns: DnsConfig::default(),
        metadata: MetadataConfig::default(),
        notifications: Default::default(),
        quota: BTreeMap::new(),
    };
    write(
        &places.config(),
        settings(&config)?.as_bytes(),
        Readers::All,
    )?;
    let clouds = places.etc.join("clouds.yaml");
    eprintln!(
        "hextet: {url} is set up; start it with `hextet --root {} up`, then use it with `OS_CLIENT_CONFIG_FILE={} openstack --os-cloud hextet ...`",
        places.root.display(),
        clouds.display()
    );
    Ok(())
}

/// A port of 0 becomes one that is free now.
fn with_port(wanted: SocketAddrV6) -> Result<SocketAddrV6, Failure> {
    if wanted.port() != 0 {
        return Ok(wanted);
    }
    let listener =
        TcpListener::bind(wanted).map_err(|e| format!("cannot listen on {wanted}: {e}"))?;
    let mut found = wanted;
    found.set_port(listener.local_addr()?.port());
    Ok(found)
}

fn default_url(listen: SocketAddrV6) -> Result<String, Failure> {
    match *listen.ip() {
        Ipv6Addr::UNSPECIFIED => Err("--listen [::] says nothing about how clients reach this host: give --url https://NAME:PORT".into()),
        ip => Ok(format!("https://{}:{}", model::host_in_url(&ip.to_string()), listen.port())),
    }
}

fn certificates(
    places: &Places,
    wish: &Init,
    host: &str,
    listen: SocketAddrV6,
) -> Result<(), Failure> {
    if let (Some(certificate), Some(key), Some(ca)) = (&wish.certificate, &wish.key, &wish.ca) {
        let source = net::Source {
            pairs: vec![net::Pair {
                certificate: certificate.clone(),
                key: key.clone(),
            }],
            ca: ca.clone(),
            awaited: None,
            host: host.to_owned(),
        };
        net::Certificates::read(source, SystemTime::now())?;
        let copy = |from: &PathBuf, to: PathBuf, readers| -> Result<(), Failure> {
            let text =
                std::fs::read(from).map_err(|e| format!("cannot read {}: {e}", from.display()))?;
            Ok(write(&to, &text, readers)?)
        };
        copy(certificate, places.certificate(), Readers::All)?;
        copy(key, places.key(), Readers::Owner)?;
        return copy(ca, places.ca(), Readers::All);
    }
    let authority = net::Authority::new("hextet built-in authority")?;
    let mut hosts = vec![host.to_owned()];
    if !listen.ip().is_unspecified() && listen.ip().to_string() != host {
        hosts.push(listen.ip().to_string());
    }
    let issued = authority.issue(&hosts)?;
    write(
        &places.ca(),
        authority.certificate().as_bytes(),
        Readers::All,
    )?;
    write(
        &places.etc.join("ca.key"),
        authority.key().as_bytes(),
        Readers::Owner,
    )?;
    write(
        &places.certificate(),
        issued.certificate.as_bytes(),
        Readers::All,
    )?;
    Ok(write(&places.key(), issued.key.as_bytes(), Readers::Owner)?)
}

fn database(places: &Places, account: &Account) -> Result<(), Failure> {
    // An earlier init that broke off may have left one.
    for end in ["", "-wal", "-shm"] {
        let mut name = places.database().into_os_string();
        name.push(end);
        match std::fs::remove_file(&name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {e}", name.display()).into());
            }
            _ => {}
        }
    }
    Ok(cloud::set_up(&Store::open(&places.database())?, account)?)
}

fn password() -> Result<String, Failure> {
    let octets = Secret::random()?;
    Ok(URL_SAFE_NO_PAD.encode(&octets[..18]))
}

/// What OpenStack's clients read: a `clouds.yaml`, and the variables for a shell.
///
/// `floating_ip_source: None` tells openstacksdk that there are no floating IPs: otherwise its
/// `create_server(wait=True)` looks for an IPv4 address to give one to, and fails for want of it.
fn clients(places: &Places, url: &str, account: &Account) -> Result<(), Failure> {
    let ca = places.ca();
    let ca = ca.display();
    let Account {
        user,
        password,
        project,
    } = account;
    let clouds = format!(
        "clouds:\n  hextet:\n    auth:\n      auth_url: {url}/identity/v3\n      username: {user}\n      password: {password:?}\n      \
         project_name: {project}\n      user_domain_id: default\n      project_domain_id: default\n    \
         floating_ip_source: None\n    region_name: RegionOne\n    identity_api_version: 3\n    interface: public\n    cacert: \"{ca}\"\n"
    );
    let variables = [
        ("OS_AUTH_URL", format!("{url}/identity/v3")),
        ("OS_USERNAME", user.clone()),
        ("OS_PASSWORD", password.clone()),
        ("OS_PROJECT_NAME", project.clone()),
        ("OS_USER_DOMAIN_ID", "default".into()),
        ("OS_PROJECT_DOMAIN_ID", "default".into()),
        ("OS_REGION_NAME", "RegionOne".into()),
        ("OS_IDENTITY_API_VERSION", "3".into()),
        ("OS_INTERFACE", "public".into()),
        ("OS_CACERT", ca.to_string()),
    ];
    let openrc: String = variables
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
        .collect();
    write(
        &places.etc.join("clouds.yaml"),
        clouds.as_bytes(),
        Readers::Owner,
    )?;
    Ok(write(
        &places.etc.join("openrc"),
        openrc.as_bytes(),
        Readers::Owner,
    )?)
}

fn settings(config: &Config) -> Result<String, Failure> {
    let text = toml::to_string(config)?;
    Ok(format!(
        "# Settings of this hextet cloud. README.md says what they mean.\n{text}"
    ))
}
