//! Frames of the node protocol, in both directions: what is read and sent again is read as the same.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use link::{FromNode, ToNode, receive, send};
use serde::{Serialize, de::DeserializeOwned};

async fn again<M: Serialize + DeserializeOwned + Debug + PartialEq>(mut bytes: &[u8]) {
    let Ok(read) = receive::<M>(&mut bytes).await else { return };
    let mut out = Vec::new();
    send(&mut out, &read).await.expect("a message that was small enough");
    assert_eq!(receive::<M>(&mut &out[..]).await.expect("what we send"), read);
}

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(again::<FromNode>(bytes));
    runtime.block_on(again::<ToNode>(bytes));
});
