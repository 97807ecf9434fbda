//! What is asked of the cloud, and how one sees how far it has come.

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;

pub(super) const NETWORKS: &str = "/network/v2.0/networks";
const SUBNETS: &str = "/network/v2.0/subnets";
const PORTS: &str = "/network/v2.0/ports";
const ROUTERS: &str = "/network/v2.0/routers";
const TRUNKS: &str = "/network/v2.0/trunks";
const POLICIES: &str = "/network/v2.0/qos/policies";
const SERVERS: &str = "/compute/v2.1/servers";
const DETAILS: &str = "/compute/v2.1/servers/detail";
const VOLUMES: &str = "/volume/v3/volumes";
const VOLUME_DETAILS: &str = "/volume/v3/volumes/detail";

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Done,
    Undone,
    UnderWay,
}

type Request = (Method, String, Option<Value>);

/// Something that is asked for. Both functions return `None` when nobody answers.
pub(super) struct Operation {
    pub(super) name: &'static str,
    request: fn(&mut Api) -> Option<Request>,
    look: fn(&mut Api) -> Option<State>,
}

impl Operation {
    /// Asks; `None` when nobody answers.
    pub(super) fn ask(&self, api: &mut Api) -> Option<()> {
        let (method, path, body) = (self.request)(api)?;
        let (status, said) = api.ask(method, &path, body)?;
        assert!(status < 300, "{}: {path}: {status} {said}", self.name);
        Some(())
    }

    /// Looks.
    pub(super) fn look(&self, api: &mut Api) -> Option<State> {
        (self.look)(api)
    }
}

fn post(path: impl Into<String>, body: Value) -> Option<Request> {
    Some((Method::POST, path.into(), Some(body)))
}

fn delete(api: &mut Api, list: &str, name: &str) -> Option<Request> {
    Some((
        Method::DELETE,
        format!("{list}/{}", api.id(list, name)?),
        None,
    ))
}

fn there(found: Option<Value>) -> State {
    match found {
        Some(_) => State::Done,
        None => State::Undone,
    }
}

fn gone(found: Option<Value>) -> State {
    match found {
        Some(_) => State::Undone,
        None => State::Done,
    }
}

fn either(done: bool) -> State {
    if done { State::Done } else { State::Undone }
}

/// A server that is there settles when nothing is done to it any more.
fn server(found: Option<Value>, there: State) -> State {
    let Some(server) = found else {
        return either(there == State::Undone);
    };
    assert_ne!(server["status"], "ERROR", "{server}");
    match server["OS-EXT-STS:task_state"].is_null() && server["status"] == "ACTIVE" {
        true => there,
        false => State::UnderWay,
    }
}

fn volume(found: Option<Value>, there: State) -> State {
    let Some(volume) = found else {
        return either(there == State::Undone);
    };
    let status = volume["status"].as_str().unwrap();
    assert!(!status.starts_with("error"), "{volume}");
    match status {
        "available" | "in-use" => there,
        _ => State::UnderWay,
    }
}

/// One whose port is on a running server settles when the node has all of it.
fn trunk(found: Option<Value>) -> State {
    match found {
        None => State::Undone,
        Some(trunk) if trunk["status"] == "ACTIVE" => State::Done,
        Some(_) => State::UnderWay,
    }
}

fn has_leg(api: &mut Api) -> Option<bool> {
    let router = api.id(ROUTERS, "router-m")?;
    let (_, found) = api.ask(Method::GET, &format!("{PORTS}?device_id={router}"), None)?;
    Some(!found["ports"].as_array().unwrap().is_empty())
}

/// A network with a subnet, a router with a leg in it, a port; and all of it gone again.
pub(super) fn networks() -> Vec<Operation> {
    vec![
        Operation {
            name: "network create",
            request: |_| post(NETWORKS, json!({"network": {"name": "net-m"}})),
            look: |api| api.find(NETWORKS, "net-m").map(there),
        },
        Operation {
            name: "subnet create",
            request: |api| {
                let network = api.id(NETWORKS, "net-m")?;
                post(
                    SUBNETS,
                    json!({"subnet": {"name": "sub-m", "network_id": network, "ip_version": 6,
                           "cidr": "2001:db8:2::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}}),
                )
            },
            look: |api| api.find(SUBNETS, "sub-m").map(there),
        },
        Operation {
            name: "router create",
            request: |_| post(ROUTERS, json!({"router": {"name": "router-m"}})),
            look: |api| api.find(ROUTERS, "router-m").map(there),
        },
        Operation {
            name: "router add interface",
            request: |api| {
                let (router, subnet) = (api.id(ROUTERS, "router-m")?, api.id(SUBNETS, "sub-m")?);
                let path = format!("{ROUTERS}/{router}/add_router_interface");
                Some((Method::PUT, path, Some(json!({"subnet_id": subnet}))))
            },
            look: |api| has_leg(api).map(either),
        },
        Operation {
            name: "port create",
            request: |api| {
                let network = api.id(NETWORKS, "net-m")?;
                post(
                    PORTS,
                    json!({"port": {"name": "port-m", "network_id": network}}),
                )
            },
            look: |api| api.find(PORTS, "port-m").map(there),
        },
        Operation {
            name: "port delete",
            request: |api| delete(api, PORTS, "port-m"),
            look: |api| api.find(PORTS, "port-m").map(gone),
        },
        Operation {
            name: "router remove interface",
            request: |api| {
                let (router, subnet) = (api.id(ROUTERS, "router-m")?, api.id(SUBNETS, "sub-m")?);
                let path = format!("{ROUTERS}/{router}/remove_router_interface");
                Some((Method::PUT, path, Some(json!({"subnet_id": subnet}))))
            },
            look: |api| has_leg(api).map(|there| either(!there)),
        },
        Operation {
            name: "router delete",
            request: |api| delete(api, ROUTERS, "router-m"),
            look: |api| api.find(ROUTERS, "router-m").map(gone),
        },
        Operation {
            name: "network delete",
            request: |api| delete(api, NETWORKS, "net-m"),
            look: |api| api.find(NETWORKS, "net-m").map(gone),
        },
    ]
}

/// A server, made, rebooted and deleted.
pub(super) fn servers() -> Vec<Operation> {
    vec![
        Operation {
            name: "server create",
            request: |api| {
                let (image, network) = (
                    api.id("/image/v2/images", "blank")?,
                    api.id(NETWORKS, "private")?,
                );
                let flavor = api.id("/compute/v2.1/flavors", "m1.nano")?;
                post(
                    SERVERS,
                    json!({"server": {"name": "server-m", "imageRef": image, "flavorRef": flavor,
                           "networks": [{"uuid": network}]}}),
                )
            },
            look: |api| Some(server(api.find(DETAILS, "server-m")?, State::Done)),
        },
        Operation {
            name: "server reboot",
            request: |api| {
                let id = api.id(SERVERS, "server-m")?;
                post(
                    format!("{SERVERS}/{id}/action"),
                    json!({"reboot": {"type": "HARD"}}),
                )
            },
            look: |api| Some(server(api.find(DETAILS, "server-m")?, State::Done)),
        },
        Operation {
            name: "server delete",
            request: |api| delete(api, SERVERS, "server-m"),
            look: |api| Some(server(api.find(DETAILS, "server-m")?, State::Undone)),
        },
    ]
}

const SERVER: &str = "one";

fn in_use(api: &mut Api) -> Option<Option<bool>> {
    let volume = api.find(VOLUME_DETAILS, "volume-m")?.unwrap();
    Some(match volume["status"].as_str().unwrap() {
        "in-use" => Some(true),
        "available" => Some(false),
        status => {
            assert!(!status.starts_with("error"), "{volume}");
            None
        }
    })
}

fn holds_port(api: &mut Api) -> Option<bool> {
    Some(api.find(PORTS, "port-m")?.unwrap()["device_id"] != "")
}

fn limit_port(api: &mut Api, policy: Value) -> Option<Request> {
    let path = format!("{PORTS}/{}", api.id(PORTS, "port-m")?);
    let body = json!({"port": {"qos_policy_id": policy}});
    Some((Method::PUT, path, Some(body)))
}

fn is_limited(api: &mut Api) -> Option<bool> {
    Some(!api.find(PORTS, "port-m")?.unwrap()["qos_policy_id"].is_null())
}

/// A volume and a port, made, joined to a running server, the port limited and freed, with a VLAN and without, taken from it, and deleted.
pub(super) fn attachments() -> Vec<Operation> {
    vec![
        Operation {
            name: "volume create",
            request: |_| post(VOLUMES, json!({"volume": {"name": "volume-m", "size": 1}})),
            look: |api| Some(volume(api.find(VOLUME_DETAILS, "volume-m")?, State::Done)),
        },
        Operation {
            name: "volume attach",
            request: |api| {
                let (server, volume) = (api.id(SERVERS, SERVER)?, api.id(VOLUMES, "volume-m")?);
                let path = format!("{SERVERS}/{server}/os-volume_attachments");
                post(path, json!({"volumeAttachment": {"volumeId": volume}}))
            },
            look: |api| Some(in_use(api)?.map_or(State::UnderWay, either)),
        },
        Operation {
            name: "port create",
            request: |api| {
                let network = api.id(NETWORKS, "private")?;
                post(
                    PORTS,
                    json!({"port": {"name": "port-m", "network_id": network}}),
                )
            },
            look: |api| api.find(PORTS, "port-m").map(there),
        },
        Operation {
            name: "port attach",
            request: |api| {
                let (server, port) = (api.id(SERVERS, SERVER)?, api.id(PORTS, "port-m")?);
                let path = format!("{SERVERS}/{server}/os-interface");
                post(path, json!({"interfaceAttachment": {"port_id": port}}))
            },
            look: |api| holds_port(api).map(either),
        },
        Operation {
            name: "qos policy create",
            request: |_| post(POLICIES, json!({"policy": {"name": "qos-m"}})),
            look: |api| api.find(POLICIES, "qos-m").map(there),
        },
        Operation {
            name: "qos rule create",
            request: |api| {
                let policy = api.id(POLICIES, "qos-m")?;
                let rule = json!({"max_kbps": 1000, "direction": "egress"});
                let path = format!("{POLICIES}/{policy}/bandwidth_limit_rules");
                post(path, json!({"bandwidth_limit_rule": rule}))
            },
            look: |api| {
                let policy = api.find(POLICIES, "qos-m")?.unwrap();
                Some(either(!policy["rules"].as_array().unwrap().is_empty()))
            },
        },
        Operation {
            name: "port set qos policy",
            request: |api| {
                let policy = api.id(POLICIES, "qos-m")?;
                limit_port(api, json!(policy))
            },
            look: |api| is_limited(api).map(either),
        },
        Operation {
            name: "port unset qos policy",
            request: |api| limit_port(api, Value::Null),
            look: |api| is_limited(api).map(|limited| either(!limited)),
        },
        Operation {
            name: "qos policy delete",
            request: |api| delete(api, POLICIES, "qos-m"),
            look: |api| api.find(POLICIES, "qos-m").map(gone),
        },
        Operation {
            name: "subport create",
            request: |api| {
                let network = api.id(NETWORKS, "private")?;
                let port = json!({"name": "subport-m", "network_id": network});
                post(PORTS, json!({"port": port}))
            },
            look: |api| api.find(PORTS, "subport-m").map(there),
        },
        Operation {
            name: "trunk create",
            request: |api| {
                let (port, carried) = (api.id(PORTS, "port-m")?, api.id(PORTS, "subport-m")?);
                let vlan = json!({
                    "port_id": carried, "segmentation_type": "vlan", "segmentation_id": 100,
                });
                let trunk = json!({"name": "trunk-m", "port_id": port, "sub_ports": [vlan]});
                post(TRUNKS, json!({"trunk": trunk}))
            },
            look: |api| Some(trunk(api.find(TRUNKS, "trunk-m")?)),
        },
        Operation {
            name: "trunk delete",
            request: |api| delete(api, TRUNKS, "trunk-m"),
            look: |api| api.find(TRUNKS, "trunk-m").map(gone),
        },
        Operation {
            name: "subport delete",
            request: |api| delete(api, PORTS, "subport-m"),
            look: |api| api.find(PORTS, "subport-m").map(gone),
        },
        Operation {
            name: "port detach",
            request: |api| {
                let (server, port) = (api.id(SERVERS, SERVER)?, api.id(PORTS, "port-m")?);
                Some((
                    Method::DELETE,
                    format!("{SERVERS}/{server}/os-interface/{port}"),
                    None,
                ))
            },
            look: |api| holds_port(api).map(|there| either(!there)),
        },
        Operation {
            name: "port delete",
            request: |api| delete(api, PORTS, "port-m"),
            look: |api| api.find(PORTS, "port-m").map(gone),
        },
        Operation {
            name: "volume detach",
            request: |api| {
                let (server, volume) = (api.id(SERVERS, SERVER)?, api.id(VOLUMES, "volume-m")?);
                let path = format!("{SERVERS}/{server}/os-volume_attachments/{volume}");
                Some((Method::DELETE, path, None))
            },
            look: |api| Some(in_use(api)?.map_or(State::UnderWay, |there| either(!there))),
        },
        Operation {
            name: "volume delete",
            request: |api| delete(api, VOLUMES, "volume-m"),
            look: |api| Some(volume(api.find(VOLUME_DETAILS, "volume-m")?, State::Undone)),
        },
    ]
}
