//! Resolvers, each asked one question over IPv6 from where guests' questions go out.

use std::io;
use std::net::SocketAddrV6;

use doctor::Place;
use doctor::host::at;
use doctor::host::dns::{Dns, Nobody, Silent};
use net::{Family, NameError, Resolver};

use super::{Host, Look};
use crate::Failure;
use crate::config::host_of;
use crate::dns::{RESOLV_CONF, nameservers};

/// Resolvers answer it themselves, and ask nobody (RFC 6761, section 6.3).
const KNOWN_NAME: &str = "localhost";

pub(super) fn look(look: &mut Look<'_>) {
    let seen = dns(&look.host);
    look.facts.dns = look.seen("resolvers", seen);
}

fn dns(host: &Host<'_>) -> Result<Dns, Failure> {
    let Some(node) = &host.node else {
        return Ok(Dns::default()); // made-up guests ask nobody
    };
    let config = &host.config.dns;
    let servers = config.upstreams()?;
    if servers.is_empty() {
        let nobody = config.upstreams.is_none().then(nobody);
        return Ok(Dns {
            nobody,
            ..Dns::default()
        });
    }
    let url = host_of(&host.config.url)?;
    let name = match model::parse_ip(&url) {
        Some(_) => KNOWN_NAME,
        None => &url,
    };
    let place = match config.upstreams {
        Some(_) => host.settings.place(&["dns", "upstreams"]),
        None => at(RESOLV_CONF),
    };
    // Sockets are opened on the thread, and so in the namespace, of a runtime like this.
    let answers = node.base.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok::<_, io::Error>(runtime.block_on(ask_all(&servers, name)))
    })?;
    let silent = servers
        .into_iter()
        .zip(answers)
        .filter_map(|(server, why)| {
            Some(Silent {
                server,
                why: why?,
                place: place.clone(),
            })
        });
    Ok(Dns {
        silent: silent.collect(),
        nobody: None,
    })
}

fn nobody() -> Nobody {
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    match nameservers(&text).next() {
        Some((line, server)) => Nobody::Ipv4Only {
            server: server.to_owned(),
            place: Place {
                line: Some(line),
                ..at(RESOLV_CONF)
            },
        },
        None => Nobody::NotNamed {
            place: at(RESOLV_CONF),
        },
    }
}

/// Asks all at once; what was wrong with each.
async fn ask_all(servers: &[SocketAddrV6], name: &str) -> Vec<Option<String>> {
    let asked = servers.iter().map(|server| ask(*server, name));
    futures_util::future::join_all(asked).await
}

async fn ask(server: SocketAddrV6, name: &str) -> Option<String> {
    let resolver = Resolver::with_hosts(vec![server], "/dev/null".into());
    match resolver.lookup(name, Family::V6).await {
        // That there is no such name is an answer.
        Ok(_) | Err(NameError::NoSuchName(_)) => None,
        Err(NameError::Silent { why, .. }) => Some(why),
        Err(e) => Some(e.to_string()),
    }
}
