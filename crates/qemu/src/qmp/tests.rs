use super::*;

#[test]
fn lines_of_qemu_are_understood() {
    let greeting = br#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#;
    assert_eq!(
        parse(greeting).unwrap(),
        Message::Greeting {
            version: "7.2.22".into()
        }
    );
    let event = br#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#;
    assert_eq!(
        parse(event).unwrap(),
        Message::Event(Event::Shutdown { guest: true })
    );
    let refused = br#"{"id": 3, "error": {"class": "GenericError", "desc": "no"}}"#;
    assert_eq!(
        parse(refused).unwrap(),
        Message::Reply {
            id: 3,
            result: Err("no".into())
        }
    );
    let done = parse(br#"{"return": {}, "id": 4}"#).unwrap();
    assert_eq!(
        done,
        Message::Reply {
            id: 4,
            result: Ok(json!({}))
        }
    );
}

#[test]
fn garbage_is_an_error() {
    let garbage: [&[u8]; 10] = [
        b"",
        b"\0\xff",
        b"null",
        b"[]",
        b"{}",
        b"7",
        br#"{"event": 5}"#,
        br#"{"return": {}}"#,
        br#"{"id": -1, "return": {}}"#,
        br#"{"id": 1, "error": "x"}"#,
    ];
    for line in garbage {
        assert!(parse(line).is_err(), "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(
        parse(br#"{"QMP": 1}"#).unwrap(),
        Message::Greeting {
            version: "0.0.0".into()
        }
    );
}
