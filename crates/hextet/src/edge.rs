//! `[edge]` of the settings: where clients come in, by which certificates this cloud is known, and
//! what strangers may take.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use ::edge::{Door, Limits, Way};
use net::{Certificates, Pair, Source, TlsError};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Failure;
use crate::config::{Config, Places, host_of};

/// `[edge]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EdgeConfig {
    /// Where a balancer on this host passes connections on, in plain, with the PROXY protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) balancer: Option<SocketAddrV6>,
    /// Whether the URL's host is another machine, which passes connections on to this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) url_elsewhere: bool,
    /// Connections at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<usize>,
    /// Those that one /64 may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_client: Option<u32>,
    /// Requests that are answered at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests: Option<usize>,
    /// Ports of services' own, where paths lack the service's prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) classic: BTreeMap<Service, SocketAddrV6>,
    /// `DIR/etc/hextet/certificate.pem` and `key.pem` when left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) certificates: Vec<CertificateConfig>,
}

/// `[[edge.certificates]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateConfig {
    /// In PEM, the certificate first, then its chain.
    pub(crate) certificate: PathBuf,
    /// In PEM.
    pub(crate) key: PathBuf,
}

/// Services that can have a port of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    Identity,
    Image,
    Compute,
    Network,
    Volume,
}

impl Service {
    /// As the settings write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Identity => "identity",
            Service::Image => "image",
            Service::Compute => "compute",
            Service::Network => "network",
            Service::Volume => "volume",
        }
    }

    fn prefix(self) -> &'static str {
        let dialect = match self {
            Service::Identity => api::Dialect::Identity,
            Service::Image => api::Dialect::Image,
            Service::Compute => api::Dialect::Compute,
            Service::Network => api::Dialect::Network,
            Service::Volume => api::Dialect::Volume,
        };
        dialect.prefix()
    }
}

impl EdgeConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == EdgeConfig::default()
    }

    /// # Errors
    /// A sentence that says which setting cannot be, and why.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(address) = self.balancer.filter(|a| !a.ip().is_loopback()) {
            return Err(format!(
                "[edge] balancer '{address}' would take passwords in plain from other hosts: use [::1] and a port"
            ));
        }
        let zero = [
            ("connections", self.connections == Some(0)),
            (
                "connections_per_client",
                self.connections_per_client == Some(0),
            ),
            ("requests", self.requests == Some(0)),
        ];
        match zero.iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err(format!("[edge] {name} is 0: nobody could come in")),
            None => Ok(()),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            connections: self.connections.unwrap_or(usual.connections),
            connections_per_client: self
                .connections_per_client
                .unwrap_or(usual.connections_per_client),
            requests: self.requests.unwrap_or(usual.requests),
        }
    }
}

/// The certificates of this cloud, each judged. Where ACME brings one, it need not be there yet.
///
/// # Errors
/// A sentence about the first that cannot be used.
pub(crate) fn certificates(places: &Places, config: &Config) -> Result<Arc<Certificates>, Failure> {
    let source = source(places, config)?;
    let (certificates, missing) = match source.awaited {
        None => (Certificates::read(source, SystemTime::now())?, None),
        Some(_) => Certificates::read_or_wait(source, SystemTime::now())?,
    };
    match missing {
        None => {}
        Some(TlsError::Unreadable { file, .. }) if !file.exists() => tracing::info!(
            "there is no certificate yet: clients are turned away until ACME has brought one"
        ),
        Some(why) => tracing::warn!(
            "until ACME has brought another certificate, clients are turned away: {}",
            cloud::chain(&why)
        ),
    }
    Ok(certificates)
}

/// Where the certificates of this cloud are, and whose name they must carry.
///
/// # Errors
/// When the URL names no host.
pub(crate) fn source(places: &Places, config: &Config) -> Result<Source, Failure> {
    let named = config.edge.certificates.iter();
    let mut pairs: Vec<Pair> = named
        .map(|c| Pair {
            certificate: places.etc.join(&c.certificate),
            key: places.etc.join(&c.key),
        })
        .collect();
    let awaited = config.acme.as_ref().map(|_| Pair {
        certificate: places.acme_certificate(),
        key: places.acme_certificate(),
    });
    if pairs.is_empty() && awaited.is_none() {
        pairs.push(Pair {
            certificate: places.certificate(),
            key: places.key(),
        });
    }
    Ok(Source {
        pairs,
        ca: places.ca(),
        awaited,
        host: host_of(&config.url)?,
    })
}

/// Listeners that a service manager passed on, until somebody wants them.
pub(crate) struct Listeners(Vec<(SocketAddr, std::net::TcpListener)>);

impl Listeners {
    /// # Errors
    /// When one of them would take IPv4.
    pub(crate) fn inherited() -> Result<Listeners, Failure> {
        let mut passed = Vec::new();
        for listener in linux::inherit::listeners()? {
            passed.push((listener.local_addr()?, listener));
        }
        Ok(Listeners(passed))
    }

    /// The one on an address: passed on, or new.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn on(&mut self, address: SocketAddrV6) -> Result<TcpListener, Failure> {
        let passed = self.0.iter().position(|(of, _)| *of == address.into());
        Ok(match passed {
            Some(at) => TcpListener::from_std(self.0.swap_remove(at).1)?,
            None => net::listen(address)?,
        })
    }

    /// # Errors
    /// When one was passed on that no setting asks for: clients would wait there for ever.
    pub(crate) fn none_left(&self) -> Result<(), Failure> {
        match self.0.first() {
            Some((address, _)) => Err(format!(
                "the service manager passed a listener on {address}, which neither listen nor [edge] nor metrics names: name it, or take it out of the socket unit"
            )
            .into()),
            None => Ok(()),
        }
    }
}

/// Everywhere that clients come in.
///
/// # Errors
/// When an address cannot be listened on.
pub(crate) fn doors(
    config: &Config,
    tls: &Arc<ServerConfig>,
    listeners: &mut Listeners,
) -> Result<Vec<Door>, Failure> {
    let way = Way::Tls(tls.clone());
    let mut wanted = vec![(config.listen, way.clone(), "")];
    let classic = config.edge.classic.iter();
    wanted.extend(classic.map(|(service, address)| (*address, way.clone(), service.prefix())));
    let balancer = config.edge.balancer;
    wanted.extend(balancer.map(|address| (address, Way::Balancer, "")));
    wanted
        .into_iter()
        .map(|(address, way, prefix)| {
            Ok(Door {
                listener: listeners.on(address)?,
                way,
                prefix,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_shut_or_bare_the_cloud_is_refused() {
        let check = |text: &str| toml::from_str::<EdgeConfig>(text).unwrap().check();
        let good = "balancer = '[::1]:8080'\nrequests = 10\n[classic]\nidentity = '[::]:5000'";
        assert_eq!(check(good), Ok(()));
        for (text, reason) in [
            ("balancer = '[2001:db8::1]:8080'", "in plain"),
            ("balancer = '[::]:8080'", "in plain"),
            ("requests = 0", "requests is 0"),
            ("connections_per_client = 0", "connections_per_client is 0"),
        ] {
            let why = check(text).unwrap_err();
            assert!(why.contains(reason), "{text}: {why}");
        }
        assert!(toml::from_str::<EdgeConfig>("[classic]\nplacement = '[::]:8778'").is_err());
        assert!(toml::from_str::<EdgeConfig>("balancer = '127.0.0.1:8080'").is_err());
    }
}
