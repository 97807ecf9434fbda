//! nftables, spoken to as text through `nft`.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use crate::netns::Netns;

/// Runs a script inside a namespace: all of it or nothing.
pub fn apply(ns: &Netns, script: &str) -> io::Result<()> {
    ns.run(|| run(&["-f", "-"], script)).map(drop)
}

/// What `nft` prints for a question, such as `["list", "table", "bridge", "filter"]`.
pub fn ask(ns: &Netns, arguments: &[&str]) -> io::Result<String> {
    let output = ns.run(|| run(arguments, ""))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A number that grows with each change to the namespace's tables, whoever made it. What the
/// packet path adds to dynamic sets does not count.
pub fn generation(ns: &Netns) -> io::Result<u32> {
    ns.run(|| {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.send(&generation_request(), 0)?;
        let (answer, _) = socket.recv_from_full()?;
        parse_generation(&answer).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "nftables' answer holds no generation",
            )
        })
    })
}

fn run(arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft reads its whole input before it prints; when it dies early, its message says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(output),
        false => Err(io::Error::other(format!(
            "nft: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ))),
    }
}

fn missing(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::NotFound => io::Error::new(
            e.kind(),
            "nft is not on this host: install the package nftables",
        ),
        _ => e,
    }
}

/// `NFT_MSG_GETGEN` of nfnetlink's nftables subsystem.
fn generation_request() -> Vec<u8> {
    const NFT_MSG_GETGEN: u16 = 16;
    let kind = ((libc::NFNL_SUBSYS_NFTABLES as u16) << 8) | NFT_MSG_GETGEN;
    let mut bytes = Vec::new();
    bytes.extend(20_u32.to_ne_bytes()); // struct nlmsghdr
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend([0; 8]); // sequence number, port
    bytes.extend([0; 4]); // struct nfgenmsg
    bytes
}

/// The attribute `NFTA_GEN_ID`, which comes first and is in network order.
fn parse_generation(answer: &[u8]) -> Option<u32> {
    const NFTA_GEN_ID: u16 = 1;
    let attribute = answer.get(20..28)?;
    let kind = u16::from_ne_bytes(attribute[2..4].try_into().ok()?);
    let value = u32::from_be_bytes(attribute[4..8].try_into().ok()?);
    (kind == NFTA_GEN_ID).then_some(value)
}
