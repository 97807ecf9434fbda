//! Projects.

use model::ServerGroupId;
use serde_json::json;
use testkit::{Person, TestCloud};

use crate::shape;
use crate::world::{World, id};

#[tokio::test]
async fn a_project_goes_once_it_owns_nothing() {
    let cloud = TestCloud::start().await;
    let node = cloud.node("n1").await;
    let (admin, owner) = (cloud.admin().await, cloud.stranger().await);
    let project = format!(
        "/identity/v3/projects/{}",
        cloud.project_id(Person::Stranger)
    );
    for (path, body) in [
        (
            "/compute/v2.1/os-server-groups",
            json!({"server_group": {"name": "g", "policies": ["affinity"]}}),
        ),
        ("/volume/v3/volumes", json!({"volume": {"size": 1}})),
        ("/network/v2.0/networks", json!({"network": {}})),
        ("/network/v2.0/routers", json!({"router": {}})),
        (
            "/image/v2/images",
            json!({"container_format": "bare", "disk_format": "raw"}),
        ),
    ] {
        let made = owner.post(path, body).await;
        assert!(made.status.is_success(), "{made:?}");
        let made = made.json();
        let thing = made["id"].as_str().map_or_else(|| id(&made), str::to_owned);
        shape::error(&admin.delete(&project).await, 409, path);
        let gone = owner.delete(&format!("{path}/{thing}")).await;
        assert!(gone.status.is_success(), "{gone:?}");
        if path.starts_with("/volume/") {
            node.volume_gone(&thing).await;
        }
    }
    admin.delete(&project).await.expect(204);
}

/// An administrator may have made it of another project's port.
#[tokio::test]
async fn a_project_keeps_its_trunks() {
    let cloud = TestCloud::start().await;
    let admin = cloud.admin().await;
    let owner = cloud.project_id(Person::Stranger);
    let (network, _) = crate::world::network(&admin, "net", "2001:db8:a::/64").await;
    let body = json!({"port": {"network_id": network}});
    let port = id(&admin.post("/network/v2.0/ports", body).await.expect(201));
    let body = json!({"trunk": {"port_id": port, "project_id": owner}});
    let trunk = id(&admin.post("/network/v2.0/trunks", body).await.expect(201));
    let project = format!("/identity/v3/projects/{owner}");
    let why = shape::error(&admin.delete(&project).await, 409, "it has a trunk");
    assert!(why.contains("trunks"), "{why}");
    let trunk = format!("/network/v2.0/trunks/{trunk}");
    admin.delete(&trunk).await.expect(204);
    admin.delete(&project).await.expect(204);
}

#[tokio::test]
async fn what_is_of_no_project_is_found() {
    let world = World::new().await;
    let found = || {
        let all = world.cloud.findings().into_iter();
        let owned = all.filter(|what| what.contains("is of project"));
        owned.collect::<Vec<_>>()
    };
    assert_eq!(found(), [""; 0]);
    let body = json!({"network": {"project_id": "nowhere"}});
    let made = world.admin.post("/network/v2.0/networks", body).await;
    let network = id(&made.expect(201));
    let what = format!("network {network} is of project nowhere, which is not there");
    assert_eq!(found(), std::slice::from_ref(&what));
    // No request can make one for another project.
    let group = store::row::ServerGroup {
        id: ServerGroupId::random(),
        project_id: "nowhere".into(),
        user_id: "u".into(),
        name: "g".to_owned(),
        policy: "affinity".to_owned(),
        created_ms: 0,
    };
    let store = world.cloud.cloud.store();
    store.write(|tx| tx.insert(&group)).unwrap();
    let other = format!(
        "server group {} is of project nowhere, which is not there",
        group.id
    );
    assert_eq!(found(), [what, other]);
}
