//! Answers.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tokio::fs::File;

/// What is sent after the headers.
#[derive(Debug)]
pub enum Body {
    Empty,
    Json(Bytes),
    /// A file's octets: from where, and how many.
    File(File, u64),
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Body,
}

impl Reply {
    /// A status with JSON.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Reply {
        // Only maps with keys that are no strings fail to serialise; no answer holds one.
        Reply {
            status,
            headers: Vec::new(),
            body: Body::Json(serde_json::to_vec(value).unwrap_or_default().into()),
        }
    }

    /// 200 with JSON that was rendered before.
    pub(crate) fn text(body: Bytes) -> Reply {
        Reply {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: Body::Json(body),
        }
    }

    /// 200 with JSON.
    pub fn ok(value: &impl Serialize) -> Reply {
        Reply::json(StatusCode::OK, value)
    }

    /// 201 with JSON.
    pub fn created(value: &impl Serialize) -> Reply {
        Reply::json(StatusCode::CREATED, value)
    }

    /// 202 with JSON.
    pub fn accepted(value: &impl Serialize) -> Reply {
        Reply::json(StatusCode::ACCEPTED, value)
    }

    /// A status without a body.
    pub fn empty(status: StatusCode) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Body::Empty,
        }
    }

    /// 204.
    pub fn no_content() -> Reply {
        Reply::empty(StatusCode::NO_CONTENT)
    }

    /// One header more. A value that is no header value is left out.
    pub fn with(mut self, name: &'static str, value: &str) -> Reply {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }
}
