//! A broker that has said all it will say before it is listened to, and what is made of its words.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const START: &str =
    "01000000000020000a000a0009000000000000000e414d51504c41494e20504c41494e00000000ce";
const TUNE: &str = "0100000000000c000a001e07ff00020000003cce";
const OPENED: &str = "01000000000005000a002900ce";
const CHANNEL: &str = "010001000000080014000b00000000ce";
const CONFIRMS: &str = "010001000000040055000bce";
const DECLARED: &str = "010001000000040028000bce";
const OPEN: [&str; 5] = [START, TUNE, OPENED, CHANNEL, CONFIRMS];

const BLOCKED: &str = "01000000000006000a003c0178ce";
const UNBLOCKED: &str = "01000000000004000a003dce";
const FIRST_TAKEN: &str = "0100010000000d003c0050000000000000000100ce";
const ALL_TAKEN: &str = "0100010000000d003c0050000000000000000401ce";
const REFUSED: &str = "0100010000000d003c0078000000000000000200ce";
/// `403` and `406`, each with the text `no`.
const NO_LOGIN: &str = "0100000000000d000a00320193026e6f00000000ce";
const OTHERWISE: &str = "0100010000000d001400280196026e6f0028000ace";

fn octets(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|p| digit(p[0]) << 4 | digit(p[1])).collect()
}

/// A session with a broker that says these things, and the broker's end of it.
async fn session(said: &[&str]) -> (Result<Session<DuplexStream>, Broken>, DuplexStream) {
    let (ours, mut theirs) = duplex(1 << 16);
    theirs.write_all(&octets(&said.concat())).await.unwrap();
    let broker = Broker {
        host: "::1".into(),
        port: 1,
        user: "nova".into(),
        password: Some("secret".into()),
    };
    (Session::open(ours, &broker, "/").await, theirs)
}

async fn opened(more: &[&str]) -> (Session<DuplexStream>, DuplexStream) {
    let (session, theirs) = session(&[&OPEN, more].concat()).await;
    (session.unwrap(), theirs)
}

fn why<T>(outcome: Result<T, Broken>) -> String {
    outcome.err().expect("it is broken").to_string()
}

fn two() -> Vec<Outgoing> {
    let one = |number| Outgoing {
        number,
        exchange: "nova".into(),
        priority: "info".into(),
        message_id: model::MessageId::random(),
        message: "{}".into(),
    };
    vec![one(1), one(2)]
}

fn topics() -> Vec<String> {
    vec!["notifications".into(), "audit".into()]
}

#[tokio::test]
async fn messages_are_sent_with_each_topic_and_all_confirmed() {
    let (mut session, mut theirs) = opened(&[FIRST_TAKEN, BLOCKED, UNBLOCKED, ALL_TAKEN]).await;
    session.publish(&two(), &topics()).await.unwrap();
    drop(session);
    let mut heard = Vec::new();
    theirs.read_to_end(&mut heard).await.unwrap();
    let heard = String::from_utf8_lossy(&heard);
    let places = [
        "\0nova\0secret",
        "notifications.info",
        "audit.info",
        "notifications.info",
    ];
    let mut rest = &*heard;
    for place in places {
        let at = rest
            .find(place)
            .unwrap_or_else(|| panic!("{place}: {heard}"));
        rest = &rest[at + place.len()..];
    }
}

#[tokio::test]
async fn what_is_not_confirmed_is_not_sent() {
    let (mut session, theirs) = opened(&[FIRST_TAKEN, REFUSED]).await;
    assert!(why(session.publish(&two(), &topics()).await).contains("could not keep"));
    drop(theirs);
    let (mut session, mut theirs) = opened(&[FIRST_TAKEN]).await;
    theirs.shutdown().await.unwrap();
    assert!(why(session.publish(&two(), &topics()).await).contains("ended the connection"));
}

#[tokio::test]
async fn a_broker_that_cannot_be_used_says_why() {
    let plain = START.replace("504c41494e00000000ce", "455854524e00000000ce");
    for (said, reason) in [
        (
            vec![plain.replace("504c41494e", "455854524e").as_str()],
            "only",
        ),
        (vec![START, NO_LOGIN], "the broker says 403: no"),
        (vec![START, OPENED], "not asked"),
        (vec![TUNE], "not asked"),
        (vec!["48545450"], "no AMQP 0-9-1"),
    ] {
        let said: Vec<&str> = [said, vec!["00000000000000ff"]].concat();
        let (session, theirs) = session(&said).await;
        let error = why(session);
        assert!(error.contains(reason), "{reason}: {error}");
        drop(theirs);
    }
}

#[tokio::test]
async fn queues_that_are_there_otherwise_are_told_of() {
    let queues = Queues {
        exchanges: vec!["nova".into()],
        topics: topics(),
        priorities: vec!["info".into()],
        durable: false,
        quorum: false,
    };
    let (mut session, _theirs) = opened(&[DECLARED, OTHERWISE]).await;
    let error = why(session.declare(&queues).await);
    assert!(
        error.contains("'notifications.info' with other arguments"),
        "{error}"
    );
    let bound = [DECLARED; 5];
    let (mut session, _theirs) = opened(&bound).await;
    session.declare(&queues).await.unwrap();
}
