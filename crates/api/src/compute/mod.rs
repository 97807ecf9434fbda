//! The compute API, from microversion 2.1 to 2.26.
//!
//! What a later microversion added stands in one place each: routes in [`LATER`], a server's fields
//! in `server_view::later`, those of other things beside their views (`ctx.since`).

mod action;
mod attachment;
mod block_device;
mod flavor;
mod instance_action;
mod interface;
mod keypair;
mod limits;
mod metadata;
mod node;
mod password;
mod quota;
mod security_group;
mod server;
mod server_create;
mod server_group;
mod server_view;
mod tag;

use http::Method;

use crate::microversion::Microversion;
use crate::route::{Handler::Look, Handler::Open, Handler::Plain, Handler::Wait, Lines};
use crate::version;

/// Routes that a later microversion brought, by how their paths begin.
const LATER: [(&str, u32); 3] = [
    ("/v2.1/servers/{id}/remote-consoles", 6),
    ("/v2.1/servers/{id}/migrations", 23),
    ("/v2.1/servers/{id}/tags", 26),
];

/// The microversion that brought a route.
pub(crate) fn since(path: &str) -> Microversion {
    let later = LATER.iter().find(|(begin, _)| path.starts_with(begin));
    Microversion(later.map_or(1, |(_, minor)| *minor))
}

pub(crate) const ROUTES: Lines = &[
    (Method::GET, "", Open(version::compute_list)),
    (Method::GET, "/v2.1", Open(version::compute)),
    (Method::GET, "/v2.1/extensions", Look(limits::extensions)),
    (Method::GET, "/v2.1/limits", Look(limits::limits)),
    (
        Method::GET,
        "/v2.1/os-quota-sets/{project}",
        Look(quota::show),
    ),
    (
        Method::PUT,
        "/v2.1/os-quota-sets/{project}",
        Plain(quota::update),
    ),
    (
        Method::DELETE,
        "/v2.1/os-quota-sets/{project}",
        Plain(quota::delete),
    ),
    (
        Method::GET,
        "/v2.1/os-quota-sets/{project}/detail",
        Look(quota::detail),
    ),
    (
        Method::GET,
        "/v2.1/os-quota-sets/{project}/defaults",
        Look(quota::defaults),
    ),
    (
        Method::GET,
        "/v2.1/os-quota-class-sets/{class}",
        Look(quota::show_class),
    ),
    (
        Method::PUT,
        "/v2.1/os-quota-class-sets/{class}",
        Plain(quota::update_class),
    ),
    (Method::GET, "/v2.1/flavors", Look(flavor::list)),
    (Method::POST, "/v2.1/flavors", Plain(flavor::create)),
    (Method::GET, "/v2.1/flavors/detail", Look(flavor::detail)),
    (Method::GET, "/v2.1/flavors/{id}", Look(flavor::show)),
    (Method::DELETE, "/v2.1/flavors/{id}", Plain(flavor::delete)),
    (
        Method::GET,
        "/v2.1/flavors/{id}/os-extra_specs",
        Look(flavor::extra_specs),
    ),
    (
        Method::POST,
        "/v2.1/flavors/{id}/os-extra_specs",
        Plain(flavor::set_extra_specs),
    ),
    (
        Method::GET,
        "/v2.1/flavors/{id}/os-extra_specs/{key}",
        Look(flavor::extra_spec),
    ),
    (
        Method::DELETE,
        "/v2.1/flavors/{id}/os-extra_specs/{key}",
        Plain(flavor::delete_extra_spec),
    ),
    (Method::GET, "/v2.1/os-keypairs", Look(keypair::list)),
    (Method::POST, "/v2.1/os-keypairs", Plain(keypair::create)),
    (Method::GET, "/v2.1/os-keypairs/{name}", Look(keypair::show)),
    (
        Method::DELETE,
        "/v2.1/os-keypairs/{name}",
        Plain(keypair::delete),
    ),
    (Method::GET, "/v2.1/servers", Look(server::list)),
    (Method::POST, "/v2.1/servers", Plain(server::create)),
    (Method::GET, "/v2.1/servers/detail", Look(server::detail)),
    (Method::GET, "/v2.1/servers/{id}", Look(server::show)),
    (Method::PUT, "/v2.1/servers/{id}", Plain(server::update)),
    (Method::DELETE, "/v2.1/servers/{id}", Plain(server::delete)),
    (Method::POST, "/v2.1/servers/{id}/action", Wait(action::act)),
    (
        Method::GET,
        "/v2.1/servers/{id}/ips",
        Look(server::addresses),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/metadata",
        Look(metadata::list),
    ),
    (
        Method::POST,
        "/v2.1/servers/{id}/metadata",
        Plain(metadata::add),
    ),
    (
        Method::PUT,
        "/v2.1/servers/{id}/metadata",
        Plain(metadata::replace),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/metadata/{key}",
        Look(metadata::show),
    ),
    (
        Method::PUT,
        "/v2.1/servers/{id}/metadata/{key}",
        Plain(metadata::set),
    ),
    (
        Method::DELETE,
        "/v2.1/servers/{id}/metadata/{key}",
        Plain(metadata::delete),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-volume_attachments",
        Look(attachment::list),
    ),
    (
        Method::POST,
        "/v2.1/servers/{id}/os-volume_attachments",
        Plain(attachment::attach),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-volume_attachments/{volume}",
        Look(attachment::show),
    ),
    (
        Method::PUT,
        "/v2.1/servers/{id}/os-volume_attachments/{volume}",
        Plain(attachment::swap),
    ),
    (
        Method::DELETE,
        "/v2.1/servers/{id}/os-volume_attachments/{volume}",
        Plain(attachment::detach),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-instance-actions",
        Look(instance_action::list),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-instance-actions/{request}",
        Look(instance_action::show),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-interface",
        Look(interface::list),
    ),
    (
        Method::POST,
        "/v2.1/servers/{id}/os-interface",
        Plain(interface::attach),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-interface/{port}",
        Look(interface::show),
    ),
    (
        Method::DELETE,
        "/v2.1/servers/{id}/os-interface/{port}",
        Plain(interface::detach),
    ),
    (
        Method::POST,
        "/v2.1/servers/{id}/remote-consoles",
        Plain(action::remote_console),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/migrations",
        Look(server::migrations),
    ),
    (Method::GET, "/v2.1/servers/{id}/tags", Look(tag::list)),
    (Method::PUT, "/v2.1/servers/{id}/tags", Plain(tag::replace)),
    (Method::DELETE, "/v2.1/servers/{id}/tags", Plain(tag::clear)),
    (
        Method::GET,
        "/v2.1/servers/{id}/tags/{tag}",
        Look(tag::show),
    ),
    (
        Method::PUT,
        "/v2.1/servers/{id}/tags/{tag}",
        Plain(tag::add),
    ),
    (
        Method::DELETE,
        "/v2.1/servers/{id}/tags/{tag}",
        Plain(tag::remove),
    ),
    (
        Method::GET,
        "/v2.1/os-server-groups",
        Look(server_group::list),
    ),
    (
        Method::POST,
        "/v2.1/os-server-groups",
        Plain(server_group::create),
    ),
    (
        Method::GET,
        "/v2.1/os-server-groups/{id}",
        Look(server_group::show),
    ),
    (
        Method::DELETE,
        "/v2.1/os-server-groups/{id}",
        Plain(server_group::delete),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-security-groups",
        Look(server::security_groups),
    ),
    (
        Method::GET,
        "/v2.1/servers/{id}/os-server-password",
        Look(password::show),
    ),
    (
        Method::DELETE,
        "/v2.1/servers/{id}/os-server-password",
        Plain(password::clear),
    ),
    (Method::GET, "/v2.1/os-availability-zone", Look(node::zones)),
    (
        Method::GET,
        "/v2.1/os-availability-zone/detail",
        Plain(node::zone_details),
    ),
    (Method::GET, "/v2.1/os-hypervisors", Look(node::list)),
    (
        Method::GET,
        "/v2.1/os-hypervisors/detail",
        Look(node::detail),
    ),
    (Method::GET, "/v2.1/os-hypervisors/{id}", Look(node::show)),
    (
        Method::GET,
        "/v2.1/os-hypervisors/{id}/uptime",
        Look(node::uptime),
    ),
    (Method::GET, "/v2.1/os-aggregates", Look(node::aggregates)),
    (Method::GET, "/v2.1/os-services", Plain(node::services)),
    (
        Method::DELETE,
        "/v2.1/os-services/{id}",
        Plain(node::forget),
    ),
];

/// The network API's things, as this API had them before: clients ask for them up to 2.35.
pub(crate) const PROXY_ROUTES: Lines = &[
    (
        Method::GET,
        "/v2.1/os-security-groups",
        Look(security_group::list),
    ),
    (
        Method::POST,
        "/v2.1/os-security-groups",
        Plain(security_group::create),
    ),
    (
        Method::GET,
        "/v2.1/os-security-groups/{id}",
        Look(security_group::show),
    ),
    (
        Method::PUT,
        "/v2.1/os-security-groups/{id}",
        Plain(security_group::update),
    ),
    (
        Method::DELETE,
        "/v2.1/os-security-groups/{id}",
        Plain(security_group::delete),
    ),
    (
        Method::POST,
        "/v2.1/os-security-group-rules",
        Plain(security_group::create_rule),
    ),
    (
        Method::DELETE,
        "/v2.1/os-security-group-rules/{id}",
        Plain(security_group::delete_rule),
    ),
    (
        Method::GET,
        "/v2.1/os-tenant-networks",
        Look(security_group::tenant_networks),
    ),
    (
        Method::GET,
        "/v2.1/os-tenant-networks/{id}",
        Look(security_group::tenant_network),
    ),
    (
        Method::GET,
        "/v2.1/os-networks",
        Look(security_group::all_networks),
    ),
    (
        Method::GET,
        "/v2.1/os-networks/{id}",
        Look(security_group::one_network),
    ),
];
