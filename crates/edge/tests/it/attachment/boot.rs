//! Servers whose disks are volumes.

use serde_json::json;

use super::{SERVERS, VOLUMES, scene};
use crate::shape;
use crate::world::{act, id, server_now, status};

#[tokio::test]
async fn a_server_boots_from_a_new_volume_of_an_image() {
    let s = scene().await;
    let disks = json!([{
        "uuid": s.image, "source_type": "image", "destination_type": "volume",
        "boot_index": "0", "volume_size": 2, "delete_on_termination": true,
    }, {
        "source_type": "blank", "destination_type": "volume", "boot_index": -1,
        "volume_size": "3", "delete_on_termination": false,
    }]);
    let server = id(&s.boot(disks, json!({"imageRef": ""})).await.expect(202));
    assert_eq!(
        status(&s.member, &server).await,
        "BUILD block_device_mapping"
    );
    assert!(s.node.wanted_server(&server).await.is_none());
    let view = server_now(&s.member, &server).await;
    assert_eq!(view["image"], "");
    let volumes = view["os-extended-volumes:volumes_attached"].clone();
    let ids: Vec<&str> = volumes
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["id"].as_str().unwrap())
        .collect();
    let kept = s.node.wanted_volume(ids[0]).await.unwrap();
    assert_eq!((kept.size_gib, kept.image.is_some()), (2, true));
    let blank = s.node.wanted_volume(ids[1]).await.unwrap();
    assert_eq!((blank.size_gib, blank.image), (3, None));
    s.node.volume_ready(ids[0]).await;
    assert_eq!(
        status(&s.member, &server).await,
        "BUILD block_device_mapping"
    );
    s.node.volume_ready(ids[1]).await;
    assert_eq!(status(&s.member, &server).await, "BUILD scheduling");
    let wanted = s.node.wanted_server(&server).await.unwrap();
    assert_eq!(wanted.boot.disk, None);
    let roots: Vec<bool> = wanted.attachments.iter().map(|a| a.root).collect();
    assert_eq!(roots, [true, false]);
    s.node.boot_finishes(&server).await;
    assert_eq!(status(&s.member, &server).await, "ACTIVE");
    let now = s.volume_now(ids[0]).await;
    assert_eq!(
        (&now["status"], &now["bootable"]),
        (&json!("in-use"), &json!("true"))
    );
    assert_eq!(now["attachments"][0]["device"], "/dev/vda");
    assert_eq!(s.last_action(&server, "create").await.0, json!("Success"));
    shape::error(&s.detach(&server, ids[0]).await, 400, "its root");

    s.member
        .delete(&format!("{SERVERS}/{server}"))
        .await
        .expect(204);
    s.node.guest_gone(&server).await;
    assert_eq!(s.volume_status(ids[0]).await, "deleting");
    assert_eq!(s.volume_status(ids[1]).await, "available");
    assert!(s.node.wanted_volume(ids[0]).await.is_none());
}

#[tokio::test]
async fn a_server_boots_from_a_volume_that_is_there() {
    let s = scene().await;
    let blank = s.volume().await;
    let root = |id: &str| {
        json!([{
            "uuid": id, "source_type": "volume", "destination_type": "volume", "boot_index": 0,
        }])
    };
    let answer = s.boot(root(&blank), json!({})).await;
    let why = shape::error(&answer, 400, "it is blank");
    assert!(why.contains("not bootable"), "{why}");
    let body = json!({"volume": {"size": 1, "imageRef": s.image}});
    let volume = id(&s.member.post(VOLUMES, body).await.expect(202));
    let answer = s.boot(root(&volume), json!({})).await;
    shape::error(&answer, 400, "it is being made");
    s.node.volume_ready(&volume).await;
    let two = json!({"min_count": 2});
    shape::error(&s.boot(root(&volume), two).await, 400, "two of them");
    // What its image was is remembered: the image may go.
    let image = format!("/image/v2/images/{}", s.image);
    assert_eq!(s.member.delete(&image).await.status, 204);
    let server = id(&s.boot(root(&volume), json!({})).await.expect(202));
    assert_eq!(s.volume_status(&volume).await, "attaching");
    s.node.boot_finishes(&server).await;
    assert_eq!(status(&s.member, &server).await, "ACTIVE");
    assert_eq!(s.volume_status(&volume).await, "in-use");
    s.member
        .delete(&format!("{SERVERS}/{server}"))
        .await
        .expect(204);
    s.node.guest_gone(&server).await;
    assert_eq!(s.volume_status(&volume).await, "available");
}

#[tokio::test]
async fn a_server_whose_volume_fails_says_why() {
    let s = scene().await;
    let disks = |size: u32| {
        json!([{
            "uuid": s.image, "source_type": "image", "destination_type": "volume",
            "boot_index": 0, "volume_size": size, "delete_on_termination": true,
        }])
    };
    let server = id(&s.boot(disks(1), json!({})).await.expect(202));
    let view = server_now(&s.member, &server).await;
    let volume = view["os-extended-volumes:volumes_attached"][0]["id"].clone();
    let volume = volume.as_str().unwrap();
    s.node.volume_fails(volume, "the image is damaged").await;
    let view = server_now(&s.member, &server).await;
    assert_eq!(view["status"], "ERROR");
    let why = view["fault"]["message"].as_str().unwrap();
    assert!(why.contains("the image is damaged"), "{why}");
    assert_eq!(
        s.last_action(&server, "create").await,
        (json!("Error"), json!(why))
    );
    assert_eq!(s.volume_status(volume).await, "error");
    let hard = json!({"reboot": {"type": "HARD"}});
    assert_eq!(act(&s.member, &server, hard).await, 409);
    s.member
        .delete(&format!("{SERVERS}/{server}"))
        .await
        .expect(204);
    s.node.guest_gone(&server).await;
    s.node.volume_gone(volume).await;
    let large = id(&s.boot(disks(5000), json!({})).await.expect(202));
    let view = server_now(&s.member, &large).await;
    let why = view["fault"]["message"].as_str().unwrap();
    assert!(why.contains("5000 GiB"), "{why}");
    s.member
        .delete(&format!("{SERVERS}/{large}"))
        .await
        .expect(204);
    s.node.guest_gone(&large).await;
    let dump = s.cloud.dump();
    assert_eq!((dump.count("volume"), dump.count("attachment")), (0, 0));
}

/// A volume that was asked for with the server, and that the node cannot plug.
#[tokio::test]
async fn a_disk_that_fails_beside_the_image_leaves_the_server_running() {
    let s = scene().await;
    let volume = s.volume().await;
    let disks = json!([
        {"uuid": s.image, "source_type": "image", "destination_type": "local", "boot_index": 0},
        {"uuid": volume, "source_type": "volume", "destination_type": "volume"},
    ]);
    let more = json!({"imageRef": s.image});
    let server = id(&s.boot(disks, more).await.expect(202));
    assert!(
        s.node
            .wanted_server(&server)
            .await
            .unwrap()
            .boot
            .disk
            .is_some()
    );
    s.node.attach_fails(&server, "CHAP was refused").await;
    assert_eq!(status(&s.member, &server).await, "ACTIVE");
    let told = s.last_action(&server, "create").await;
    assert_eq!(told, (json!("Error"), json!("CHAP was refused")));
    s.node.boot_finishes(&server).await;
    assert_eq!(s.volume_status(&volume).await, "available");
}
