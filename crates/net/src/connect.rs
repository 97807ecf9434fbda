//! The one way to open a connection to a host by its name: every address is tried, a new one each
//! 250 ms while those before hang, and the first that answers is taken (RFC 8305).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::order::{Destination, sort};
use crate::resolver::{Family, NameError, Resolver};

/// How long an attempt has before the next one begins beside it (RFC 8305, section 5).
const BESIDE: Duration = Duration::from_millis(250);
/// How long an attempt has in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(
        "'{0}' has no AAAA record, and connections are made over IPv6 only: give it one, or name its address"
    )]
    NoAddress(String),
    #[error("cannot connect to {host}: {tried}")]
    Refused { host: String, tried: String },
}

/// Whether IPv4 may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// AAAA records count, and nothing else.
    #[default]
    V6,
    /// A records count too.
    Both,
}

impl Resolver {
    /// Connects to a host, given by its name or an address (with brackets or without), at a port.
    ///
    /// # Errors
    /// Those of [`ConnectError`]; the last names every address that was tried.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        reach: Reach,
    ) -> Result<TcpStream, ConnectError> {
        let addresses = self.addresses(host, reach).await?;
        if addresses.is_empty() {
            return Err(ConnectError::NoAddress(host.into()));
        }
        let refused = |tried: Vec<String>| ConnectError::Refused {
            host: format!("{host} port {port}"),
            tried: tried.join("; "),
        };
        race(addresses, BESIDE, |address| async move {
            let open = TcpStream::connect(SocketAddr::new(address, port));
            let late = || io::Error::from(io::ErrorKind::TimedOut);
            timeout(PATIENCE, open)
                .await
                .unwrap_or_else(|_| Err(late()))
        })
        .await
        .map_err(refused)
    }

    /// The addresses to try, the best first.
    async fn addresses(&self, host: &str, reach: Reach) -> Result<Vec<IpAddr>, ConnectError> {
        let literal = model::parse_ip(host);
        let found = match (literal, reach) {
            (Some(IpAddr::V4(_)), Reach::V6) => Vec::new(),
            (Some(address), _) => vec![address],
            (None, Reach::V6) => self.lookup(host, Family::V6).await?,
            (None, Reach::Both) => {
                let both =
                    tokio::join!(self.lookup(host, Family::V6), self.lookup(host, Family::V4));
                match both {
                    (Err(e), Err(_)) => return Err(e.into()),
                    (six, four) => [six.unwrap_or_default(), four.unwrap_or_default()].concat(),
                }
            }
        };
        let mut destinations: Vec<_> = found
            .into_iter()
            .map(|address| Destination {
                address,
                source: source(address),
            })
            .collect();
        sort(&mut destinations);
        Ok(interleaved(&destinations))
    }
}

/// The address we would speak from: a socket's, once it is connected. Nothing is sent.
fn source(to: IpAddr) -> Option<IpAddr> {
    let any = match to {
        IpAddr::V6(_) => "[::]:0",
        IpAddr::V4(_) => "0.0.0.0:0",
    };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    // Any port will do.
    socket.connect(SocketAddr::new(to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// One of the other family after each, beginning with the best (RFC 8305, section 4).
fn interleaved(sorted: &[Destination]) -> Vec<IpAddr> {
    let first = sorted.first().is_none_or(|d| d.address.is_ipv6());
    let (one, other): (Vec<_>, Vec<_>) = sorted
        .iter()
        .map(|d| d.address)
        .partition(|a| a.is_ipv6() == first);
    let mut other = other.into_iter();
    let mut all: Vec<_> = one
        .into_iter()
        .flat_map(|a| [Some(a), other.next()])
        .flatten()
        .collect();
    all.extend(other);
    all
}

/// The first attempt that succeeds, or what became of each.
async fn race<T, F>(
    addresses: Vec<IpAddr>,
    beside: Duration,
    attempt: impl Fn(IpAddr) -> F,
) -> Result<T, Vec<String>>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            let open = attempt(address);
            running.push(async move { (address, open.await) });
        }
        let next = Instant::now() + beside;
        loop {
            let ended = tokio::select! {
                ended = running.next() => ended,
                () = sleep_until(next), if waiting.len() > 0 => break,
            };
            match ended {
                Some((_, Ok(open))) => return Ok(open),
                Some((address, Err(e))) => failed.push(format!("{address}: {e}")),
                None => {}
            }
            if waiting.len() > 0 {
                break;
            }
            if running.is_empty() {
                return Err(failed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let order = |list: &[&str]| -> Vec<String> {
            let sorted: Vec<_> = list
                .iter()
                .map(|a| Destination {
                    address: ip(a),
                    source: None,
                })
                .collect();
            let all = interleaved(&sorted).into_iter();
            all.map(|a| a.to_string()).collect()
        };
        assert_eq!(
            order(&["::1", "::2", "192.0.2.1"]),
            ["::1", "192.0.2.1", "::2"]
        );
        assert_eq!(
            order(&["192.0.2.1", "192.0.2.2", "::1", "::2", "::3"]),
            ["192.0.2.1", "::1", "192.0.2.2", "::2", "::3"]
        );
        assert!(order(&[]).is_empty());
    }

    /// What becomes of attempts at three addresses, and how many began.
    async fn run(hangs: &[&str], good: &[&str]) -> (Result<IpAddr, Vec<String>>, usize) {
        let began = Mutex::new(0);
        let all = ["::1", "::2", "::3"].map(ip).to_vec();
        let outcome = race(all, Duration::from_millis(1), |address| {
            *began.lock().unwrap() += 1;
            let text = address.to_string();
            let (hangs, good) = (hangs.contains(&&*text), good.contains(&&*text));
            async move {
                match (hangs, good) {
                    (true, _) => std::future::pending().await,
                    (_, true) => Ok(address),
                    _ => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        });
        let outcome = outcome.await;
        (outcome, began.into_inner().unwrap())
    }

    #[tokio::test]
    async fn every_address_is_tried_and_none_waits_for_one_that_hangs() {
        assert_eq!(run(&[], &["::1"]).await, (Ok(ip("::1")), 1));
        assert_eq!(run(&[], &["::3"]).await, (Ok(ip("::3")), 3));
        assert_eq!(run(&["::1", "::2"], &["::3"]).await, (Ok(ip("::3")), 3));
        assert_eq!(run(&["::1"], &["::2", "::3"]).await.0, Ok(ip("::2")));
        let (outcome, _) = run(&[], &[]).await;
        let failed = outcome.unwrap_err();
        assert!(
            failed.len() == 3 && failed[0].starts_with("::1: "),
            "{failed:?}"
        );
    }
}
