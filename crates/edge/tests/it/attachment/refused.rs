//! What is refused of volumes and servers.

use serde_json::{Value, json};

use super::{SERVERS, VOLUMES, scene};
use crate::shape;
use crate::world::{SOMEONE, act, id};

#[tokio::test]
async fn an_attached_volume_is_not_deleted_and_not_given_away() {
    let s = scene().await;
    let (one, two, volume) = (s.running().await, s.running().await, s.volume().await);
    s.attached(&one, &volume).await;
    let before = s.cloud.dump();
    let delete = s.member.delete(&format!("{VOLUMES}/{volume}")).await;
    let why = shape::error(&delete, 400, "it is attached");
    assert!(why.contains("in-use"), "{why}");
    shape::error(&s.attach(&two, &volume).await, 400, "it is attached");
    shape::error(&s.attach(&one, &volume).await, 400, "it is attached");
    let extend = json!({"os-extend": {"new_size": 2}});
    let path = format!("{VOLUMES}/{volume}/action");
    shape::error(&s.member.post(&path, extend).await, 400, "attached");
    shape::error(&s.detach(&two, &volume).await, 404, "not its own");
    let swap = format!("{SERVERS}/{one}/os-volume_attachments/{volume}");
    let body = json!({"volumeAttachment": {"volumeId": SOMEONE}});
    shape::error(&s.member.put(&swap, body).await, 400, "no swap");
    testkit::assert_same(&before, &s.cloud.dump(), "what is refused");
}

#[tokio::test]
async fn wrong_attachments_are_refused() {
    let s = scene().await;
    let (server, volume) = (s.running().await, s.volume().await);
    let path = format!("{SERVERS}/{server}/os-volume_attachments");
    let before = s.cloud.dump();
    for (attachment, expected) in [
        (json!({}), 400),
        (json!({"volumeId": "x"}), 400),
        (json!({"volumeId": SOMEONE}), 404),
        (json!({"volumeId": volume, "device": "/dev/null"}), 400),
        (json!({"volumeId": volume, "device": "/dev/vda"}), 400),
        (json!({"volumeId": volume, "tag": "x"}), 400),
    ] {
        let body = json!({"volumeAttachment": attachment});
        let answer = s.member.post(&path, body).await;
        shape::error(&answer, expected, &attachment.to_string());
    }
    let stranger = s.cloud.stranger().await;
    let body = json!({"volumeAttachment": {"volumeId": volume}});
    let answer = stranger.post(&path, body.clone()).await;
    shape::error(&answer, 404, "a stranger's server");
    testkit::assert_same(&before, &s.cloud.dump(), "what is refused");
    // An administrator sees both, and they are of two projects.
    let admin = s.cloud.admin().await;
    let made = admin.post(VOLUMES, json!({"volume": {"size": 1}})).await;
    let foreign = id(&made.expect(202));
    s.node.volume_ready(&foreign).await;
    let body = json!({"volumeAttachment": {"volumeId": foreign}});
    shape::error(&admin.post(&path, body.clone()).await, 400, "of another");
    shape::error(&s.member.post(&path, body).await, 404, "not seen");
    let building = crate::world::server(&s.member, &s.image, &s.network).await;
    shape::error(&s.attach(&building, &volume).await, 409, "it builds");
}

#[tokio::test]
async fn a_locked_server_keeps_what_it_has() {
    let s = scene().await;
    let (server, held, volume) = (s.running().await, s.volume().await, s.volume().await);
    s.attached(&server, &held).await;
    assert_eq!(act(&s.member, &server, json!({"lock": null})).await, 202);
    shape::error(&s.attach(&server, &volume).await, 409, "it is locked");
    shape::error(&s.detach(&server, &held).await, 409, "it is locked");
    assert_eq!(act(&s.member, &server, json!({"unlock": null})).await, 202);
    assert_eq!(s.detach(&server, &held).await.status, 202);
}

#[tokio::test]
async fn mappings_that_make_no_sense_are_refused() {
    let s = scene().await;
    let (volume, image) = (s.volume().await, s.image.clone());
    let before = s.cloud.dump();
    let local = json!({
        "uuid": image, "source_type": "image", "destination_type": "local", "boot_index": 0,
    });
    let root = json!({
        "uuid": image, "source_type": "image", "destination_type": "volume", "boot_index": 0,
        "volume_size": 1,
    });
    let with = |base: &Value, more: Value| {
        let mut disk = base.clone();
        let fields = disk.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        disk
    };
    let data = json!({"uuid": volume, "source_type": "volume", "destination_type": "volume"});
    let given = json!({"imageRef": image});
    let cases = [
        (json!([root]), given.clone()),
        (json!([root, local]), json!({})),
        (json!([root, root]), json!({})),
        (json!([local, local]), json!({})),
        (json!([data]), json!({})),
        (json!([data]), json!({"imageRef": ""})),
        (
            json!([with(&root, json!({"boot_index": 1}))]),
            given.clone(),
        ),
        (json!([with(&root, json!({"boot_index": "x"}))]), json!({})),
        (
            json!([with(&root, json!({"volume_size": null}))]),
            json!({}),
        ),
        (json!([with(&root, json!({"volume_size": 0}))]), json!({})),
        (json!([with(&root, json!({"volume_size": -1}))]), json!({})),
        (json!([with(&root, json!({"uuid": "x"}))]), json!({})),
        (json!([with(&root, json!({"uuid": SOMEONE}))]), json!({})),
        (json!([with(&root, json!({"uuid": null}))]), json!({})),
        (json!([with(&root, json!({"tag": "x"}))]), json!({})),
        (json!([with(&root, json!({"disk_bus": "ide"}))]), json!({})),
        (
            json!([with(&root, json!({"device_type": "cdrom"}))]),
            json!({}),
        ),
        (
            json!([with(&root, json!({"source_type": "snapshot"}))]),
            json!({}),
        ),
        (
            json!([with(&root, json!({"source_type": "blank"}))]),
            json!({}),
        ),
        (
            json!([with(&root, json!({"source_type": "nothing"}))]),
            json!({}),
        ),
        (
            json!([with(&local, json!({"uuid": SOMEONE}))]),
            given.clone(),
        ),
        (
            json!([with(&local, json!({"boot_index": -1}))]),
            given.clone(),
        ),
        (
            json!([{"source_type": "blank", "destination_type": "local", "boot_index": -1,
                "guest_format": "swap", "volume_size": 1}]),
            given.clone(),
        ),
        (
            json!([with(&data, json!({"uuid": SOMEONE}))]),
            given.clone(),
        ),
        (json!([data, data]), given.clone()),
        (
            json!([with(&data, json!({"device_name": "/dev/vda"}))]),
            given.clone(),
        ),
        (json!("x"), given),
    ];
    for (disks, more) in cases {
        let answer = s.boot(disks.clone(), more.clone()).await;
        shape::error(&answer, 400, &format!("{disks} {more}"));
        testkit::assert_same(&before, &s.cloud.dump(), &disks.to_string());
    }
}
