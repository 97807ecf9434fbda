//! How many nodes are connected: what the hextet that runs tells its monitoring.

use std::io;
use std::net::SocketAddrV6;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::Host;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A node says hello when its trial of KVM is over.
const HELLO: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(100);
/// Octets of an answer that are read.
const ANSWER_MAX: u64 = 1 << 20;

/// Waits for so many nodes for a while; nothing where nobody tells.
pub(super) async fn connected(host: &Host<'_>, known: u64) -> io::Result<Option<u64>> {
    let (Some(_), Some(at)) = (host.up, host.config.metrics) else {
        return Ok(None);
    };
    let end = Instant::now() + HELLO;
    loop {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let told = timeout(PATIENCE, ask(at)).await.map_err(late)??;
        let connected = read(&told).ok_or_else(|| {
            io::Error::other(format!("{at} is no hextet's: it does not tell of nodes"))
        })?;
        if connected >= known || Instant::now() > end {
            return Ok(Some(connected));
        }
        sleep(AGAIN).await;
    }
}

async fn ask(at: SocketAddrV6) -> io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn read(answer: &str) -> Option<u64> {
    let told = answer
        .lines()
        .find_map(|line| line.strip_prefix("hextet_nodes_connected "));
    told?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_the_counters() {
        let head = "HTTP/1.1 200 OK\r\n\r\n# TYPE hextet_nodes_connected gauge\n";
        assert_eq!(read(&format!("{head}hextet_nodes_connected 3\n")), Some(3));
        for other in ["", head, "hextet_nodes_connected many\n"] {
            assert_eq!(read(other), None);
        }
    }
}
