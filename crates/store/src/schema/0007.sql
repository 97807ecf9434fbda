-- Prefixes that subnets are cut from.
CREATE TABLE "subnet_pool" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, version BIGINT NOT NULL, prefixes TEXT NOT NULL,
    min_length BIGINT NOT NULL, max_length BIGINT NOT NULL, default_length BIGINT NOT NULL,
    default_quota BIGINT, shared BOOLEAN NOT NULL, is_default BOOLEAN NOT NULL, tags TEXT NOT NULL,
    revision BIGINT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX subnet_pool_project ON "subnet_pool" (project_id);
-- Each family has one default.
CREATE UNIQUE INDEX subnet_pool_default ON "subnet_pool" (version) WHERE is_default;
ALTER TABLE "subnet" ADD COLUMN subnet_pool_id TEXT REFERENCES "subnet_pool" (id);
CREATE INDEX subnet_subnet_pool ON "subnet" (subnet_pool_id);
