//! A guest's question, and an upstream's answer to one: what is written of a question is read as
//! the same, and no answer is longer than may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::dns::{Forwarded, Query, Reply, Unreadable, rcode};

fuzz_target!(|bytes: &[u8]| {
    // Two octets of length, as over TCP: the question, and then what is answered.
    let Some((length, rest)) = bytes.split_at_checked(2) else {
        return;
    };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]])).min(rest.len());
    let (asked, answered) = rest.split_at(length);
    let query = match Query::parse(asked) {
        Ok(query) => query,
        Err(Unreadable::Tell(said)) => return assert!(said.len() <= 512),
        Err(Unreadable::Silence) => return,
    };
    let again = Query::parse(&query.emit(query.id)).expect("a question of ours");
    assert_eq!((&again.name, again.kind, again.class), (&query.name, query.kind, query.class));
    let limit = query.payload();
    let failed = Reply {
        rcode: rcode::SERVFAIL,
        ..Reply::default()
    };
    assert!(failed.emit(&query, limit).len() <= limit);
    if let Some(forwarded) = Forwarded::accept(&query, query.id, answered) {
        let _ = forwarded.addresses(&query);
        assert!(forwarded.emit(&query, limit).len() <= limit);
    }
});
