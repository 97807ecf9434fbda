//! The services, where they are, and the shape of their errors.

use http::StatusCode;
use model::{Error, Kind};
use serde_json::{Value, json};

use crate::reply::Reply;

/// A service's way of speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The list of services itself.
    Root,
    Identity,
    Image,
    Compute,
    Network,
    Volume,
}

impl Dialect {
    /// Where the service's paths begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Dialect::Root => "",
            Dialect::Identity => "/identity",
            Dialect::Image => "/image",
            Dialect::Compute => "/compute",
            Dialect::Network => "/network",
            Dialect::Volume => "/volume",
        }
    }

    /// The service a path belongs to.
    pub fn of_path(path: &str) -> Dialect {
        let all = [
            Dialect::Identity,
            Dialect::Image,
            Dialect::Compute,
            Dialect::Network,
            Dialect::Volume,
        ];
        let below = |d: &Dialect| {
            path.strip_prefix(d.prefix())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        all.into_iter().find(below).unwrap_or(Dialect::Root)
    }

    fn status(self, error: &Error) -> StatusCode {
        let code = match (self, error) {
            (Dialect::Compute, Error::OverQuota(_)) => 403,
            (Dialect::Network, Error::OverQuota(_)) => 409,
            (_, error) => error.http_status(),
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn body(self, error: &Error, status: StatusCode) -> Value {
        let message = error.public();
        let code = status.as_u16();
        let title = status.canonical_reason().unwrap_or("Error");
        match self {
            Dialect::Root | Dialect::Identity => {
                json!({"error": {"code": code, "title": title, "message": message}})
            }
            Dialect::Image => {
                json!({"message": message, "code": format!("{code} {title}"), "title": title})
            }
            Dialect::Compute | Dialect::Volume => {
                json!({compute_name(error): {"code": code, "message": message}})
            }
            Dialect::Network => {
                json!({"NeutronError": {"type": network_type(error), "message": message, "detail": ""}})
            }
        }
    }
}

/// An error as the service says it.
pub(crate) fn error_reply(dialect: Dialect, error: &Error, url: &str) -> Reply {
    let status = dialect.status(error);
    let reply = Reply::json(status, &dialect.body(error, status));
    match error {
        Error::Unauthorized(_) => reply.with(
            "www-authenticate",
            &format!("Keystone uri=\"{url}/identity\""),
        ),
        Error::TooMany(_) | Error::Unavailable(_) => reply.with("retry-after", "1"),
        // Octets of the body may still be on their way; they are not waited for.
        Error::TooLarge(_) => reply.with("connection", "close"),
        _ => reply,
    }
}

/// The names of the compute API's errors, which the volume API shares.
fn compute_name(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "itemNotFound",
        Error::Invalid(_) => "badRequest",
        Error::Unauthorized(_) => "unauthorized",
        Error::Forbidden(_) | Error::OverQuota(_) => "forbidden",
        Error::Conflict(_) | Error::InUse { .. } | Error::AddressTaken(_) | Error::NoAddress(_) => {
            "conflictingRequest"
        }
        Error::PreconditionFailed(_) => "preconditionFailed",
        Error::TooLarge(_) | Error::TooMany(_) => "overLimit",
        Error::UnsupportedMedia(_) => "badMediaType",
        Error::MethodNotAllowed(_) => "badMethod",
        Error::NotImplemented(_) => "notImplemented",
        Error::Unavailable(_) => "serviceUnavailable",
        Error::Internal { .. } => "computeFault",
    }
}

/// A kind's words as one.
fn camel(kind: Kind) -> String {
    let words = kind.to_string();
    let each = words.split(' ');
    each.map(|w| w[..1].to_ascii_uppercase() + &w[1..])
        .collect()
}

fn network_type(error: &Error) -> String {
    match error {
        Error::NotFound { kind, .. } => camel(*kind) + "NotFound",
        Error::InUse { kind, .. } => camel(*kind) + "InUse",
        Error::Invalid(_) => "HTTPBadRequest".into(),
        Error::Unauthorized(_) => "HTTPUnauthorized".into(),
        Error::Forbidden(_) => "PolicyNotAuthorized".into(),
        Error::Conflict(_) => "Conflict".into(),
        Error::AddressTaken(_) => "IpAddressAlreadyAllocated".into(),
        Error::NoAddress(_) => "IpAddressGenerationFailure".into(),
        Error::PreconditionFailed(_) => "RevisionNumberConstraintFailed".into(),
        Error::OverQuota(_) => "OverQuota".into(),
        Error::TooLarge(_) => "HTTPRequestEntityTooLarge".into(),
        Error::UnsupportedMedia(_) => "HTTPUnsupportedMediaType".into(),
        Error::MethodNotAllowed(_) => "HTTPMethodNotAllowed".into(),
        Error::TooMany(_) => "HTTPTooManyRequests".into(),
        Error::NotImplemented(_) => "HTTPNotImplemented".into(),
        Error::Unavailable(_) => "HTTPServiceUnavailable".into(),
        Error::Internal { .. } => "HTTPInternalServerError".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_own_shape() {
        let check = |dialect: Dialect, expected: Value| {
            let error = Error::invalid("no");
            assert_eq!(dialect.body(&error, dialect.status(&error)), expected);
        };
        check(
            Dialect::Identity,
            json!({"error": {"code": 400, "title": "Bad Request", "message": "no"}}),
        );
        check(
            Dialect::Image,
            json!({"message": "no", "code": "400 Bad Request", "title": "Bad Request"}),
        );
        check(
            Dialect::Compute,
            json!({"badRequest": {"code": 400, "message": "no"}}),
        );
        check(
            Dialect::Network,
            json!({"NeutronError": {"type": "HTTPBadRequest", "message": "no", "detail": ""}}),
        );
        assert_eq!(
            network_type(&Error::not_found(Kind::SecurityGroup, 1)),
            "SecurityGroupNotFound"
        );
    }

    #[test]
    fn a_path_belongs_to_one_service() {
        assert_eq!(Dialect::of_path("/compute/v2.1/servers"), Dialect::Compute);
        assert_eq!(Dialect::of_path("/compute"), Dialect::Compute);
        assert_eq!(Dialect::of_path("/computer"), Dialect::Root);
    }
}
