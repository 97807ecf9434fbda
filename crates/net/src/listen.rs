//! Listening sockets: IPv6 only, said on each socket, whatever the host's `bindv6only` says.

use std::io;
use std::net::SocketAddrV6;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on an address. Port 0 lets the system choose.
///
/// # Errors
/// The system's, with the address in the text.
pub fn listen(address: SocketAddrV6) -> io::Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v6()?;
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        socket.set_reuseaddr(true)?;
        socket.bind(address.into())?;
        socket.listen(BACKLOG)
    };
    open().map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[tokio::test]
    async fn a_v4_client_is_not_let_in_by_the_back_door() {
        let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0);
        let listener = listen(any).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(std::net::TcpStream::connect(("::1", port)).is_ok());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
