//! Routers that answer on their external network for addresses behind them: who may say so, and which
//! prefixes that allows.

use serde_json::json;

use crate::router::scene;
use crate::shape;
use crate::world::network;

#[tokio::test]
async fn part_of_the_external_prefix_may_lie_behind_it() {
    let s = scene().await;
    let (ext, _) = s.external("2001:db8:300::/48").await;
    let gateway = json!({"external_gateway_info": {"network_id": ext}});
    let before = s.change(gateway, 200).await;
    assert_eq!(before["nd_proxy"], false);
    let (_, part) = network(&s.member, "part", "2001:db8:300:1::/64").await;
    let (_, all) = network(&s.member, "all", "2001:db8:300::/48").await;
    let (_, more) = network(&s.member, "more", "2001:db8::/32").await;
    s.leg("add", json!({"subnet_id": part}), 400).await;

    let path = format!("/network/v2.0/routers/{}", s.router);
    let body = json!({"router": {"nd_proxy": true}});
    let changed = s.admin.put(&path, body).await.expect(200);
    assert_eq!(changed["router"]["nd_proxy"], true);
    // Which part it is decides who owns the external network, too.
    s.leg("add", json!({"subnet_id": part}), 403).await;
    let leg = format!("{path}/add_router_interface");
    let body = json!({"subnet_id": part});
    s.admin.put(&leg, body).await.expect(200);
    let (_, other) = network(&s.member, "other", "2001:db8:9::/64").await;
    s.leg("add", json!({"subnet_id": other}), 200).await;
    s.leg("add", json!({"subnet_id": all}), 400).await;
    s.leg("add", json!({"subnet_id": more}), 400).await;
    assert!(s.wanted().await.nd_proxy);

    // While it is needed it stays.
    s.change(json!({"nd_proxy": false}), 400).await;
    s.leg("remove", json!({"subnet_id": part}), 200).await;
    s.change(json!({"nd_proxy": false}), 200).await;
    assert!(!s.wanted().await.nd_proxy);
}

#[tokio::test]
async fn who_owns_the_external_network_decides() {
    let s = scene().await;
    let (ext, _) = s.external("2001:db8:300::/48").await;
    let path = format!("/network/v2.0/routers/{}", s.router);
    let gateway = json!({"network_id": ext});
    let both = json!({"router": {"nd_proxy": true, "external_gateway_info": gateway}});
    let before = s.cloud.dump();
    shape::error(&s.member.put(&path, both.clone()).await, 403, "an update");
    let created = s.member.post("/network/v2.0/routers", both).await;
    shape::error(&created, 403, "a new one");
    let wrong = json!({"router": {"nd_proxy": "maybe"}});
    shape::error(&s.admin.put(&path, wrong).await, 400, "no truth");
    testkit::assert_same(&before, &s.cloud.dump(), "refused");

    // Where it leads nowhere yet, it harms nobody: then the way out is refused.
    s.change(json!({"nd_proxy": true}), 200).await;
    let out = json!({"router": {"external_gateway_info": gateway}});
    shape::error(&s.member.put(&path, out.clone()).await, 403, "a gateway");
    s.admin.put(&path, out).await.expect(200);
    assert!(s.wanted().await.nd_proxy);
}
