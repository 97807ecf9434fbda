//! The image API, version 2.

mod data;
mod images;
mod patch;

use http::Method;

use crate::route::{
    Handler::Look, Handler::Open, Handler::Plain, Handler::Upload, Handler::Wait, Lines,
};
use crate::version;

pub(crate) const ROUTES: Lines = &[
    (Method::GET, "", Open(version::image_list)),
    (Method::GET, "/v2", Open(version::image_list)),
    (Method::GET, "/v2/images", Look(images::list)),
    (Method::POST, "/v2/images", Plain(images::create)),
    (Method::GET, "/v2/images/{id}", Look(images::show)),
    (Method::PATCH, "/v2/images/{id}", Plain(images::update)),
    (Method::DELETE, "/v2/images/{id}", Plain(images::delete)),
    (
        Method::PUT,
        "/v2/images/{id}/tags/{tag}",
        Plain(images::add_tag),
    ),
    (
        Method::DELETE,
        "/v2/images/{id}/tags/{tag}",
        Plain(images::remove_tag),
    ),
    (Method::PUT, "/v2/images/{id}/file", Upload(data::upload)),
    (Method::GET, "/v2/images/{id}/file", Wait(data::download)),
    (
        Method::GET,
        "/v2/info/import",
        Plain(images::import_methods),
    ),
];
