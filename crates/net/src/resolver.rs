//! Names to addresses, for the whole program: libraries that would ask the C library are given
//! this, or do not come in. It asks over IPv6 alone.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use wire::dns::{Addresses, Forwarded, Name, Query, kind};

/// How long one server has for its answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often each is asked.
const ROUNDS: usize = 2;
/// Octets of an answer over UDP that are looked at.
const ANSWER_MAX: usize = 4096;
/// Names whose addresses are kept; where there are more, all are asked for again.
const KEPT_MAX: usize = 256;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// AAAA records.
    V6,
    /// A records.
    V4,
}

/// Why a name's addresses are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("'{0}' is no name")]
    NotAName(String),
    #[error(
        "'{0}' cannot be looked up: there is no resolver that is reached over IPv6; name one in [dns] upstreams or /etc/resolv.conf"
    )]
    NoResolver(String),
    #[error("'{name}' cannot be looked up: {why}")]
    Silent { name: String, why: String },
    #[error("there is no name '{0}' in the DNS")]
    NoSuchName(String),
}

/// Asks resolvers, and remembers no answer for longer than it holds.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<SocketAddrV6>,
    hosts: PathBuf,
    kept: Mutex<HashMap<(String, Family), Kept>>,
}

#[derive(Debug)]
struct Kept {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Resolver {
    /// One that asks these servers, in this order.
    pub fn new(servers: Vec<SocketAddrV6>) -> Resolver {
        Resolver::with_hosts(servers, "/etc/hosts".into())
    }

    /// The same with another file in the place of `/etc/hosts`.
    pub fn with_hosts(servers: Vec<SocketAddrV6>, hosts: PathBuf) -> Resolver {
        Resolver {
            servers,
            hosts,
            kept: Mutex::default(),
        }
    }

    /// The addresses of a name: those in `/etc/hosts` (hosts(5)), or else the DNS's. Empty where it
    /// has none of this family.
    ///
    /// # Errors
    /// Those of [`NameError`].
    pub async fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
        let text = name.trim_end_matches('.').to_ascii_lowercase();
        let listed = self.listed(&text).await;
        if !listed.is_empty() {
            return Ok(listed.into_iter().filter(|a| family.has(a)).collect());
        }
        let key = (text, family);
        if let Some(kept) = self.kept(&key) {
            return Ok(kept);
        }
        let wire: Name = key
            .0
            .parse()
            .map_err(|_| NameError::NotAName(name.into()))?;
        let found = self.ask(&Query::about(wire, family.kind()), name).await?;
        self.keep(key, &found);
        if found.no_such_name {
            return Err(NameError::NoSuchName(name.into()));
        }
        Ok(found.addresses)
    }

    async fn listed(&self, name: &str) -> Vec<IpAddr> {
        let text = tokio::fs::read_to_string(&self.hosts).await;
        listed(&text.unwrap_or_default(), name)
    }

    fn kept(&self, key: &(String, Family)) -> Option<Vec<IpAddr>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(key).filter(|k| k.until > Instant::now())?;
        Some(kept.addresses.clone())
    }

    fn keep(&self, key: (String, Family), found: &Addresses) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let until = Instant::now() + Duration::from_secs(found.ttl_s.into());
        let addresses = found.addresses.clone();
        kept.insert(key, Kept { addresses, until });
    }

    async fn ask(&self, query: &Query, name: &str) -> Result<Addresses, NameError> {
        if self.servers.is_empty() {
            return Err(NameError::NoResolver(name.into()));
        }
        let mut why = Vec::new();
        for round in 0..ROUNDS {
            for server in &self.servers {
                let error = match timeout(PATIENCE, ask_one(*server, query)).await {
                    Ok(Ok(found)) => return Ok(found),
                    Ok(Err(e)) => e.to_string(),
                    Err(_) => format!("no answer within {} ms", PATIENCE.as_millis()),
                };
                if round == 0 {
                    why.push(format!("{server}: {error}"));
                }
            }
        }
        Err(NameError::Silent {
            name: name.into(),
            why: why.join("; "),
        })
    }
}

impl Family {
    fn kind(self) -> u16 {
        match self {
            Family::V6 => kind::AAAA,
            Family::V4 => kind::A,
        }
    }

    fn has(self, address: &IpAddr) -> bool {
        address.is_ipv6() == (self == Family::V6)
    }
}

/// Asks one server over UDP, and over TCP what does not fit. Each question has a socket, and so a
/// source port, of its own, and an id that nobody can guess (RFC 5452).
async fn ask_one(server: SocketAddrV6, query: &Query) -> io::Result<Addresses> {
    let mut id = [0; 2];
    let random = SystemRandom::new().fill(&mut id);
    random.map_err(|_| io::Error::other("this host gives no random octets"))?;
    let id = u16::from_be_bytes(id);
    let socket = UdpSocket::bind("[::]:0").await?;
    socket.connect(server).await?;
    let question = query.emit(id);
    socket.send(&question).await?;
    let mut buffer = [0; ANSWER_MAX];
    let answer = loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = Forwarded::accept(query, id, &buffer[..length]) {
            break answer;
        }
    };
    let answer = match answer.is_truncated() {
        true => over_tcp(server, query, id, &question).await?,
        false => answer,
    };
    if answer.is_failure() {
        return Err(io::Error::other("it says that it cannot tell"));
    }
    let wrong = |e: wire::Malformed| io::Error::other(format!("its answer is malformed: {e}"));
    answer.addresses(query).map_err(wrong)
}

async fn over_tcp(
    server: SocketAddrV6,
    query: &Query,
    id: u16,
    question: &[u8],
) -> io::Result<Forwarded> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), question].concat())
        .await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Forwarded::accept(query, id, &answer)
        .ok_or_else(|| io::Error::other("it answers something else"))
}

/// The addresses that a file of hosts(5) gives a name.
fn listed(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|l| l.split('#').next().unwrap_or(l));
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            words
                .any(|w| w.eq_ignore_ascii_case(name))
                .then_some(address)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_hosts_5_says() {
        let text = "# 2001:db8::9 a\n2001:db8::1\tA.example a # b\n192.0.2.1 a\nfe80::1%lo a\n";
        let shown = |name| -> Vec<String> {
            let listed = listed(text, name).into_iter();
            listed.map(|a| a.to_string()).collect()
        };
        assert_eq!(shown("a.example"), ["2001:db8::1"]);
        assert_eq!(shown("a"), ["2001:db8::1", "192.0.2.1"]);
        assert!(shown("b").is_empty());
    }
}
