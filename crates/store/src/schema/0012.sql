-- The external network that is taken where nobody names one.
ALTER TABLE "network" ADD COLUMN is_default BOOLEAN NOT NULL DEFAULT FALSE;
CREATE UNIQUE INDEX network_default ON "network" (is_default) WHERE is_default;

-- What was made for projects that asked for a network with a way out.
CREATE TABLE "auto_allocated_topology" (
    project_id TEXT NOT NULL PRIMARY KEY,
    network_id TEXT NOT NULL REFERENCES "network" (id) ON DELETE CASCADE,
    router_id TEXT REFERENCES "router" (id) ON DELETE SET NULL
);
