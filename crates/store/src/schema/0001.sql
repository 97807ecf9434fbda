CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO meta (name, value) VALUES ('generation', '0');

CREATE TABLE change (
    kind TEXT NOT NULL, id TEXT NOT NULL, generation BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX change_generation ON change (generation);

CREATE TABLE revoked_token (audit_id TEXT NOT NULL PRIMARY KEY, expires_ms BIGINT NOT NULL);

CREATE TABLE "domain" (
    id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
    enabled BOOLEAN NOT NULL
);

CREATE TABLE "project" (
    id TEXT NOT NULL PRIMARY KEY, domain_id TEXT NOT NULL REFERENCES "domain" (id),
    name TEXT NOT NULL, description TEXT NOT NULL, enabled BOOLEAN NOT NULL,
    parent_id TEXT NOT NULL, tags TEXT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE "user" (
    id TEXT NOT NULL PRIMARY KEY, domain_id TEXT NOT NULL REFERENCES "domain" (id),
    name TEXT NOT NULL, description TEXT NOT NULL, email TEXT, enabled BOOLEAN NOT NULL,
    default_project_id TEXT, password_hash TEXT, tokens_after_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE "role" (
    id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL
);

CREATE TABLE "assignment" (
    id TEXT NOT NULL PRIMARY KEY, role_id TEXT NOT NULL REFERENCES "role" (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    target_kind TEXT NOT NULL, target_id TEXT NOT NULL
);
CREATE INDEX assignment_user ON "assignment" (user_id);
CREATE INDEX assignment_target ON "assignment" (target_kind, target_id);

CREATE TABLE "image" (
    id TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, name TEXT, status TEXT NOT NULL,
    visibility TEXT NOT NULL, disk_format TEXT, container_format TEXT, size_bytes BIGINT,
    virtual_size_bytes BIGINT, checksum TEXT, sha512 TEXT, min_disk BIGINT NOT NULL, min_ram BIGINT NOT NULL,
    protected BOOLEAN NOT NULL, hidden BOOLEAN NOT NULL, properties TEXT NOT NULL,
    tags TEXT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX image_created ON "image" (created_ms, id);
CREATE INDEX image_name ON "image" (name);

CREATE TABLE "flavor" (
    id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT,
    vcpus BIGINT NOT NULL, ram_mib BIGINT NOT NULL, disk_gib BIGINT NOT NULL,
    public BOOLEAN NOT NULL, extra_specs TEXT NOT NULL
);

CREATE TABLE "keypair" (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE, name TEXT NOT NULL,
    kind TEXT NOT NULL, public_key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (user_id, name)
);

CREATE TABLE "network" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, enabled BOOLEAN NOT NULL, shared BOOLEAN NOT NULL,
    external BOOLEAN NOT NULL, mtu BIGINT NOT NULL, network_type TEXT NOT NULL,
    physical_network TEXT, port_security BOOLEAN NOT NULL, tags TEXT NOT NULL,
    revision BIGINT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX network_project ON "network" (project_id);
CREATE INDEX network_name ON "network" (name);
-- A flat network owns its physical network whole.
CREATE UNIQUE INDEX network_physical ON "network" (physical_network)
    WHERE physical_network IS NOT NULL;

CREATE TABLE "subnet" (
    id TEXT NOT NULL PRIMARY KEY, network_id TEXT NOT NULL REFERENCES "network" (id),
    project_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    prefix TEXT NOT NULL, prefix_length BIGINT NOT NULL, gateway TEXT,
    enable_dhcp BOOLEAN NOT NULL, ra_mode TEXT NOT NULL, address_mode TEXT NOT NULL,
    pools TEXT NOT NULL, dns_nameservers TEXT NOT NULL, host_routes TEXT NOT NULL,
    tags TEXT NOT NULL, revision BIGINT NOT NULL, created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX subnet_network ON "subnet" (network_id);
CREATE INDEX subnet_project ON "subnet" (project_id);

CREATE TABLE "port" (
    id TEXT NOT NULL PRIMARY KEY, network_id TEXT NOT NULL REFERENCES "network" (id),
    project_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    enabled BOOLEAN NOT NULL, mac TEXT NOT NULL, device_id TEXT NOT NULL,
    device_owner TEXT NOT NULL, device_index BIGINT NOT NULL,
    server_made BOOLEAN NOT NULL, node_id TEXT,
    detaching BOOLEAN NOT NULL,
    status TEXT NOT NULL, port_security BOOLEAN NOT NULL, allowed_address_pairs TEXT NOT NULL,
    tags TEXT NOT NULL, revision BIGINT NOT NULL, created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    UNIQUE (network_id, mac)
);
CREATE INDEX port_project ON "port" (project_id);
CREATE INDEX port_device ON "port" (device_id);
CREATE INDEX port_name ON "port" (name);

CREATE TABLE "allocation" (
    id TEXT NOT NULL PRIMARY KEY, subnet_id TEXT NOT NULL REFERENCES "subnet" (id),
    address TEXT NOT NULL, port_id TEXT NOT NULL REFERENCES "port" (id) ON DELETE CASCADE,
    network_id TEXT NOT NULL
);
CREATE INDEX allocation_port ON "allocation" (port_id);
CREATE INDEX allocation_subnet ON "allocation" (subnet_id, address);

CREATE TABLE "router" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, enabled BOOLEAN NOT NULL,
    external_network_id TEXT REFERENCES "network" (id), snat BOOLEAN NOT NULL,
    routes TEXT NOT NULL, tags TEXT NOT NULL, revision BIGINT NOT NULL, created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX router_project ON "router" (project_id);

CREATE TABLE "floating_ip" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, description TEXT NOT NULL,
    network_id TEXT NOT NULL REFERENCES "network" (id), address TEXT NOT NULL,
    own_port_id TEXT NOT NULL REFERENCES "port" (id), port_id TEXT REFERENCES "port" (id),
    fixed_address TEXT, router_id TEXT REFERENCES "router" (id), status TEXT NOT NULL,
    tags TEXT NOT NULL, revision BIGINT NOT NULL, created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    -- An address behind a router has one that stands for it.
    UNIQUE (port_id, fixed_address)
);
CREATE INDEX floating_ip_project ON "floating_ip" (project_id);
CREATE INDEX floating_ip_router ON "floating_ip" (router_id);
CREATE INDEX floating_ip_own_port ON "floating_ip" (own_port_id);
CREATE INDEX floating_ip_network ON "floating_ip" (network_id);

CREATE TABLE "security_group" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, stateful BOOLEAN NOT NULL, tags TEXT NOT NULL,
    revision BIGINT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX security_group_project ON "security_group" (project_id, name);
-- Two requests that both make a project's default group make one.
CREATE UNIQUE INDEX security_group_default ON "security_group" (project_id)
    WHERE name = 'default';

CREATE TABLE "security_group_rule" (
    id TEXT NOT NULL PRIMARY KEY,
    security_group_id TEXT NOT NULL REFERENCES "security_group" (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL, description TEXT NOT NULL, direction TEXT NOT NULL,
    ethertype TEXT NOT NULL, protocol TEXT, port_range_min BIGINT, port_range_max BIGINT,
    remote_ip_prefix TEXT, remote_group_id TEXT, created_ms BIGINT NOT NULL
);
CREATE INDEX rule_group ON "security_group_rule" (security_group_id);
CREATE INDEX rule_project ON "security_group_rule" (project_id);

CREATE TABLE "membership" (
    id TEXT NOT NULL PRIMARY KEY,
    port_id TEXT NOT NULL REFERENCES "port" (id) ON DELETE CASCADE,
    security_group_id TEXT NOT NULL REFERENCES "security_group" (id)
);
CREATE INDEX membership_port ON "membership" (port_id);
CREATE INDEX membership_group ON "membership" (security_group_id);

CREATE TABLE "server" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, user_id TEXT NOT NULL,
    name TEXT NOT NULL, description TEXT, node_id TEXT, flavor TEXT NOT NULL,
    ram_mib BIGINT NOT NULL, vcpus BIGINT NOT NULL, flavor_id TEXT NOT NULL, image_id TEXT,
    boot TEXT NOT NULL, key_name TEXT, public_keys TEXT NOT NULL, user_data TEXT NOT NULL,
    config_drive BOOLEAN NOT NULL, metadata TEXT NOT NULL, access_v4 TEXT, access_v6 TEXT,
    availability_zone TEXT NOT NULL, power TEXT NOT NULL,
    start_epoch BIGINT NOT NULL, reboot_epoch BIGINT NOT NULL, reboot TEXT NOT NULL,
    deleting BOOLEAN NOT NULL, waiting BOOLEAN NOT NULL, seen TEXT NOT NULL, fault TEXT, status TEXT NOT NULL,
    task_state TEXT, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL,
    locked BOOLEAN NOT NULL, tags TEXT NOT NULL, group_id TEXT, reservation_id TEXT NOT NULL,
    launch_index BIGINT NOT NULL
);
CREATE INDEX server_project ON "server" (project_id, created_ms, id);
-- What a project uses is added up from this index alone.
CREATE INDEX server_usage ON "server" (project_id, vcpus, ram_mib);
CREATE INDEX server_created ON "server" (created_ms, id);
CREATE INDEX server_node ON "server" (node_id);
CREATE INDEX server_image ON "server" (image_id);

CREATE INDEX server_group_member ON "server" (group_id);

CREATE TABLE "server_group" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, user_id TEXT NOT NULL,
    name TEXT NOT NULL, policy TEXT NOT NULL, created_ms BIGINT NOT NULL
);
CREATE INDEX server_group_project ON "server_group" (project_id);

CREATE TABLE "volume" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, user_id TEXT NOT NULL,
    name TEXT NOT NULL, description TEXT, size_gib BIGINT NOT NULL, node_id TEXT,
    image TEXT NOT NULL, metadata TEXT NOT NULL, availability_zone TEXT NOT NULL,
    bootable BOOLEAN NOT NULL, read_only BOOLEAN NOT NULL, deleting BOOLEAN NOT NULL,
    made BOOLEAN NOT NULL, seen TEXT NOT NULL, fault TEXT, status TEXT NOT NULL,
    created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX volume_project ON "volume" (project_id, created_ms, id);
CREATE INDEX volume_usage ON "volume" (project_id, size_gib);
CREATE INDEX volume_created ON "volume" (created_ms, id);
CREATE INDEX volume_node ON "volume" (node_id);

CREATE TABLE "attachment" (
    id TEXT NOT NULL PRIMARY KEY,
    -- Two requests that attach one volume: one of them fails.
    volume_id TEXT NOT NULL UNIQUE REFERENCES "volume" (id),
    server_id TEXT NOT NULL REFERENCES "server" (id), place BIGINT NOT NULL,
    device TEXT NOT NULL, root BOOLEAN NOT NULL, read_only BOOLEAN NOT NULL,
    delete_on_termination BOOLEAN NOT NULL, chap TEXT NOT NULL, wanted BOOLEAN NOT NULL,
    joined BOOLEAN NOT NULL, created_ms BIGINT NOT NULL
);
CREATE INDEX attachment_server ON "attachment" (server_id, place);

CREATE TABLE "server_action" (
    id TEXT NOT NULL PRIMARY KEY,
    server_id TEXT NOT NULL REFERENCES "server" (id) ON DELETE CASCADE,
    request_id TEXT NOT NULL, user_id TEXT NOT NULL, project_id TEXT NOT NULL,
    action TEXT NOT NULL, attachment_id TEXT, start_ms BIGINT NOT NULL,
    finish_ms BIGINT, failure TEXT
);
CREATE INDEX server_action_server ON "server_action" (server_id, finish_ms);

-- Limits that were set: for a project, for the class of all others, or by the settings.
CREATE TABLE "quota" (
    id TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, resource TEXT NOT NULL,
    most BIGINT NOT NULL
);
CREATE INDEX quota_owner ON "quota" (owner);

CREATE TABLE "node" (
    id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, facts TEXT NOT NULL,
    reached BIGINT NOT NULL, seen_ms BIGINT NOT NULL
);
