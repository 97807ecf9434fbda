//! `meta_data.json`: who the guest is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Server;
use serde_json::{Map, Value, json};

use super::SEED_SIZE;

/// The document with the keys that nova gives it in this version of the tree.
pub(super) fn render(server: &Server, version: &str, seed: &[u8; SEED_SIZE]) -> Value {
    let mut document = json!({
        "uuid": server.id.to_string(),
        "hostname": server.hostname,
        "name": server.name,
        "launch_index": server.launch_index,
        "availability_zone": server.availability_zone,
        "meta": object(&server.metadata),
    });
    if !server.public_keys.is_empty() {
        let key =
            |(name, data): &(String, String)| json!({"name": name, "type": "ssh", "data": data});
        document["public_keys"] = object(&server.public_keys);
        document["keys"] = server.public_keys.iter().map(key).collect();
    }
    let later = [
        ("2013-04-04", "random_seed", json!(STANDARD.encode(seed))),
        ("2015-10-15", "project_id", json!(server.project)),
        ("2016-06-30", "devices", json!([])),
        ("2020-10-14", "dedicated_cpus", json!([])),
    ];
    for (since, key, value) in later {
        if version >= since {
            document[key] = value;
        }
    }
    document
}

fn object(pairs: &[(String, String)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::tests::sample;

    #[test]
    fn golden() {
        let document = render(&sample().server, "latest", &[0; SEED_SIZE]);
        assert_eq!(
            document,
            json!({
                "uuid": "00000000-0000-0000-0000-00000000005e",
                "hostname": "web-1",
                "name": "Web 1",
                "launch_index": 0,
                "availability_zone": "nova",
                "project_id": "0123456789abcdef0123456789abcdef",
                "public_keys": {"laptop": "ssh-ed25519 AAAA me"},
                "keys": [{"name": "laptop", "type": "ssh", "data": "ssh-ed25519 AAAA me"}],
                "meta": {"role": "web"},
                "random_seed": "A".repeat(683) + "=",
                "devices": [],
                "dedicated_cpus": [],
            })
        );
    }

    #[test]
    fn old_versions_know_less() {
        let document = render(&sample().server, "2012-08-10", &[0; SEED_SIZE]);
        for key in ["random_seed", "project_id", "devices", "dedicated_cpus"] {
            assert!(document.get(key).is_none(), "{key}");
        }
    }
}
