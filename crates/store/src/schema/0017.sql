-- Trunks: ports whose cards carry other ports as VLANs.
CREATE TABLE "trunk" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    port_id TEXT NOT NULL UNIQUE REFERENCES "port" (id), enabled BOOLEAN NOT NULL, tags TEXT NOT NULL,
    revision BIGINT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX trunk_project ON "trunk" (project_id);

CREATE TABLE "subport" (
    port_id TEXT NOT NULL PRIMARY KEY REFERENCES "port" (id),
    trunk_id TEXT NOT NULL REFERENCES "trunk" (id), vlan BIGINT NOT NULL,
    UNIQUE (trunk_id, vlan)
);
