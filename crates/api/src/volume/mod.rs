//! The volume API at microversion 3.0.

mod action;
mod metadata;
mod quota;
mod service;
pub(crate) mod types;
mod view;
mod volumes;

use std::borrow::Cow;

use http::Method;
use model::{Caller, Error, Result, Scope};

use crate::route::{Handler::Look, Handler::Open, Handler::Plain, Lines};
use crate::version;

/// The name of the project's id in a path.
pub(crate) const PROJECT: &str = "project_id";

pub(crate) const ROUTES: Lines = &[
    (Method::GET, "", Open(version::volume_list)),
    (Method::GET, "/v3", Open(version::volume)),
    (Method::GET, "/v3/volumes", Look(volumes::list)),
    (Method::POST, "/v3/volumes", Plain(volumes::create)),
    (Method::GET, "/v3/volumes/detail", Look(volumes::detail)),
    (Method::GET, "/v3/volumes/{id}", Look(volumes::show)),
    (Method::PUT, "/v3/volumes/{id}", Plain(volumes::update)),
    (Method::DELETE, "/v3/volumes/{id}", Plain(volumes::delete)),
    (Method::POST, "/v3/volumes/{id}/action", Plain(action::act)),
    (
        Method::GET,
        "/v3/volumes/{id}/metadata",
        Look(metadata::list),
    ),
    (
        Method::POST,
        "/v3/volumes/{id}/metadata",
        Plain(metadata::add),
    ),
    (
        Method::PUT,
        "/v3/volumes/{id}/metadata",
        Plain(metadata::replace),
    ),
    (
        Method::GET,
        "/v3/volumes/{id}/metadata/{key}",
        Look(metadata::show),
    ),
    (
        Method::PUT,
        "/v3/volumes/{id}/metadata/{key}",
        Plain(metadata::set),
    ),
    (
        Method::DELETE,
        "/v3/volumes/{id}/metadata/{key}",
        Plain(metadata::delete),
    ),
    (Method::GET, "/v3/types", Look(types::list)),
    (Method::GET, "/v3/types/{id}", Look(types::show)),
    (
        Method::GET,
        "/v3/types/{id}/extra_specs",
        Look(types::extra_specs),
    ),
    (Method::GET, "/v3/snapshots", Look(service::no_snapshots)),
    (
        Method::GET,
        "/v3/snapshots/detail",
        Look(service::no_snapshots),
    ),
    (
        Method::GET,
        "/v3/snapshots/{id}",
        Look(service::no_snapshot),
    ),
    (Method::POST, "/v3/snapshots", Plain(service::snapshot)),
    (Method::GET, "/v3/backups", Look(service::no_backups)),
    (Method::GET, "/v3/backups/detail", Look(service::no_backups)),
    (Method::POST, "/v3/backups", Plain(service::backup)),
    (Method::GET, "/v3/limits", Look(quota::limits)),
    (
        Method::GET,
        "/v3/os-quota-sets/{project}",
        Look(quota::show),
    ),
    (
        Method::PUT,
        "/v3/os-quota-sets/{project}",
        Plain(quota::update),
    ),
    (
        Method::DELETE,
        "/v3/os-quota-sets/{project}",
        Plain(quota::delete),
    ),
    (
        Method::GET,
        "/v3/os-quota-sets/{project}/defaults",
        Look(quota::defaults),
    ),
    (
        Method::GET,
        "/v3/os-quota-class-sets/{class}",
        Look(quota::show_class),
    ),
    (
        Method::PUT,
        "/v3/os-quota-class-sets/{class}",
        Plain(quota::update_class),
    ),
    (
        Method::GET,
        "/v3/os-availability-zone",
        Look(service::zones),
    ),
    (Method::GET, "/v3/os-services", Plain(service::services)),
    (Method::GET, "/v3/extensions", Look(service::extensions)),
];

/// A path without the project's id behind the version, and that id. Clients send it or leave it
/// out, and it says nothing that their token does not say.
pub(crate) fn without_project(path: &str) -> (Cow<'_, str>, Option<String>) {
    const ROOT: &str = "/volume/v3/";
    let Some(rest) = path.strip_prefix(ROOT) else {
        return (path.into(), None);
    };
    let (first, more) = rest.split_once('/').unwrap_or((rest, ""));
    match first.len() == 32 && first.bytes().all(|b| b.is_ascii_hexdigit()) {
        true if more.is_empty() => (ROOT.trim_end_matches('/').into(), Some(first.to_owned())),
        true => (format!("{ROOT}{more}").into(), Some(first.to_owned())),
        false => (path.into(), None),
    }
}

/// # Errors
/// `Invalid` when a path names another project than the token.
pub(crate) fn check_project(caller: &Caller, params: &[(String, String)]) -> Result<()> {
    let Some((_, named)) = params.iter().find(|(name, _)| name == PROJECT) else {
        return Ok(());
    };
    match &caller.scope {
        Scope::Project(project) if project.as_str() == named => Ok(()),
        _ => Err(Error::invalid(
            "Malformed request url: its project is not the token's",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projects_id_is_taken_out_of_a_path() {
        let id = "0123456789abcdef0123456789abcdef";
        let check = |path: &str, expected: &str, project: Option<&str>| {
            let (without, found) = without_project(path);
            assert_eq!((without.as_ref(), found.as_deref()), (expected, project));
        };
        check("/volume/v3/volumes", "/volume/v3/volumes", None);
        check(
            &format!("/volume/v3/{id}/volumes/x"),
            "/volume/v3/volumes/x",
            Some(id),
        );
        check(&format!("/volume/v3/{id}"), "/volume/v3", Some(id));
        let other = format!("/compute/v2.1/{id}/servers");
        check(&other, &other, None);
    }
}
