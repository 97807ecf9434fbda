//! What a broker tells a publisher.

use super::method;
use crate::Malformed;

/// What a frame from the broker says. What does not matter to a publisher is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Heartbeat,
    /// `connection.start`: names of SASL mechanisms, with blanks between.
    Start {
        mechanisms: String,
    },
    /// `connection.tune`: 0 is no limit, and no heartbeat.
    Tune {
        channel_max: u16,
        frame_max: u32,
        heartbeat_s: u16,
    },
    /// `connection.open-ok`
    Opened,
    /// `connection.close` or `channel.close`: why the broker ends it.
    Closed {
        channel: bool,
        code: u16,
        text: String,
    },
    /// `connection.close-ok`
    CloseOk,
    /// `connection.blocked`: it takes nothing for now.
    Blocked {
        reason: String,
    },
    /// `connection.unblocked`
    Unblocked,
    /// The answer to `channel.open`, a declaration, a binding or `confirm.select`.
    Done,
    /// `basic.ack`: it has the message with this tag, or all up to it.
    Taken {
        tag: u64,
        multiple: bool,
    },
    /// `basic.nack`: it could not take the message with this tag, or all up to it.
    Refused {
        tag: u64,
        multiple: bool,
    },
}

impl Told {
    /// What a method's payload says.
    pub(super) fn parse(payload: &[u8]) -> Result<Told, Malformed> {
        let mut rest = Reader(payload);
        let called = (rest.u16()?, rest.u16()?);
        Ok(match called {
            method::START => {
                rest.take(2)?;
                rest.long()?;
                let mechanisms = text(rest.long()?);
                Told::Start { mechanisms }
            }
            method::TUNE => Told::Tune {
                channel_max: rest.u16()?,
                frame_max: rest.u32()?,
                heartbeat_s: rest.u16()?,
            },
            method::OPEN_OK => Told::Opened,
            method::CLOSE | method::CHANNEL_CLOSE => Told::Closed {
                channel: called == method::CHANNEL_CLOSE,
                code: rest.u16()?,
                text: text(rest.short()?),
            },
            method::CLOSE_OK => Told::CloseOk,
            method::BLOCKED => Told::Blocked {
                reason: text(rest.short()?),
            },
            method::UNBLOCKED => Told::Unblocked,
            method::CHANNEL_OPEN_OK
            | method::EXCHANGE_DECLARE_OK
            | method::QUEUE_DECLARE_OK
            | method::QUEUE_BIND_OK
            | method::CONFIRM_SELECT_OK => Told::Done,
            method::BASIC_ACK => Told::Taken {
                tag: rest.u64()?,
                multiple: rest.bit()?,
            },
            method::BASIC_NACK => Told::Refused {
                tag: rest.u64()?,
                multiple: rest.bit()?,
            },
            _ => return Err(Malformed("AMQP method: not one for a publisher")),
        })
    }
}

/// Texts are for the log: what is no UTF-8 is replaced.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Arguments in their order (section 4.2.5).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let short = Malformed("AMQP method: its arguments end too early");
        let (taken, rest) = self.0.split_at_checked(count).ok_or(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut octets = [0; N];
        octets.copy_from_slice(self.take(N)?);
        Ok(octets)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn bit(&mut self) -> Result<bool, Malformed> {
        let [octet] = self.array()?;
        Ok(octet & 1 == 1)
    }

    /// A short string.
    fn short(&mut self) -> Result<&'a [u8], Malformed> {
        let [length] = self.array()?;
        self.take(length.into())
    }

    /// A long string, or a table as one.
    fn long(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.take(length as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::amqp::{FRAME_MIN, parse};

    fn octets(hex: &str) -> Vec<u8> {
        let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
        let pairs = hex.as_bytes().chunks(2);
        pairs.map(|p| digit(p[0]) << 4 | digit(p[1])).collect()
    }

    fn told(hex: &str) -> Result<Option<Told>, Malformed> {
        let octets = octets(hex);
        let found = parse(&octets, FRAME_MIN)?;
        Ok(found.map(|(told, length)| {
            assert_eq!(length, octets.len());
            told
        }))
    }

    #[test]
    fn a_brokers_frames_are_read() {
        let start = concat!(
            "0100000000002f",
            "000a000a",
            "0009",
            "0000000a",
            "0770726f64756374",
            "7401",
            "0000000e",
            "414d51504c41494e20504c41494e",
            "00000005",
            "656e5f5553",
            "ce"
        );
        let mechanisms = "AMQPLAIN PLAIN".to_owned();
        let tune = Told::Tune {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat_s: 60,
        };
        let closed = Told::Closed {
            channel: true,
            code: 406,
            text: "abc".into(),
        };
        for (hex, expected) in [
            ("08000000000000ce", Told::Heartbeat),
            (start, Told::Start { mechanisms }),
            ("0100000000000c000a001e07ff00020000003cce", tune),
            ("01000000000005000a002900ce", Told::Opened),
            ("010001000000080014000b00000000ce", Told::Done),
            ("010001000000040055000bce", Told::Done),
            (
                "0100010000000d003c0050000000000000000700ce",
                Told::Taken {
                    tag: 7,
                    multiple: false,
                },
            ),
            (
                "0100010000000d003c0078000000000000000901ce",
                Told::Refused {
                    tag: 9,
                    multiple: true,
                },
            ),
            ("0100010000000e001400280196036162630028000ace", closed),
            (
                "01000000000006000a003c0178ce",
                Told::Blocked { reason: "x".into() },
            ),
            ("01000000000004000a003dce", Told::Unblocked),
        ] {
            assert_eq!(told(hex), Ok(Some(expected)), "{hex}");
        }
    }

    #[test]
    fn what_is_cut_waits_and_what_is_wrong_is_refused() {
        let whole = octets("0100000000000c000a001e07ff00020000003cce");
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length], FRAME_MIN), Ok(None), "{length}");
        }
        for (hex, part) in [
            ("08000000000000cf", "its end"),
            ("02000000000000ce", "for a publisher"),
            ("01000000001000", "larger"),
            ("01000000000004000a001ece", "too early"),
            ("01000000000004003c003cce", "for a publisher"),
        ] {
            let refused = told(hex).unwrap_err();
            assert!(refused.0.contains(part), "{hex}: {refused}");
        }
    }

    proptest! {
        /// Whatever the arguments are, the method is read or refused.
        #[test]
        fn arguments_never_bring_the_reader_down(
            called in prop::sample::select(vec![
                method::START, method::TUNE, method::CLOSE, method::CHANNEL_CLOSE, method::BLOCKED,
                method::BASIC_ACK, method::BASIC_NACK, method::QUEUE_DECLARE_OK,
            ]),
            arguments in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let head = [called.0.to_be_bytes(), called.1.to_be_bytes()].concat();
            let _ = Told::parse(&[head, arguments].concat());
        }
    }
}
