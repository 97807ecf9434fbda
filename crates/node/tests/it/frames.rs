//! Frames: on their way between a guest and its host, and those that a guest should not send, as
//! Python writes them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Copies frames both ways until one end is gone; then the host's tap is free again. The octets of the largest.
pub(crate) fn pump(mut host: File, mut own: File) -> Arc<AtomicUsize> {
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = largest.clone();
    std::thread::spawn(move || {
        let mut frame = vec![0; 70_000];
        loop {
            let mut ends = [&host, &own].map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
            if poll(&mut ends, PollTimeout::NONE).is_err() {
                return;
            }
            let ready = ends.map(|end| end.revents().unwrap_or(PollFlags::POLLERR));
            for (ready, (from, to)) in ready.into_iter().zip([(0, 1), (1, 0)]) {
                if ready.is_empty() {
                    continue;
                }
                let ends = [&mut host, &mut own];
                let Ok(length) = ends[from].read(&mut frame) else {
                    return;
                };
                seen.fetch_max(length, Ordering::Relaxed);
                // A frame that finds its receiver down is lost, as on a wire.
                let _ = ends[to].write(&frame[..length]);
            }
        }
    });
    largest
}

/// Builders of packets: enough to say what a guest may not.
pub(crate) const FRAMES: &str = r#"
import socket, struct
def ip(text): return socket.inet_pton(socket.AF_INET6, text)
def mac(text): return bytes.fromhex(text.replace(':', ''))
def ether(source, kind, payload, to='33:33:00:00:00:01'):
    return mac(to) + mac(source) + struct.pack('>H', kind) + payload
def ip6(source, to, protocol, payload):
    return struct.pack('>IHBB', 6 << 28, len(payload), protocol, 255) + ip(source) + ip(to) + payload
def checksum(source, to, protocol, data):
    data = ip(source) + ip(to) + struct.pack('>II', len(data), protocol) + data
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def icmp6(source, to, kind, body, code=0):
    data = struct.pack('>BBH', kind, code, 0) + body
    data = data[:2] + struct.pack('>H', checksum(source, to, 58, data)) + data[4:]
    return ip6(source, to, 58, data)
def ip4(source, to, protocol, payload):
    head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(to))
    total = sum(struct.unpack('>10H', head))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack('>H', ~total & 0xffff) + head[12:] + payload
def udp4(source, to, sport, dport, body=b'x'):
    return ip4(source, to, 17, struct.pack('>HHHH', sport, dport, 8 + len(body), 0) + body)
def arp(kind, sender_mac, sender, target):
    return struct.pack('>HHBBH', 1, 0x800, 6, 4, kind) + mac(sender_mac) + \
        socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)
def udp(source, to, sport, dport, body=b'x'):
    return ip6(source, to, 17, struct.pack('>HHHH', sport, dport, 8 + len(body), 0) + body)
"#;
