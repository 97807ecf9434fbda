//! Bodies that are wrong in their form: every route that takes one refuses them, and keeps nothing.

use http::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, assert_same};

use crate::shape::is_refused;
use crate::world::{KEY, World};

/// A request that is right: each change to its body below makes it wrong.
struct Sample {
    method: &'static str,
    path: String,
    body: Value,
    /// Fields that cannot be left out or null.
    required: &'static [&'static str],
    /// Places where a value of another kind is taken, as OpenStack takes it too.
    lenient: &'static [&'static str],
    /// Whether an unknown field is refused.
    strict: bool,
}

/// Numbers that are sent as text, and text as numbers, where clients do so.
const TEXTS_TOO: &str = "number as text";

/// The samples are sent by the administrator, who needs a key of its own for them.
async fn world() -> World {
    let mut world = World::new().await;
    let (network, subnet) = crate::world::network(&world.member, "spare", "2001:db8:5::/64").await;
    let body = json!({"port": {"network_id": network}});
    let port = world.member.post("/network/v2.0/ports", body).await;
    world
        .ids
        .insert("spare port", crate::world::id(&port.expect(201)));
    let router = world
        .member
        .post("/network/v2.0/routers", json!({"router": {}}))
        .await;
    let router = crate::world::id(&router.expect(201));
    let leg = format!("/network/v2.0/routers/{router}/add_router_interface");
    let body = json!({"subnet_id": subnet});
    world.member.put(&leg, body).await.expect(200);
    world.ids.insert("spare router", router);
    let policy = json!({"policy": {}});
    let policy = world.admin.post("/network/v2.0/qos/policies", policy).await;
    let policy = crate::world::id(&policy.expect(201));
    world.ids.insert("spare policy", policy);
    world.ids.insert("spare network", network);
    world
        .ids
        .insert("os-quota-class-sets", "default".to_owned());
    let body = json!({"volume": {"size": 1}});
    let volume = world.member.post("/volume/v3/volumes", body).await;
    let volume = crate::world::id(&volume.expect(202));
    world.node.volume_ready(&volume).await;
    world.ids.insert("spare volume", volume);
    let body = json!({"keypair": {"name": "key", "public_key": KEY}});
    world
        .admin
        .post("/compute/v2.1/os-keypairs", body)
        .await
        .expect(200);
    world
}

fn samples(world: &World) -> Vec<Sample> {
    let one = |method, path: &str, body, required, lenient| Sample {
        method,
        path: path.to_owned(),
        strict: path.starts_with("/compute") || path.starts_with("/network"),
        body,
        required,
        lenient,
    };
    let of = |kind: &str| world.id(kind).to_owned();
    let at = |prefix: &str, kind: &str| {
        let segment = kind.rsplit('/').next().unwrap();
        format!("{prefix}/{kind}/{}", world.id(segment))
    };
    let (keystone, nova, neutron) = ("/identity/v3", "/compute/v2.1", "/network/v2.0");
    let cinder = "/volume/v3";
    let mut all = vec![
        one(
            "POST",
            &format!("{}/os-volume_attachments", at(nova, "servers")),
            json!({"volumeAttachment": {"volumeId": of("spare volume"), "device": "/dev/vdd"}}),
            &["volumeAttachment", "volumeAttachment/volumeId"],
            &[],
        ),
        one(
            "POST",
            "/volume/v3/volumes",
            json!({"volume": {
                "size": 1, "name": "v", "description": "d", "metadata": {"a": "b"},
                "availability_zone": "nova", "volume_type": "default", "multiattach": false,
            }}),
            &["volume/size"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &at(cinder, "volumes"),
            json!({"volume": {"name": "v", "description": "d", "metadata": {"colour": "red"}}}),
            &[],
            &[],
        ),
        one(
            "POST",
            &format!("{}/action", at(cinder, "volumes")),
            json!({"os-extend": {"new_size": 5}}),
            &["os-extend/new_size"],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            &format!("{}/metadata", at(cinder, "volumes")),
            json!({"metadata": {"a": "b"}}),
            &["metadata"],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/metadata", at(cinder, "volumes")),
            json!({"metadata": {"colour": "red"}}),
            &["metadata"],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/metadata/colour", at(cinder, "volumes")),
            json!({"meta": {"colour": "red"}}),
            &["meta", "meta/colour"],
            &[],
        ),
        one(
            "POST",
            "/identity/v3/auth/tokens",
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": {
                    "name": "admin", "domain": {"name": "Default"}, "password": "x",
                }}},
                "scope": {"project": {"name": "admin", "domain": {"name": "Default"}}},
            }}),
            &[
                "auth/identity",
                "auth/identity/methods",
                "auth/identity/password",
                "auth/identity/password/user",
                "auth/identity/password/user/password",
                "auth/identity/password/user/name",
                "auth/identity/password/user/domain",
                "auth/scope/project/domain",
            ],
            &[],
        ),
        one(
            "POST",
            "/identity/v3/domains",
            json!({"domain": {"name": "d", "description": "d", "enabled": true}}),
            &["domain/name"],
            &[],
        ),
        one(
            "PATCH",
            &at(keystone, "domains"),
            json!({"domain": {"name": "d2", "description": "d", "enabled": true}}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/identity/v3/projects",
            json!({"project": {
                "name": "p", "description": "d", "enabled": true, "domain_id": "default",
                "is_domain": false, "tags": ["t"],
            }}),
            &["project/name"],
            &[],
        ),
        one(
            "PATCH",
            &at(keystone, "projects"),
            json!({"project": {"name": "p2", "description": "d", "enabled": true, "tags": ["t"]}}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/identity/v3/users",
            json!({"user": {
                "name": "u", "description": "d", "email": "u@example.org", "enabled": true,
                "domain_id": "default", "password": "secret",
            }}),
            &["user/name"],
            &[],
        ),
        one(
            "PATCH",
            &at(keystone, "users"),
            json!({"user": {"name": "u2", "description": "d", "email": "e", "enabled": true}}),
            &[],
            &[],
        ),
        one(
            "POST",
            &format!("{}/password", at(keystone, "users")),
            json!({"user": {"original_password": "x", "password": "y"}}),
            &["user/original_password", "user/password"],
            &[],
        ),
        one(
            "POST",
            "/identity/v3/roles",
            json!({"role": {"name": "r", "description": "d"}}),
            &["role/name"],
            &[],
        ),
        one(
            "PATCH",
            &at(keystone, "roles"),
            json!({"role": {"name": "r2", "description": "d"}}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/image/v2/images",
            json!({
                "name": "i", "visibility": "private", "disk_format": "raw", "container_format": "bare",
                "min_disk": 1, "min_ram": 1, "protected": false, "os_hidden": false,
                "tags": ["t"], "os_distro": "debian",
            }),
            &[],
            &[],
        ),
        one(
            "POST",
            "/compute/v2.1/flavors",
            json!({"flavor": {
                "name": "f", "id": "f", "ram": 64, "vcpus": 1, "disk": 1, "swap": 0,
                "OS-FLV-EXT-DATA:ephemeral": 0, "os-flavor-access:is_public": true,
                "rxtx_factor": 1.0,
            }}),
            &["flavor/name", "flavor/ram", "flavor/vcpus"],
            &[TEXTS_TOO, "flavor/id"],
        ),
        one(
            "POST",
            &format!("{}/os-extra_specs", at(nova, "flavors")),
            json!({"extra_specs": {"key": "value"}}),
            &["extra_specs/key"],
            &["extra_specs+"],
        ),
        one(
            "POST",
            "/compute/v2.1/os-keypairs",
            json!({"keypair": {"name": "k", "public_key": KEY}}),
            &["keypair/name", "keypair/public_key"],
            &[],
        ),
        one(
            "POST",
            "/compute/v2.1/servers",
            json!({"server": {
                "name": "s", "imageRef": of("images"), "flavorRef": "42",
                "networks": [{"uuid": of("networks")}], "security_groups": [{"name": of("security-groups")}],
                "key_name": "key", "user_data": "aGk=", "metadata": {"key": "value"},
                "availability_zone": "nova", "config_drive": false, "min_count": 1, "max_count": 1,
                "return_reservation_id": false, "adminPass": "secret", "accessIPv6": "2001:db8::7",
                "OS-DCF:diskConfig": "AUTO",
            }}),
            &[
                "server/name",
                "server/flavorRef",
                "server/networks/0/uuid",
                "server/security_groups/0/name",
                "server/metadata/key",
            ],
            &[TEXTS_TOO, "server/flavorRef", "server/metadata+"],
        ),
        one(
            "POST",
            &format!("{}/metadata", at(nova, "servers")),
            json!({"metadata": {"key": "value"}}),
            &["metadata/key"],
            &["metadata+"],
        ),
        one(
            "PUT",
            &format!("{}/metadata", at(nova, "servers")),
            json!({"metadata": {"key": "value"}}),
            &["metadata/key"],
            &["metadata+"],
        ),
        one(
            "PUT",
            &format!("{}/metadata/colour", at(nova, "servers")),
            json!({"meta": {"colour": "red"}}),
            &["meta/colour"],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/tags", at(nova, "servers")),
            json!({"tags": ["red"]}),
            &["tags"],
            &[],
        ),
        one(
            "POST",
            &format!("{}/os-interface", at(nova, "servers")),
            json!({"interfaceAttachment": {
                "net_id": of("spare network"), "fixed_ips": [{"ip_address": "2001:db8:5::77"}],
            }}),
            &[
                "interfaceAttachment/net_id",
                "interfaceAttachment/fixed_ips/0/ip_address",
            ],
            &[],
        ),
        one(
            "POST",
            "/compute/v2.1/os-server-groups",
            json!({"server_group": {"name": "g", "policies": ["anti-affinity"]}}),
            &["server_group/name", "server_group/policies"],
            &[],
        ),
        // A limit may be -1, and a number as text: quota.rs has the values that are wrong.
        one(
            "PUT",
            &at(nova, "os-quota-sets"),
            json!({"quota_set": {"cores": 40, "force": true}}),
            &[],
            &["quota_set/cores"],
        ),
        one(
            "PUT",
            &at(nova, "os-quota-class-sets"),
            json!({"quota_class_set": {"cores": 40}}),
            &[],
            &["quota_class_set/cores"],
        ),
        one(
            "PUT",
            &at(cinder, "os-quota-sets"),
            json!({"quota_set": {"volumes": 40}}),
            &[],
            &["quota_set/volumes"],
        ),
        one(
            "PUT",
            &at(cinder, "os-quota-class-sets"),
            json!({"quota_class_set": {"volumes": 40}}),
            &[],
            &["quota_class_set/volumes"],
        ),
        one(
            "PUT",
            &at(neutron, "quotas"),
            json!({"quota": {"port": 600, "check_limit": true}}),
            &[],
            &["quota/port"],
        ),
        one(
            "PUT",
            &at(nova, "servers"),
            json!({"server": {"name": "s", "accessIPv6": "2001:db8::7"}}),
            &[],
            &[],
        ),
        one(
            "POST",
            &format!("{}/action", at(nova, "servers")),
            json!({"reboot": {"type": "SOFT"}}),
            &["reboot/type"],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/networks",
            json!({"network": {
                "name": "n", "description": "d", "admin_state_up": true, "shared": false,
                "router:external": false, "mtu": 1400, "port_security_enabled": true,
                "provider:network_type": "local", "tags": ["t"], "project_id": of("projects"),
            }}),
            &[],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &at(neutron, "networks"),
            json!({"network": {
                "name": "n", "description": "d", "admin_state_up": true, "shared": false,
                "router:external": false, "mtu": 1400, "port_security_enabled": true,
            }}),
            &[],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            "/network/v2.0/subnets",
            json!({"subnet": {
                "network_id": of("networks"), "cidr": "2001:db8:77::/64", "ip_version": 6,
                "name": "s", "description": "d", "gateway_ip": "2001:db8:77::1", "enable_dhcp": true,
                "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac",
                "allocation_pools": [{"start": "2001:db8:77::2", "end": "2001:db8:77::9"}],
                "dns_nameservers": ["2001:db8::53"],
                "host_routes": [{"destination": "2001:db8:78::/64", "nexthop": "2001:db8:77::5"}],
                "tags": ["t"],
            }}),
            &[
                "subnet/network_id",
                "subnet/cidr",
                "subnet/allocation_pools/0/start",
                "subnet/allocation_pools/0/end",
                "subnet/host_routes/0/destination",
                "subnet/host_routes/0/nexthop",
            ],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            "/network/v2.0/floatingips",
            json!({"floatingip": {
                "floating_network_id": world.external.0, "subnet_id": world.external.1,
                "floating_ip_address": "203.0.113.77", "description": "d", "tags": ["t"],
                "project_id": of("projects"),
            }}),
            &["floatingip/floating_network_id"],
            &[],
        ),
        one(
            "POST",
            &format!("{}/port_forwardings", at(neutron, "floatingips")),
            json!({"port_forwarding": {
                "internal_port_id": of("forwarded port"), "internal_port": 80,
                "external_port": 80, "protocol": "tcp", "description": "d",
            }}),
            &[
                "port_forwarding/internal_port_id",
                "port_forwarding/internal_port",
                "port_forwarding/external_port",
                "port_forwarding/protocol",
            ],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!(
                "{}/port_forwardings/{}",
                at(neutron, "floatingips"),
                of("port_forwardings")
            ),
            json!({"port_forwarding": {
                "internal_port_range": "80:81", "external_port_range": "80:81",
                "protocol": "udp", "description": "d",
            }}),
            &[],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &at(neutron, "floatingips"),
            json!({"floatingip": {"description": "d"}}),
            &[],
            &[],
        ),
        one(
            "PUT",
            &at(neutron, "subnets"),
            json!({"subnet": {
                "name": "s", "description": "d", "enable_dhcp": true,
                "allocation_pools": [{"start": "2001:db8:a::2", "end": "2001:db8:a::9"}],
                "dns_nameservers": ["2001:db8::53"],
                "host_routes": [{"destination": "2001:db8:78::/64", "nexthop": "2001:db8:a::5"}],
            }}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/ports",
            json!({"port": {
                "network_id": of("networks"), "name": "p", "description": "d",
                "admin_state_up": true, "mac_address": "fa:16:3e:00:00:01",
                "fixed_ips": [{"subnet_id": of("subnets"), "ip_address": "2001:db8:a::77"}],
                "security_groups": [of("security-groups")], "port_security_enabled": true,
                "allowed_address_pairs": [{"ip_address": "2001:db8::/64", "mac_address": "fa:16:3e:00:00:01"}],
                "device_id": "d", "device_owner": "o", "binding:vnic_type": "normal", "tags": ["t"],
            }}),
            &["port/network_id", "port/allowed_address_pairs/0/ip_address"],
            &[],
        ),
        one(
            "PUT",
            &at(neutron, "ports"),
            json!({"port": {
                "name": "p", "description": "d", "admin_state_up": true,
                "fixed_ips": [{"subnet_id": of("subnets"), "ip_address": "2001:db8:a::78"}],
                "security_groups": [of("security-groups")], "port_security_enabled": true,
                "allowed_address_pairs": [{"ip_address": "2001:db8::/64"}],
                "device_id": "", "device_owner": "",
            }}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/routers",
            json!({"router": {
                "name": "r", "description": "d", "admin_state_up": true, "tags": ["t"],
                "ha": false, "distributed": false, "availability_zone_hints": ["nova"],
            }}),
            &[],
            &[],
        ),
        one(
            "PUT",
            &format!("{neutron}/routers/{}", of("spare router")),
            json!({"router": {
                "name": "r", "description": "d", "admin_state_up": true,
                "routes": [{"destination": "2001:db8:78::/64", "nexthop": "2001:db8:5::5"}],
            }}),
            &["router/routes/0/destination", "router/routes/0/nexthop"],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/add_router_interface", at(neutron, "routers")),
            json!({"port_id": of("spare port")}),
            &["port_id"],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/remove_router_interface", at(neutron, "routers")),
            json!({"subnet_id": of("subnets")}),
            &["subnet_id"],
            &[],
        ),
        one(
            "PUT",
            &format!("{neutron}/routers/{}/add_extraroutes", of("spare router")),
            json!({"router": {"routes": [{"destination": "2001:db8:78::/64", "nexthop": "2001:db8:5::5"}]}}),
            &[
                "router/routes",
                "router/routes/0/destination",
                "router/routes/0/nexthop",
            ],
            &[],
        ),
        one(
            "PUT",
            &format!(
                "{neutron}/routers/{}/remove_extraroutes",
                of("spare router")
            ),
            json!({"router": {"routes": [{"destination": "2001:db8:78::/64", "nexthop": "2001:db8:5::5"}]}}),
            &[
                "router/routes",
                "router/routes/0/destination",
                "router/routes/0/nexthop",
            ],
            &[],
        ),
        one(
            "POST",
            "/compute/v2.1/os-security-groups",
            json!({"security_group": {"name": "g", "description": "d"}}),
            &["security_group", "security_group/name"],
            &[],
        ),
        one(
            "PUT",
            &at(nova, "os-security-groups"),
            json!({"security_group": {"name": "g", "description": "d"}}),
            &["security_group", "security_group/name"],
            &[],
        ),
        one(
            "POST",
            "/compute/v2.1/os-security-group-rules",
            json!({"security_group_rule": {
                "parent_group_id": of("security-groups"), "ip_protocol": "tcp",
                "from_port": 1, "to_port": 2, "cidr": "2001:db8::/32",
            }}),
            &["security_group_rule", "security_group_rule/parent_group_id"],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            "/network/v2.0/address-scopes",
            json!({"address_scope": {"name": "s", "ip_version": 6, "shared": false}}),
            &["address_scope/ip_version"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &at(neutron, "address-scopes"),
            json!({"address_scope": {"name": "s"}}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/trunks",
            json!({"trunk": {
                "name": "t", "description": "d", "admin_state_up": true, "port_id": of("forwarded port"),
                "sub_ports": [],
            }}),
            &["trunk/port_id"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &at(neutron, "trunks"),
            json!({"trunk": {"name": "t", "description": "d", "admin_state_up": true}}),
            &[],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!("{}/add_subports", at(neutron, "trunks")),
            json!({"sub_ports": [{
                "port_id": of("free port"), "segmentation_type": "vlan", "segmentation_id": 200,
            }]}),
            &["sub_ports"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!("{}/remove_subports", at(neutron, "trunks")),
            json!({"sub_ports": [{"port_id": of("carried port")}]}),
            &["sub_ports"],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/qos/policies",
            json!({"policy": {
                "name": "q", "description": "d", "shared": false, "is_default": false,
                "project_id": of("projects"),
            }}),
            &["policy"],
            &[],
        ),
        one(
            "PUT",
            &at(neutron, "qos/policies"),
            json!({"policy": {"name": "q", "description": "d", "shared": false}}),
            &["policy"],
            &[],
        ),
        one(
            "POST",
            &format!("{}/bandwidth_limit_rules", at(neutron, "qos/policies")),
            json!({"bandwidth_limit_rule": {
                "direction": "ingress", "max_kbps": 8, "max_burst_kbps": 9,
            }}),
            &["bandwidth_limit_rule", "bandwidth_limit_rule/max_kbps"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!(
                "{neutron}/qos/alias-bandwidth-limit-rules/{}",
                of("alias-bandwidth-limit-rules")
            ),
            json!({"alias_bandwidth_limit_rule": {"max_kbps": 8, "max_burst_kbps": 9}}),
            &["alias_bandwidth_limit_rule"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!(
                "{}/bandwidth_limit_rules/{}",
                at(neutron, "qos/policies"),
                of("bandwidth_limit_rules")
            ),
            json!({"bandwidth_limit_rule": {"direction": "egress", "max_kbps": 8}}),
            &["bandwidth_limit_rule"],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            &format!(
                "/network/v2.0/qos/policies/{}/dscp_marking_rules",
                of("spare policy")
            ),
            json!({"dscp_marking_rule": {"dscp_mark": 8}}),
            &["dscp_marking_rule", "dscp_marking_rule/dscp_mark"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!(
                "{neutron}/qos/alias-dscp-marking-rules/{}",
                of("alias-dscp-marking-rules")
            ),
            json!({"alias_dscp_marking_rule": {"dscp_mark": 10}}),
            &["alias_dscp_marking_rule"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &format!(
                "{}/dscp_marking_rules/{}",
                at(neutron, "qos/policies"),
                of("dscp_marking_rules")
            ),
            json!({"dscp_marking_rule": {"dscp_mark": 8}}),
            &["dscp_marking_rule"],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            "/network/v2.0/rbac-policies",
            json!({"rbac_policy": {
                "object_type": "network", "object_id": of("networks"),
                "action": "access_as_shared", "target_tenant": "somebody",
            }}),
            &[
                "rbac_policy/object_type",
                "rbac_policy/object_id",
                "rbac_policy/action",
                "rbac_policy/target_tenant",
            ],
            &[],
        ),
        one(
            "PUT",
            &at(neutron, "rbac-policies"),
            json!({"rbac_policy": {"target_tenant": "another"}}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/subnetpools",
            json!({"subnetpool": {
                "name": "p", "description": "d", "prefixes": ["2001:db8:7000::/36"],
                "min_prefixlen": 48, "default_prefixlen": 64, "max_prefixlen": 80,
                "default_quota": 9, "shared": false, "is_default": false, "tags": ["t"],
            }}),
            &["subnetpool/name", "subnetpool/prefixes"],
            &[TEXTS_TOO],
        ),
        one(
            "PUT",
            &at(neutron, "subnetpools"),
            json!({"subnetpool": {
                "name": "p", "description": "d", "prefixes": ["2001:db8:f00::/40"],
                "min_prefixlen": 48, "default_prefixlen": 64, "max_prefixlen": 80,
                "is_default": false,
            }}),
            &[],
            &[TEXTS_TOO],
        ),
        one(
            "POST",
            "/network/v2.0/address-groups",
            json!({"address_group": {
                "name": "g", "description": "d", "addresses": ["2001:db8:7::/48"],
            }}),
            &[],
            &[],
        ),
        one(
            "PUT",
            &at(neutron, "address-groups"),
            json!({"address_group": {"name": "g", "description": "d"}}),
            &[],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/add_addresses", at(neutron, "address-groups")),
            json!({"addresses": ["2001:db8:9::/48"]}),
            &["addresses"],
            &[],
        ),
        one(
            "PUT",
            &format!("{}/remove_addresses", at(neutron, "address-groups")),
            json!({"addresses": ["2001:db8:9::/48"]}),
            &["addresses"],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/security-groups",
            json!({"security_group": {"name": "g", "description": "d", "stateful": true}}),
            &[],
            &[],
        ),
        one(
            "PUT",
            &at(neutron, "security-groups"),
            json!({"security_group": {"name": "g", "description": "d", "stateful": true}}),
            &[],
            &[],
        ),
        one(
            "POST",
            "/network/v2.0/security-group-rules",
            json!({"security_group_rule": {
                "security_group_id": of("security-groups"), "description": "d",
                "direction": "ingress", "ethertype": "IPv6", "protocol": "udp",
                "port_range_min": 1, "port_range_max": 2, "remote_ip_prefix": "2001:db8::/32",
            }}),
            &[
                "security_group_rule/security_group_id",
                "security_group_rule/direction",
            ],
            &[TEXTS_TOO],
        ),
    ];
    all.extend(crate::tag::KINDS.map(|kind| {
        let path = format!("{}/tags", at(neutron, kind));
        one("PUT", &path, json!({"tags": ["x"]}), &["tags"], &[])
    }));
    all
}

/// Bodies that are no JSON object at all.
fn no_objects(sample: &Sample) -> Vec<(String, Vec<u8>)> {
    let (key, inner) = sample.body.as_object().unwrap().iter().next().unwrap();
    let whole = sample.body.to_string();
    let deep = format!("{{\"{key}\":{}", "[".repeat(50_000));
    let mut bodies: Vec<(String, Vec<u8>)> = [
        "", " ", "nonsense", "{", "[]", "\"text\"", "7", "null", "true", "{}{}", "{'a': 1}",
        "<xml/>", "[{}]", "NaN", "{\"\": 1",
    ]
    .iter()
    .map(|text| (format!("body {text:?}"), text.as_bytes().to_vec()))
    .collect();
    bodies.push(("two values".into(), format!("{whole}{whole}").into()));
    bodies.push((
        "cut short".into(),
        whole.as_bytes()[..whole.len() - 1].into(),
    ));
    bodies.push(("a NUL behind".into(), format!("{whole}\0").into()));
    bodies.push(("a NUL before".into(), format!("\0{whole}").into()));
    bodies.push((
        "a byte order mark".into(),
        format!("\u{feff}{whole}").into(),
    ));
    bodies.push(("50,000 brackets".into(), deep.into()));
    let mut latin = whole.clone().into_bytes();
    let place = whole.find(":\"").map_or(1, |p| p + 2);
    latin.insert(place, 0xe9);
    bodies.push(("octets that are no UTF-8".into(), latin));
    if sample.path != "/image/v2/images" {
        bodies.push(("an empty object".into(), b"{}".to_vec()));
        for wrong in [json!(null), json!([]), json!("x"), json!(7), json!([inner])] {
            // An action's argument may be anything that its action takes.
            if inner.is_object() && !key.starts_with("reboot") {
                let text = json!({key: wrong}).to_string();
                bodies.push((format!("{key} as {wrong}"), text.into()));
            }
        }
        bodies.push((
            "another key".into(),
            json!({"other": inner}).to_string().into(),
        ));
    }
    bodies
}

/// The body with one place changed, for each place and each change that makes it wrong.
fn mutations(sample: &Sample) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    walk(&sample.body, "", &mut places);
    let mut found = Vec::new();
    let mut put = |place: &str, value: Value| {
        let mut body = sample.body.clone();
        *body.pointer_mut(&format!("/{place}")).unwrap() = value.clone();
        found.push((format!("{place} = {}", short(&value)), body));
    };
    for (place, value) in &places {
        if sample.lenient.contains(&place.as_str()) {
            continue;
        }
        for wrong in wrongs(value, sample) {
            put(place, wrong);
        }
        if sample.required.contains(&place.as_str()) {
            put(place, Value::Null);
        }
        let name = place.rsplit('/').next().unwrap();
        if ["name", "description"].contains(&name) && !sample.path.ends_with("tokens") {
            // Keystone keeps descriptions of any length, with anything in them.
            if name == "name" || sample.strict {
                put(place, json!("x".repeat(256)));
                put(place, json!("ü".repeat(256)));
                put(place, json!("bell\u{7}"));
                put(place, json!("nul\u{0}"));
            }
        }
    }
    for place in sample.required {
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
        let mut body = sample.body.clone();
        let pointer = if parent.is_empty() {
            String::new()
        } else {
            format!("/{parent}")
        };
        let object = body.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
        object.remove(name);
        // A map may be empty, and an update may be partial.
        if sample.method == "POST" && !parent.is_empty() {
            let free = sample.lenient.contains(&format!("{parent}+").as_str());
            if !free {
                found.push((format!("{place} left out"), body));
            }
        }
    }
    if sample.strict {
        for (place, value) in &places {
            let free = sample.lenient.contains(&format!("{place}+").as_str());
            if value.is_object() && !free && !sample.body["reboot"].is_object() {
                let mut body = sample.body.clone();
                body.pointer_mut(&format!("/{place}")).unwrap()["nonsense"] = json!("x");
                found.push((format!("{place} with an unknown field"), body));
            }
        }
        let mut body = sample.body.clone();
        body["nonsense"] = json!("x");
        found.push(("an unknown key beside".to_owned(), body));
    }
    found
}

fn wrongs(value: &Value, sample: &Sample) -> Vec<Value> {
    let huge = json!(1e300);
    match value {
        Value::String(_) => vec![json!(7), json!(true), json!([]), json!({}), json!(["x"])],
        Value::Bool(_) => vec![json!("maybe"), json!(7), json!([]), json!({}), json!(0.5)],
        Value::Number(_) => {
            let mut wrong = vec![
                json!("x"),
                json!(""),
                json!([]),
                json!({}),
                json!(true),
                json!(-1),
                json!(1_i64 << 40),
                huge,
                json!("99999999999999999999"),
                json!("0x10"),
            ];
            if !sample.lenient.contains(&TEXTS_TOO) {
                wrong.push(json!("1"));
            }
            wrong
        }
        Value::Array(_) => vec![
            json!("x"),
            json!(7),
            json!({}),
            json!([[]]),
            json!([null]),
            json!([7]),
        ],
        Value::Object(_) => vec![json!("x"), json!(7), json!([])],
        Value::Null => Vec::new(),
    }
}

fn walk(value: &Value, place: &str, places: &mut Vec<(String, Value)>) {
    let below = |name: &str| match place.is_empty() {
        true => name.to_owned(),
        false => format!("{place}/{name}"),
    };
    if !place.is_empty() {
        places.push((place.to_owned(), value.clone()));
    }
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(name, inner)| walk(inner, &below(name), places)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(n, inner)| walk(inner, &below(&n.to_string()), places)),
        _ => {}
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(40).collect()
}

async fn send(client: &Client, sample: &Sample, body: Vec<u8>) -> Answer {
    let method: Method = sample.method.parse().unwrap();
    let request = client.request(method, &sample.path);
    let request = match sample.path.starts_with("/compute") {
        true => request.header("openstack-api-version", "compute latest"),
        false => request,
    };
    request
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
}

/// Sends every wrong body of the routes whose path begins so, and names all that were taken.
async fn refuse_all(prefix: &str) {
    let world = world().await;
    let before = world.cloud.dump();
    let mut taken = Vec::new();
    for sample in samples(&world) {
        if !sample.path.starts_with(prefix) {
            continue;
        }
        let objects = mutations(&sample)
            .into_iter()
            .map(|(what, body)| (what, body.to_string().into_bytes()));
        for (what, body) in no_objects(&sample).into_iter().chain(objects) {
            let answer = send(&world.admin, &sample, body).await;
            if !is_refused(&answer) {
                let text = String::from_utf8_lossy(&answer.body)
                    .chars()
                    .take(160)
                    .collect::<String>();
                taken.push(format!(
                    "{} {}: {what}\n    {} {text}",
                    sample.method, sample.path, answer.status
                ));
            }
        }
    }
    assert!(
        taken.is_empty(),
        "{} wrong bodies were not refused with 400:\n{}",
        taken.len(),
        taken.join("\n")
    );
    assert_same(&before, &world.cloud.dump(), "requests with wrong bodies");
}

#[tokio::test]
async fn wrong_bodies_to_identity() {
    refuse_all("/identity").await;
}

#[tokio::test]
async fn wrong_bodies_to_image() {
    refuse_all("/image").await;
}

#[tokio::test]
async fn wrong_bodies_to_compute() {
    refuse_all("/compute").await;
}

#[tokio::test]
async fn wrong_bodies_to_network() {
    refuse_all("/network").await;
}

#[tokio::test]
async fn wrong_bodies_to_volume() {
    refuse_all("/volume").await;
}

/// The samples are right: what is refused above is refused for the one thing that was changed.
#[tokio::test]
async fn the_samples_themselves_are_taken() {
    let world = world().await;
    for sample in samples(&world) {
        let answer = send(&world.admin, &sample, sample.body.to_string().into()).await;
        let login = sample.path.ends_with("/tokens") || sample.path.ends_with("/password");
        match login {
            true => assert_eq!(answer.status, 401, "{answer:?}"),
            false => assert!(answer.status.is_success(), "{answer:?}"),
        }
    }
}

/// Every route that takes a body has a sample here.
#[tokio::test]
async fn no_route_is_left_out() {
    let world = world().await;
    let samples = samples(&world);
    // No body, or one of another kind, which other tests send.
    let others = [
        // None is ever given: microversion.rs has the ways to ask.
        "POST /compute/v2.1/servers/{id}/remote-consoles",
        "PUT /image/v2/images/{id}/file",
        "PATCH /image/v2/images/{id}",
        // Whatever it holds, it is refused.
        "POST /volume/v3/snapshots",
        "POST /volume/v3/backups",
        "PUT /compute/v2.1/servers/{id}/os-volume_attachments/{volume}",
        "POST /network/v2.0/qos/policies/{id}/minimum_bandwidth_rules",
        "POST /network/v2.0/qos/policies/{id}/minimum_packet_rate_rules",
        "POST /network/v2.0/qos/policies/{id}/packet_rate_limit_rules",
    ];
    for route in api::Routes::new().all() {
        let line = crate::world::line(route);
        let writes = [Method::POST, Method::PUT, Method::PATCH].contains(&route.method);
        let bare = line.ends_with("/roles/{role}") || line.ends_with("/tags/{tag}");
        if !writes || bare || others.contains(&line.as_str()) {
            continue;
        }
        let path = crate::world::fill(route, |kind| world.id(kind).to_owned());
        let spare = path.replace(world.id("routers"), world.id("spare router"));
        let spare = spare.replace(world.id("policies"), world.id("spare policy"));
        let found = samples
            .iter()
            .any(|s| [&path, &spare].contains(&&s.path) && s.method == route.method.as_str());
        assert!(found, "{line} has no sample");
    }
}
