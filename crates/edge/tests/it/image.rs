//! Images: their life, their data, and uploads that do not end well.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use testkit::{Client, TestCloud, assert_same};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::shape;
use crate::world::SOMEONE;

async fn queued(client: &Client) -> String {
    let body = json!({"name": "i", "disk_format": "raw", "container_format": "bare"});
    let made = client.post("/image/v2/images", body).await.expect(201);
    assert_eq!(made["status"], "queued");
    made["id"].as_str().unwrap().to_owned()
}

async fn show(client: &Client, id: &str) -> Value {
    client
        .get(&format!("/image/v2/images/{id}"))
        .await
        .expect(200)
}

#[tokio::test]
async fn data_goes_in_and_comes_out() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = queued(&member).await;
    let path = format!("/image/v2/images/{id}/file");
    assert_eq!(member.get(&path).await.status, 204, "no data yet");
    let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    member.upload(&id, data.clone()).await.expect(204);
    let image = show(&member, &id).await;
    assert_eq!(image["status"], "active");
    assert_eq!(image["size"], 300_000);
    assert_eq!(image["os_hash_algo"], "sha512");
    let answer = member.get(&path).await;
    assert_eq!(answer.body, data);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(
        answer.header("content-md5"),
        image["checksum"].as_str().unwrap()
    );
    assert_eq!(answer.header("content-length"), "300000");
    shape::error(&member.upload(&id, "again").await, 409, "data twice");
    member
        .delete(&format!("/image/v2/images/{id}"))
        .await
        .expect(204);
    assert_eq!(cloud.image_files(), [""; 0]);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_image_queued() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = queued(&member).await;
    let (pieces, mut given) = mpsc::channel::<io::Result<Frame<Bytes>>>(1);
    let body = StreamBody::new(stream::poll_fn(move |cx| given.poll_recv(cx)));
    let path = format!("/image/v2/images/{id}/file");
    let request = member
        .request(Method::PUT, &path)
        .header("content-type", "application/octet-stream")
        .stream(body);
    let sending = tokio::spawn(request.try_send());
    for _ in 0..4 {
        let piece = Frame::data(Bytes::from(vec![7; 100_000]));
        pieces.send(Ok(piece)).await.unwrap();
    }
    until(&member, &id, "saving").await;
    pieces
        .send(Err(io::Error::other("the cable was pulled")))
        .await
        .unwrap();
    assert!(sending.await.unwrap().is_err());
    let other = cloud.member().await;
    until(&other, &id, "queued").await;
    assert_eq!(cloud.image_files(), [""; 0]);
    // It can be tried again.
    other.upload(&id, "data").await.expect(204);
    assert_eq!(show(&other, &id).await["status"], "active");
}

#[tokio::test]
async fn a_connection_that_ends_in_an_upload_leaves_the_image_queued() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = queued(&member).await;
    let mut stream = cloud.raw().await;
    let head = format!(
        "PUT /image/v2/images/{id}/file HTTP/1.1\r\nhost: x\r\nx-auth-token: {}\r\ncontent-type: application/octet-stream\r\ncontent-length: 1000\r\n\r\nhalf",
        member.token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    until(&member, &id, "saving").await;
    drop(stream);
    until(&member, &id, "queued").await;
    assert_eq!(cloud.image_files(), [""; 0]);
}

/// Asks until an image has a status: the broken upload is noticed by the server alone.
async fn until(client: &Client, id: &str, status: &str) {
    for _ in 0..10_000 {
        if show(client, id).await["status"] == status {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!(
        "the image never became {status}: {}",
        show(client, id).await
    );
}

#[tokio::test]
async fn a_second_upload_cannot_begin_while_one_runs() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = queued(&member).await;
    let (pieces, mut given) = mpsc::channel::<io::Result<Frame<Bytes>>>(1);
    let body = StreamBody::new(stream::poll_fn(move |cx| given.poll_recv(cx)));
    let path = format!("/image/v2/images/{id}/file");
    let request = member
        .request(Method::PUT, &path)
        .header("content-type", "application/octet-stream")
        .stream(body);
    let sending = tokio::spawn(request.send());
    pieces.send(Ok(Frame::data("first".into()))).await.unwrap();
    until(&member, &id, "saving").await;
    shape::error(
        &member.upload(&id, "second").await,
        409,
        "while another runs",
    );
    drop(pieces);
    sending.await.unwrap().expect(204);
    assert_eq!(member.get(&path).await.body, "first");
}

#[tokio::test]
async fn an_image_deleted_while_its_data_comes_leaves_nothing() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = queued(&member).await;
    let (pieces, mut given) = mpsc::channel::<io::Result<Frame<Bytes>>>(1);
    let body = StreamBody::new(stream::poll_fn(move |cx| given.poll_recv(cx)));
    let request = member
        .request(Method::PUT, &format!("/image/v2/images/{id}/file"))
        .header("content-type", "application/octet-stream")
        .stream(body);
    let sending = tokio::spawn(request.send());
    pieces.send(Ok(Frame::data("first".into()))).await.unwrap();
    until(&member, &id, "saving").await;
    member
        .delete(&format!("/image/v2/images/{id}"))
        .await
        .expect(204);
    drop(pieces);
    let answer = sending.await.unwrap();
    assert!(
        [404, 409, 410].contains(&answer.status.as_u16()),
        "{answer:?}"
    );
    assert_eq!(cloud.image_files(), [""; 0]);
}

#[tokio::test]
async fn an_old_upload_leaves_a_newer_image_of_its_id_alone() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    for breaks_off in [true, false] {
        let id = queued(&member).await;
        let (pieces, mut given) = mpsc::channel::<io::Result<Frame<Bytes>>>(1);
        let body = StreamBody::new(stream::poll_fn(move |cx| given.poll_recv(cx)));
        let path = format!("/image/v2/images/{id}");
        let request = member
            .request(Method::PUT, &format!("{path}/file"))
            .header("content-type", "application/octet-stream")
            .stream(body);
        let sending = tokio::spawn(request.try_send());
        pieces.send(Ok(Frame::data("old".into()))).await.unwrap();
        until(&member, &id, "saving").await;
        member.delete(&path).await.expect(204);
        let again = json!({"id": id, "container_format": "bare", "disk_format": "raw"});
        member.post("/image/v2/images", again).await.expect(201);
        member.upload(&id, "new").await.expect(204);
        if breaks_off {
            let _ = pieces.send(Err(io::ErrorKind::BrokenPipe.into())).await;
        }
        drop(pieces);
        let _ = sending.await.unwrap();
        until(&member, &id, "active").await;
        assert_eq!(member.get(&format!("{path}/file")).await.body, "new");
    }
}

#[tokio::test]
async fn data_past_the_limit_is_refused() {
    let cloud = TestCloud::with(|s| s.max_image_bytes = 100_000).await;
    let member = cloud.member().await;
    let id = queued(&member).await;
    shape::error(
        &member.upload(&id, vec![0; 100_001]).await,
        413,
        "announced",
    );
    let piece = Bytes::from(vec![0; 60_000]);
    let frames = [
        Ok::<_, io::Error>(Frame::data(piece.clone())),
        Ok(Frame::data(piece)),
    ];
    let request = member
        .request(Method::PUT, &format!("/image/v2/images/{id}/file"))
        .header("content-type", "application/octet-stream")
        .stream(StreamBody::new(stream::iter(frames)));
    shape::error(&request.send().await, 413, "in pieces");
    until(&member, &id, "queued").await;
    assert_eq!(cloud.image_files(), [""; 0]);
    member.upload(&id, vec![0; 100_000]).await.expect(204);
}

#[tokio::test]
async fn records_are_created_and_changed_within_rules() {
    let cloud = TestCloud::start().await;
    let (member, admin) = (cloud.member().await, cloud.admin().await);
    let bare = json!({"name": "bare"});
    let made = member.post("/image/v2/images", bare).await.expect(201);
    let formless = made["id"].as_str().unwrap();
    shape::error(&member.upload(formless, "x").await, 400, "without formats");
    let id = cloud.image(&member, "i").await;
    let before = cloud.dump();
    let create = [
        (json!({"visibility": "public"}), 403),
        (json!({"visibility": "secret"}), 400),
        (json!({"disk_format": "floppy"}), 400),
        (json!({"container_format": "box"}), 400),
        (json!({"id": "nonsense"}), 400),
        (json!({"id": id}), 409),
        (json!({"owner": SOMEONE}), 403),
        (json!({"status": "active"}), 403),
        (json!({"checksum": "0"}), 403),
        (json!({"name": "x".repeat(256)}), 400),
        (json!({"name": "bell\u{7}"}), 400),
        (json!({"tags": ["x".repeat(256)]}), 400),
        (json!({"min_disk": -1}), 400),
        (json!({"property": 7}), 400),
        (json!({"property": "x".repeat(70_000)}), 413),
    ];
    for (body, expected) in create {
        let answer = member.post("/image/v2/images", body.clone()).await;
        shape::error(&answer, expected, &body.to_string());
    }
    let patch = [
        (
            json!([{"op": "replace", "path": "/visibility", "value": "public"}]),
            403,
        ),
        (
            json!([{"op": "replace", "path": "/visibility", "value": "secret"}]),
            400,
        ),
        (
            json!([{"op": "replace", "path": "/status", "value": "queued"}]),
            403,
        ),
        (
            json!([{"op": "replace", "path": "/id", "value": SOMEONE}]),
            403,
        ),
        (json!([{"op": "replace", "path": "/size", "value": 1}]), 403),
        (
            json!([{"op": "replace", "path": "/disk_format", "value": "aki"}]),
            403,
        ),
        (json!([{"op": "remove", "path": "/name"}]), 403),
        (json!([{"op": "remove", "path": "/nothing"}]), 409),
        (json!([{"op": "move", "path": "/name", "from": "/x"}]), 400),
        (json!([{"op": "add", "path": "/name"}]), 400),
        (
            json!([{"op": "add", "path": "/protected", "value": "x"}]),
            400,
        ),
        (json!([{"op": "add", "path": "/tags", "value": [7]}]), 400),
        (json!([{"op": "add"}]), 400),
        (json!({"op": "add"}), 400),
        (json!("x"), 400),
        // The first change is fine, the second is not: neither is kept.
        (
            json!([
                {"op": "replace", "path": "/name", "value": "other"},
                {"op": "remove", "path": "/nothing"},
            ]),
            409,
        ),
    ];
    for (body, expected) in patch {
        let answer = member.patch_image(&id, body.clone()).await;
        shape::error(&answer, expected, &body.to_string());
    }
    assert_same(&before, &cloud.dump(), "refused images");
    let kept = json!([
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/os_distro", "value": "debian"},
        {"op": "add", "path": "/protected", "value": true},
    ]);
    let image = member.patch_image(&id, kept).await.expect(200);
    assert_eq!(
        (&image["name"], &image["os_distro"]),
        (&json!("new"), &json!("debian"))
    );
    let path = format!("/image/v2/images/{id}");
    shape::error(&member.delete(&path).await, 403, "protected");
    let public = json!([{"op": "replace", "path": "/visibility", "value": "public"}]);
    admin.patch_image(&id, public).await.expect(200);
    let stranger = cloud.stranger().await;
    stranger.get(&path).await.expect(200);
    shape::error(&stranger.delete(&path).await, 403, "seen, not owned");
    let rename = json!([{"op": "replace", "path": "/name", "value": "mine"}]);
    shape::error(
        &stranger.patch_image(&id, rename).await,
        403,
        "seen, not owned",
    );
}

#[tokio::test]
async fn a_restart_voids_what_was_half_done() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let id = cloud.image(&member, "kept").await;
    // The first as a deletion leaves it that ended between its commit and the file.
    for stray in [SOMEONE, "stray", &format!("{id}.part")] {
        std::fs::write(cloud.images().join(stray), "x").unwrap();
    }
    std::fs::create_dir(cloud.images().join("lost+found")).unwrap();
    cloud.cloud.recover_images().unwrap();
    // What never had a name of ours is not ours to remove.
    assert_eq!(cloud.image_files(), [id.as_str(), "lost+found", "stray"]);
    assert_eq!(show(&member, &id).await["status"], "active");
}
