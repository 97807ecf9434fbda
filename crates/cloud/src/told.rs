//! Things as others are told of them: whole, and inside the transaction that changed them.

use model::{Caller, Result, Scope, ServerId};
use store::{Depth, Tx, row};

use crate::{
    FloatingIpView, NetworkView, PortView, RouterView, SecurityGroupView, ServerView, SubnetView,
    VolumeView, floating_ip, network, port, router, security_group, server, subnet, volume,
};

/// Who is told sees what an administrator sees, and is no project that something could be shared with.
pub fn everybody() -> Caller {
    Caller {
        user: "".into(),
        scope: Scope::System,
        roles: vec!["admin".to_owned()],
        request_id: String::new(),
        if_match: None,
    }
}

/// A network with what belongs to it.
pub fn network(tx: &Tx<'_>, row: row::Network) -> Result<NetworkView> {
    network::view(tx, &everybody(), row)
}

/// A subnet with what belongs to it.
pub fn subnet(tx: &Tx<'_>, row: row::Subnet) -> Result<SubnetView> {
    subnet::view(tx, row)
}

/// A port with what belongs to it.
pub fn port(tx: &Tx<'_>, row: row::Port) -> Result<PortView> {
    port::view(tx, row)
}

/// A router with what belongs to it.
pub fn router(tx: &Tx<'_>, row: row::Router) -> Result<RouterView> {
    router::view(tx, row)
}

/// A floating IP with what belongs to it.
pub fn floating_ip(tx: &Tx<'_>, row: row::FloatingIp) -> Result<FloatingIpView> {
    floating_ip::view(tx, row)
}

/// A security group with its rules.
pub fn security_group(tx: &Tx<'_>, row: row::SecurityGroup) -> Result<SecurityGroupView> {
    security_group::view(tx, &everybody(), row)
}

/// A server with what belongs to it.
pub fn server(tx: &Tx<'_>, id: &ServerId) -> Result<ServerView> {
    server::find(tx, &everybody(), id, Depth::Usual)
}

/// A volume with what belongs to it.
pub fn volume(tx: &Tx<'_>, row: row::Volume) -> Result<VolumeView> {
    volume::view(tx, row)
}
