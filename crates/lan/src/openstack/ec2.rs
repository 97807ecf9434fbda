//! `ec2/VERSION/meta-data.json`: what a config drive says in Amazon's words.

use model::Server;
use serde_json::{Value, json};

/// The document; the tree of `openstack/` tells more.
pub(super) fn render(server: &Server) -> Value {
    let keys = server.public_keys.iter().enumerate();
    let keys = keys.map(|(index, (name, key))| {
        (
            index.to_string(),
            json!({"_name": format!("{index}={name}"), "openssh-key": key}),
        )
    });
    json!({
        "instance-id": format!("i-{}", &server.id.short()),
        "hostname": server.hostname,
        "local-hostname": server.hostname,
        "placement": {"availability-zone": server.availability_zone},
        "public-keys": Value::Object(keys.collect()),
    })
}
