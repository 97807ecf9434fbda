-- How fast ports send and receive, and how what they send is marked.
CREATE TABLE "qos_policy" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    is_default BOOLEAN NOT NULL, tags TEXT NOT NULL, revision BIGINT NOT NULL,
    created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX qos_policy_project ON "qos_policy" (project_id);
CREATE UNIQUE INDEX qos_policy_default ON "qos_policy" (project_id) WHERE is_default;
CREATE TABLE "qos_rule" (
    id TEXT NOT NULL PRIMARY KEY, qos_policy_id TEXT NOT NULL REFERENCES "qos_policy" (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, direction TEXT NOT NULL, max_kbps BIGINT, max_burst_kbps BIGINT, dscp_mark BIGINT,
    UNIQUE (qos_policy_id, kind, direction)
);
ALTER TABLE "network" ADD COLUMN qos_policy_id TEXT REFERENCES "qos_policy" (id);
CREATE INDEX network_qos_policy ON "network" (qos_policy_id);
ALTER TABLE "port" ADD COLUMN qos_policy_id TEXT REFERENCES "qos_policy" (id);
CREATE INDEX port_qos_policy ON "port" (qos_policy_id);
