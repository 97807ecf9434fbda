use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;

use super::*;
use crate::openstack::tests::sample;

fn known() -> (Caller, Shared) {
    let network = NetworkId::random();
    let shared = Shared {
        network,
        instances: Arc::default(),
        vendor_data: Arc::new(serde_json::json!({})),
        passwords: Arc::new(Mutex::new(BTreeMap::new())),
        counters: Default::default(),
    };
    shared.instances.set(network, 7, Arc::new(sample()));
    (Caller { network, mark: 7 }, shared)
}

async fn ask(method: Method, caller: Caller, shared: &Shared, path: &str, body: &[u8]) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap();
    answer(request, caller, shared).await
}

const USER_DATA: &str = "/openstack/latest/user_data";

#[tokio::test]
async fn only_a_known_mark_of_the_same_network_is_answered() {
    let (caller, shared) = known();
    let ask = async |caller| {
        ask(Method::GET, caller, &shared, USER_DATA, b"")
            .await
            .status()
    };
    assert_eq!(ask(caller).await, 200);
    assert_eq!(ask(Caller { mark: 8, ..caller }).await, 404);
    let network = NetworkId::random();
    assert_eq!(ask(Caller { network, ..caller }).await, 404);
    shared.instances.remove(caller.network, 7);
    assert_eq!(ask(caller).await, 404);
}

#[tokio::test]
async fn other_methods_and_bodies_are_refused() {
    let (caller, shared) = known();
    let ask = async |method, body| ask(method, caller, &shared, USER_DATA, body).await.status();
    assert_eq!(ask(Method::HEAD, b"").await, 200);
    assert_eq!(ask(Method::POST, b"").await, 405);
    assert_eq!(ask(Method::GET, b"x").await, 413);
}

#[tokio::test]
async fn a_password_is_told_once() {
    let (caller, shared) = known();
    let path = "/openstack/2013-04-04/password";
    let ask = async |method, body: &[u8]| {
        let answer = ask(method, caller, &shared, path, body).await;
        let status = answer.status().as_u16();
        (
            status,
            answer.into_body().collect().await.unwrap().to_bytes(),
        )
    };
    assert_eq!(ask(Method::GET, b"").await, (200, Bytes::new()));
    for wrong in [&b""[..], &[b'x'; 1021], &[0xff]] {
        assert_eq!(ask(Method::POST, wrong).await.0, 400);
    }
    assert_eq!(ask(Method::PUT, b"x").await.0, 405);
    let longest = vec![b'x'; 1020];
    assert_eq!(ask(Method::POST, &longest).await, (200, Bytes::new()));
    assert_eq!(ask(Method::GET, b"").await.1, longest);
    assert_eq!(ask(Method::POST, b"other").await.0, 409);
    assert_eq!(ask(Method::POST, &[b'x'; 1021]).await.0, 409);
    assert_eq!(ask(Method::GET, b"").await.1, longest);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let (caller, shared) = known();
    let other = Caller { mark: 9, ..caller };
    shared.instances.set(caller.network, 9, Arc::new(sample()));
    let ask = async |caller| ask(Method::GET, caller, &shared, USER_DATA, b"").await;
    let mut limited = ask(caller).await;
    while limited.status() != StatusCode::TOO_MANY_REQUESTS {
        limited = ask(caller).await;
    }
    assert_eq!(limited.headers()[RETRY_AFTER], "1");
    assert_eq!(
        ask(other).await.status(),
        200,
        "another port is not concerned"
    );
}

#[tokio::test]
async fn the_seed_differs_each_time() {
    let (caller, shared) = known();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let path = "/openstack/latest/meta_data.json";
        let answer = ask(Method::GET, caller, &shared, path, b"").await;
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        seen.push(document["random_seed"].as_str().unwrap().to_owned());
    }
    assert_ne!(seen[0], seen[1]);
}
