//! What a publisher says to a broker. Each function gives whole frames.
//!
//! Names are short strings: what is longer than [`SHORT_MAX`](super::SHORT_MAX) octets is cut, so who gives them
//! checks them.

use super::{END, OVERHEAD, SHORT_MAX, frame, method};

/// The one channel that is used; 0 is the connection's own.
const CHANNEL: u16 = 1;

/// An exchange or a queue.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    pub name: &'a str,
    /// It outlives the broker's restart.
    pub durable: bool,
    /// Of a queue: it is replicated (`x-queue-type: quorum`).
    pub quorum: bool,
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub exchange: &'a str,
    pub routing_key: &'a str,
    pub message_id: &'a str,
    /// JSON.
    pub body: &'a [u8],
}

/// `connection.start-ok`, with SASL's PLAIN (RFC 4616).
pub fn start_ok(product: &str, user: &str, password: &str) -> Vec<u8> {
    let mut capabilities = Vec::new();
    for name in [
        "publisher_confirms",
        "basic.nack",
        "connection.blocked",
        "authentication_failure_close",
    ] {
        short(&mut capabilities, name);
        capabilities.extend([b't', 1]);
    }
    let mut properties = Vec::new();
    short(&mut properties, "product");
    properties.push(b'S');
    long(&mut properties, product.as_bytes());
    short(&mut properties, "capabilities");
    properties.push(b'F');
    long(&mut properties, &capabilities);
    call(0, method::START_OK, |out| {
        long(out, &properties);
        short(out, "PLAIN");
        long(out, format!("\0{user}\0{password}").as_bytes());
        short(out, "en_US");
    })
}

/// `connection.tune-ok`: what is agreed on.
pub fn tune_ok(channel_max: u16, frame_max: u32, heartbeat_s: u16) -> Vec<u8> {
    call(0, method::TUNE_OK, |out| {
        out.extend(channel_max.to_be_bytes());
        out.extend(frame_max.to_be_bytes());
        out.extend(heartbeat_s.to_be_bytes());
    })
}

/// `connection.open`
pub fn open(virtual_host: &str) -> Vec<u8> {
    call(0, method::OPEN, |out| {
        short(out, virtual_host);
        out.extend([0, 0]);
    })
}

/// `channel.open`
pub fn open_channel() -> Vec<u8> {
    call(CHANNEL, method::CHANNEL_OPEN, |out| short(out, ""))
}

/// `confirm.select`: the broker says of each message when it has it.
pub fn select_confirms() -> Vec<u8> {
    call(CHANNEL, method::CONFIRM_SELECT, |out| out.push(0))
}

/// `exchange.declare` of a topic exchange.
pub fn declare_exchange(exchange: Declared<'_>) -> Vec<u8> {
    call(CHANNEL, method::EXCHANGE_DECLARE, |out| {
        out.extend([0, 0]);
        short(out, exchange.name);
        short(out, "topic");
        // The bits: passive, durable, auto-delete, internal, no-wait.
        out.push(u8::from(exchange.durable) << 1);
        long(out, &[]);
    })
}

/// `queue.declare`
pub fn declare_queue(queue: Declared<'_>) -> Vec<u8> {
    let mut arguments = Vec::new();
    if queue.quorum {
        short(&mut arguments, "x-queue-type");
        arguments.push(b'S');
        long(&mut arguments, b"quorum");
    }
    call(CHANNEL, method::QUEUE_DECLARE, |out| {
        out.extend([0, 0]);
        short(out, queue.name);
        // The bits: passive, durable, exclusive, auto-delete, no-wait.
        out.push(u8::from(queue.durable) << 1);
        long(out, &arguments);
    })
}

/// `queue.bind`: what has the queue's name as its routing key goes there.
pub fn bind_queue(queue: &str, exchange: &str) -> Vec<u8> {
    call(CHANNEL, method::QUEUE_BIND, |out| {
        out.extend([0, 0]);
        short(out, queue);
        short(out, exchange);
        short(out, queue);
        out.push(0);
        long(out, &[]);
    })
}

/// `basic.publish` with the message's header and body, in frames of at most `frame_max` octets.
pub fn publish(message: Message<'_>, frame_max: u32) -> Vec<u8> {
    let mut out = call(CHANNEL, method::BASIC_PUBLISH, |out| {
        out.extend([0, 0]);
        short(out, message.exchange);
        short(out, message.routing_key);
        out.push(0);
    });
    let header = |out: &mut Vec<u8>| {
        out.extend(method::BASIC_PUBLISH.0.to_be_bytes());
        out.extend([0, 0]);
        out.extend((message.body.len() as u64).to_be_bytes());
        // Content type, encoding, delivery mode, priority and message id (section 4.2.6.1).
        out.extend(0b1101_1000_1000_0000_u16.to_be_bytes());
        short(out, "application/json");
        short(out, "utf-8");
        // Persistent.
        out.push(2);
        out.push(0);
        short(out, message.message_id);
    };
    put(&mut out, frame::HEADER, CHANNEL, header);
    let part = (frame_max as usize).saturating_sub(OVERHEAD).max(1);
    for part in message.body.chunks(part) {
        put(&mut out, frame::BODY, CHANNEL, |out| out.extend(part));
    }
    out
}

/// A heartbeat.
pub fn heartbeat() -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, frame::HEARTBEAT, 0, |_| {});
    out
}

/// `connection.close-ok`
pub fn close_ok() -> Vec<u8> {
    call(0, method::CLOSE_OK, |_| {})
}

fn call(channel: u16, (class, id): (u16, u16), arguments: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, frame::METHOD, channel, |out| {
        out.extend(class.to_be_bytes());
        out.extend(id.to_be_bytes());
        arguments(out);
    });
    out
}

fn put(out: &mut Vec<u8>, kind: u8, channel: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    let size = out.len();
    out.extend([0; 4]);
    payload(out);
    let length = (out.len() - size - 4) as u32;
    out[size..size + 4].copy_from_slice(&length.to_be_bytes());
    out.push(END);
}

fn short(out: &mut Vec<u8>, text: &str) {
    let octets = &text.as_bytes()[..text.len().min(SHORT_MAX)];
    out.push(octets.len() as u8);
    out.extend(octets);
}

fn long(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend((octets.len() as u32).to_be_bytes());
    out.extend(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|o| format!("{o:02x}")).collect()
    }

    #[test]
    fn frames_are_as_the_specification_draws_them() {
        assert_eq!(hex(&heartbeat()), "0800000000".to_owned() + "0000ce");
        assert_eq!(hex(&close_ok()), "01000000000004000a0033ce");
        assert_eq!(
            hex(&tune_ok(1, 131_072, 60)),
            "0100000000000c000a001f000100020000003cce"
        );
        assert_eq!(hex(&open("/")), "01000000000008000a0028012f0000ce");
        let queue = Declared {
            name: "q",
            durable: true,
            quorum: true,
        };
        let expected = concat!(
            "01000100000025",
            "0032000a",
            "0000",
            "0171",
            "02",
            "00000018",
            "0c782d71756575652d74797065",
            "53",
            "0000000671756f72756d",
            "ce"
        );
        assert_eq!(hex(&declare_queue(queue)), expected);
        let exchange = Declared {
            name: "nova",
            durable: false,
            quorum: false,
        };
        let expected = "010001000000160028000a0000046e6f766105746f7069630000000000ce";
        assert_eq!(hex(&declare_exchange(exchange)), expected);
    }

    #[test]
    fn a_message_is_cut_into_frames() {
        let message = Message {
            exchange: "e",
            routing_key: "k",
            message_id: "i",
            body: b"{....}",
        };
        let whole = hex(&publish(message, 4096));
        let expected = concat!(
            "0100010000000b",
            "003c0028",
            "0000",
            "0165",
            "016b",
            "00",
            "ce",
            "02000100000029",
            "003c",
            "0000",
            "0000000000000006",
            "d880",
            "106170706c69636174696f6e2f6a736f6e",
            "057574662d38",
            "02",
            "00",
            "0169",
            "ce",
            "03000100000006",
            "7b2e2e2e2e7d",
            "ce"
        );
        assert_eq!(whole, expected);
        let cut = hex(&publish(message, 12));
        assert!(
            cut.ends_with("030001000000047b2e2e2ece030001000000022e7dce"),
            "{cut}"
        );
    }
}
