//! One network's resolver: what becomes of each message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wire::dns::{Query, Reply, Unreadable, extended, rcode};

use super::limits::Limits;
use super::{Decision, DnsCounts, Zone};

/// The mark of what came from no port of the network.
const NOBODY: u32 = 0;

/// How a message came, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Udp,
    Tcp,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Heard {
    Nothing,
    Say(Vec<u8>),
    Forward(Query, Turn),
}

/// A question on its way to an upstream. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    resolver: Arc<Resolver>,
    mark: u32,
}

#[derive(Debug)]
pub(super) struct Resolver {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    zone: Arc<Zone>,
    limits: Limits,
    counts: DnsCounts,
}

impl Way {
    /// Octets of the longest answer.
    pub(super) fn limit(self, query: &Query) -> usize {
        match self {
            Way::Udp => query.payload(),
            Way::Tcp => u16::MAX.into(),
        }
    }
}

impl Resolver {
    pub(super) fn new(zone: Arc<Zone>) -> Resolver {
        let (limits, counts) = Default::default();
        Resolver {
            state: Mutex::new(State {
                zone,
                limits,
                counts,
            }),
        }
    }

    /// From now on it is this zone.
    pub(super) fn change(&self, zone: Arc<Zone>) {
        self.state().zone = zone;
    }

    pub(super) fn counts(&self) -> DnsCounts {
        self.state().counts
    }

    /// Takes in a message of the port with this mark.
    pub(super) fn hear(self: &Arc<Self>, mark: u32, message: &[u8], way: Way) -> Heard {
        let mut state = self.state();
        let state = &mut *state;
        state.counts.queries += 1;
        // To answer each would be to work for who asks too often.
        if !state.limits.ask(mark, Instant::now()) {
            state.counts.refused += 1;
            return Heard::Nothing;
        }
        let query = match Query::parse(message) {
            Ok(query) => query,
            Err(why) => {
                state.counts.refused += 1;
                return match why {
                    Unreadable::Silence => Heard::Nothing,
                    Unreadable::Tell(said) => Heard::Say(said),
                };
            }
        };
        let reply = match state.zone.answer(&query) {
            _ if mark == NOBODY => prohibited(),
            Decision::Reply(reply) => reply,
            Decision::Forward if state.limits.begin(mark) => {
                let resolver = self.clone();
                return Heard::Forward(query, Turn { resolver, mark });
            }
            Decision::Forward => busy(),
        };
        match reply.error {
            None => state.counts.answered += 1,
            Some(_) => state.counts.refused += 1,
        }
        Heard::Say(reply.emit(&query, way.limit(&query)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether an upstream answered.
    pub(super) fn over(self, answered: bool) {
        let mut state = self.resolver.state();
        match answered {
            true => state.counts.forwarded += 1,
            false => state.counts.failed += 1,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.resolver.state().limits.end(self.mark);
    }
}

fn prohibited() -> Reply {
    Reply {
        rcode: rcode::REFUSED,
        error: Some((
            extended::PROHIBITED,
            "only ports of this network are answered",
        )),
        ..Reply::default()
    }
}

/// Says that too much is under way already.
pub(super) fn busy() -> Reply {
    failure(extended::OTHER, "too many questions wait for an answer")
}

/// Says that there is no answer.
pub(super) fn failure(code: u16, why: &'static str) -> Reply {
    Reply {
        rcode: rcode::SERVFAIL,
        error: Some((code, why)),
        ..Reply::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver() -> Arc<Resolver> {
        let host = ("www.alpha.example", "2001:db8::a".parse().unwrap());
        let zone = Zone::new("alpha.example", Vec::new(), [host]).unwrap();
        Arc::new(Resolver::new(Arc::new(zone)))
    }

    fn question(name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(name);
        bytes.extend([0, 0, 28, 0, 1]);
        bytes
    }

    const OWN: &[u8] = b"\x03www\x05alpha\x07example";
    const OTHER: &[u8] = b"\x05other\x07example";

    fn said(heard: Heard) -> u8 {
        match heard {
            Heard::Say(said) => said[3] & 15,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn own_names_are_answered_and_others_forwarded() {
        let resolver = resolver();
        assert_eq!(said(resolver.hear(7, &question(OWN), Way::Udp)), 0);
        let Heard::Forward(query, turn) = resolver.hear(7, &question(OTHER), Way::Udp) else {
            panic!("not forwarded");
        };
        assert_eq!(query.name.to_string(), "other.example.");
        turn.over(true);
        let expected = DnsCounts {
            queries: 2,
            answered: 1,
            forwarded: 1,
            ..DnsCounts::default()
        };
        assert_eq!(resolver.counts(), expected);
    }

    #[test]
    fn strangers_and_nonsense_are_refused() {
        let resolver = resolver();
        assert_eq!(said(resolver.hear(0, &question(OWN), Way::Udp)), 5);
        assert_eq!(said(resolver.hear(0, &question(OTHER), Way::Tcp)), 5);
        assert_eq!(said(resolver.hear(7, &question(OWN)[..20], Way::Udp)), 1);
        assert!(matches!(resolver.hear(7, b"", Way::Udp), Heard::Nothing));
        let expected = DnsCounts {
            queries: 4,
            refused: 4,
            ..DnsCounts::default()
        };
        assert_eq!(resolver.counts(), expected);
    }

    #[test]
    fn a_port_waits_for_a_bounded_number_of_answers() {
        let resolver = resolver();
        let mut turns = Vec::new();
        while let Heard::Forward(_, turn) = resolver.hear(7, &question(OTHER), Way::Udp) {
            turns.push(turn);
        }
        assert_eq!(turns.len(), 128);
        assert!(matches!(
            resolver.hear(8, &question(OTHER), Way::Udp),
            Heard::Forward(..)
        ));
        assert_eq!(said(resolver.hear(7, &question(OTHER), Way::Udp)), 2);
        turns.clear();
        assert!(matches!(
            resolver.hear(7, &question(OTHER), Way::Udp),
            Heard::Forward(..)
        ));
        assert_eq!(resolver.counts().refused, 2);
    }
}
