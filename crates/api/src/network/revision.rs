//! `If-Match: revision_number=N`: a change or removal is of what the client has seen, or not done.

use http::{HeaderMap, Method};
use model::{Error, Result};

/// Collections whose things are looked at for it. [`model::Caller::check_revision`] does.
const REVISED: [&str; 11] = [
    "networks",
    "subnets",
    "ports",
    "routers",
    "security-groups",
    "security-group-rules",
    "floatingips",
    "subnetpools",
    "address-groups",
    "trunks",
    "policies",
];

/// The same of a line that is about one alone.
const REVISED_LINE: &str = "/v2.0/qos/policies/{id}";

/// The revision that the thing of a request must have; `path` is a line of the table of routes.
///
/// # Errors
/// `Invalid` for several, for what is no whole number, and where nothing would be looked at.
pub(crate) fn if_match(method: &Method, path: &str, headers: &HeaderMap) -> Result<Option<i64>> {
    if ![Method::PUT, Method::DELETE].contains(method) {
        return Ok(None);
    }
    let values = headers.get_all(http::header::IF_MATCH).iter();
    let texts: Vec<_> = values
        .map(|v| String::from_utf8_lossy(v.as_bytes()))
        .collect();
    let tags = texts.iter().flat_map(|text| text.split(','));
    let mut wanted = tags.filter_map(revision);
    let Some(first) = wanted.next().transpose()? else {
        return Ok(None);
    };
    if wanted.next().is_some() {
        return Err(Error::invalid(
            "Multiple revision_number etags are not supported.",
        ));
    }
    let collection = path.split('/').nth(2).unwrap_or_default();
    match REVISED.contains(&collection) || path == REVISED_LINE {
        true => Ok(Some(first)),
        false => Err(Error::invalid(
            "Revision matching not supported for this resource",
        )),
    }
}

/// What an entity tag (RFC 9110, section 8.8.3) says of a revision; clients leave the quotes out.
fn revision(tag: &str) -> Option<Result<i64>> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
    let number = tag.strip_prefix("revision_number=")?;
    Some(number.parse().map_err(|_| {
        Error::invalid(format!(
            "'{number}' in If-Match is no revision number: it must be a whole number"
        ))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_found_among_entity_tags() {
        for (text, expected) in [
            ("revision_number=5", Some(5)),
            ("\"revision_number=5\"", Some(5)),
            ("W/\"revision_number=5\"", Some(5)),
            ("\"abc\", \"revision_number=-1\"", Some(-1)),
            ("*", None),
            ("\"abc\"", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(http::header::IF_MATCH, text.parse().unwrap())]);
            let found = |method| if_match(&method, "/v2.0/networks/{id}", &headers).unwrap();
            assert_eq!(found(Method::PUT), expected, "{text}");
            assert_eq!(found(Method::GET), None, "{text}");
        }
    }
}
