//! Answers that are remembered: new after each write, and never another caller's.

use serde_json::{Value, json};
use testkit::{Client, TestCloud};

async fn names(client: &Client) -> Vec<String> {
    let images = client.get("/image/v2/images").await.expect(200);
    let names = images["images"].as_array().unwrap().iter();
    names
        .map(|i| i["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn create(client: &Client, name: &str) -> Value {
    let body = json!({"name": name, "disk_format": "raw", "container_format": "bare"});
    client.post("/image/v2/images", body).await.expect(201)
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_look() {
    let cloud = TestCloud::start().await;
    let (member, stranger) = (cloud.member().await, cloud.stranger().await);
    assert!(names(&member).await.is_empty());
    for round in 0..20 {
        let name = format!("i{round}");
        let id = create(&member, &name).await["id"].clone();
        assert_eq!(names(&member).await, [name.as_str()]);
        assert_eq!(names(&member).await, [name.as_str()]);
        assert!(
            names(&stranger).await.is_empty(),
            "another project's answer"
        );
        let path = format!("/image/v2/images/{}", id.as_str().unwrap());
        assert_eq!(member.delete(&path).await.status, 204);
        assert!(names(&member).await.is_empty());
        assert_eq!(member.get(&path).await.status, 404);
    }
}

#[tokio::test]
async fn a_token_that_was_taken_back_finds_nothing_remembered() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    create(&member, "i").await;
    assert_eq!(names(&member).await, ["i"]);
    let request = member.request(http::Method::DELETE, "/identity/v3/auth/tokens");
    let answer = request
        .header("x-subject-token", member.token())
        .send()
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(member.get("/image/v2/images").await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_read_what_they_wrote_while_others_look() {
    let cloud = TestCloud::start().await;
    let member = cloud.member().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let member = member.clone();
        writers.spawn(async move {
            for round in 0..25 {
                let name = format!("w{writer}-{round}");
                create(&member, &name).await;
                let seen = names(&member).await;
                assert!(
                    seen.contains(&name),
                    "{name} is missing after its own creation"
                );
            }
        });
    }
    writers.join_all().await;
}
