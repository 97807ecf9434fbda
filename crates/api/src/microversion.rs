//! Microversions: which one a request asks for, and which there are.

use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::dialect::Dialect;
use crate::reply::Reply;

/// A microversion within its service's one major version: 2.19 of compute is 19.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Microversion(pub u32);

/// How a service counts.
struct Range {
    /// As headers name it.
    service: &'static str,
    major: u32,
    least: u32,
    most: u32,
    /// The word of its error.
    fault: &'static str,
}

/// The newest compute microversion: every difference up to it is there.
pub(crate) const COMPUTE: u32 = 26;

fn range(dialect: Dialect) -> Option<Range> {
    match dialect {
        Dialect::Compute => Some(Range {
            service: "compute",
            major: 2,
            least: 1,
            most: COMPUTE,
            fault: "computeFault",
        }),
        Dialect::Volume => Some(Range {
            service: "volume",
            major: 3,
            least: 0,
            most: 0,
            fault: "notAcceptable",
        }),
        _ => None,
    }
}

/// The oldest that a service has.
pub(crate) fn least(dialect: Dialect) -> Microversion {
    Microversion(range(dialect).map_or(0, |range| range.least))
}

/// The microversion a request asks for; the least when it asks for none.
///
/// # Errors
/// The answer to a client that asks for one that is not there.
pub(crate) fn asked(dialect: Dialect, headers: &HeaderMap) -> Result<Microversion, Box<Reply>> {
    let Some(range) = range(dialect) else {
        return Ok(Microversion::default());
    };
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let old = match dialect {
        Dialect::Compute => text("x-openstack-nova-api-version"),
        _ => None,
    };
    let new = text("openstack-api-version")
        .and_then(|v| v.trim().strip_prefix(range.service))
        .filter(|rest| rest.starts_with(' '))
        .map(str::trim);
    let parse = |text: &str| -> Option<u32> {
        let (major, minor) = text.split_once('.')?;
        let digits = minor.bytes().all(|b| b.is_ascii_digit());
        let minor: u32 = minor.parse().ok().filter(|_| digits)?;
        let known = (range.least..=range.most).contains(&minor);
        (major == range.major.to_string() && known).then_some(minor)
    };
    match new.or(old) {
        None => Ok(Microversion(range.least)),
        Some("latest") => Ok(Microversion(range.most)),
        Some(text) => parse(text)
            .map(Microversion)
            .ok_or_else(|| Box::new(not_acceptable(&range, text))),
    }
}

fn not_acceptable(range: &Range, version: &str) -> Reply {
    let Range {
        major,
        least,
        most,
        fault,
        ..
    } = range;
    let message = format!(
        "Version {version} is not supported by the API. Minimum is {major}.{least} and maximum is {major}.{most}."
    );
    Reply::json(
        StatusCode::NOT_ACCEPTABLE,
        &json!({*fault: {"code": 406, "message": message}}),
    )
}

/// An answer with the microversion it was made for.
pub(crate) fn told(reply: Reply, dialect: Dialect, version: Microversion) -> Reply {
    let Some(Range { service, major, .. }) = range(dialect) else {
        return reply;
    };
    let number = format!("{major}.{}", version.0);
    let reply = reply.with("openstack-api-version", &format!("{service} {number}"));
    match dialect {
        Dialect::Compute => reply.with("x-openstack-nova-api-version", &number).with(
            "vary",
            "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
        ),
        _ => reply.with("vary", "OpenStack-API-Version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn ask(dialect: Dialect, name: &'static str, value: &str) -> Option<u32> {
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        asked(dialect, &headers).ok().map(|version| version.0)
    }

    #[test]
    fn a_header_names_a_microversion() {
        let new = |value: &str| ask(Dialect::Compute, "openstack-api-version", value);
        let old = |value: &str| ask(Dialect::Compute, "x-openstack-nova-api-version", value);
        for check in [&old as &dyn Fn(&str) -> Option<u32>, &|v| {
            new(&format!("compute {v}"))
        }] {
            assert_eq!(check("2.1"), Some(1));
            assert_eq!(check("2.19"), Some(19));
            assert_eq!(check("latest"), Some(COMPUTE));
            for bad in [
                "2.0",
                "2.27",
                "3.1",
                "2",
                "x",
                "2.+1",
                "2.1.1",
                "-2.1",
                "2.99999999999",
            ] {
                assert_eq!(check(bad), None, "{bad}");
            }
        }
        assert_eq!(new("volume 3.0"), Some(1), "another service's");
        assert_eq!(new("computer 2.9"), Some(1));
        assert_eq!(
            ask(Dialect::Volume, "openstack-api-version", "volume 3.0"),
            Some(0)
        );
        assert_eq!(
            ask(Dialect::Volume, "openstack-api-version", "volume 3.1"),
            None
        );
        assert_eq!(ask(Dialect::Network, "openstack-api-version", "x"), Some(0));
    }
}
