//! The shape of errors: each service has its own, and none tells more than it should.

use serde_json::Value;
use testkit::Answer;

/// Checks status and shape of an error; its message.
#[track_caller]
pub(crate) fn error(answer: &Answer, status: u16, what: &str) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let context = format!("{}, {what}: {} {text}", answer.asked, answer.status);
    assert_eq!(answer.status.as_u16(), status, "{context}");
    assert!(
        answer.header("x-openstack-request-id").starts_with("req-"),
        "{context}"
    );
    if answer.asked.starts_with("HEAD") {
        assert!(text.is_empty(), "{context}");
        return text;
    }
    assert_eq!(
        answer.header("content-type"),
        "application/json",
        "{context}"
    );
    let body = answer.json();
    let message = match service(answer) {
        "image" => {
            let code = body["code"].as_str().expect(&context);
            assert!(code.starts_with(&format!("{status} ")), "{context}");
            &body["message"]
        }
        "compute" | "volume" => {
            let (_, fault) = body
                .as_object()
                .and_then(|o| o.iter().next())
                .expect(&context);
            assert_eq!(fault["code"], status, "{context}");
            &fault["message"]
        }
        "network" => {
            let error = &body["NeutronError"];
            assert!(error["type"].is_string(), "{context}");
            assert_eq!(error["detail"], "", "{context}");
            &error["message"]
        }
        _ => {
            assert_eq!(body["error"]["code"], status, "{context}");
            assert!(body["error"]["title"].is_string(), "{context}");
            &body["error"]["message"]
        }
    };
    let message = message.as_str().unwrap_or_default();
    assert!(!message.is_empty(), "no message: {context}");
    for inner in ["SQL", "sqlite", "panicked", "/tmp/", ".rs:", "constraint"] {
        assert!(!message.contains(inner), "tells of our insides: {context}");
    }
    message.to_owned()
}

/// Whether an answer is an error in its service's shape, with one of these statuses.
pub(crate) fn is_refused(answer: &Answer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let shaped = match service(answer) {
        "image" => body["message"].is_string(),
        "compute" | "volume" => body["badRequest"]["message"].is_string(),
        "network" => body["NeutronError"]["message"].is_string(),
        _ => body["error"]["message"].is_string(),
    };
    shaped && answer.status == 400
}

fn service(answer: &Answer) -> &str {
    let path = answer.asked.split(' ').nth(1).unwrap_or_default();
    path.split(['/', '?']).nth(1).unwrap_or_default()
}
