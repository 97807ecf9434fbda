-- Ports of floating IPs that stand for ports of guests.
CREATE TABLE "port_forwarding" (
    id TEXT NOT NULL PRIMARY KEY, floating_ip_id TEXT NOT NULL REFERENCES "floating_ip" (id),
    port_id TEXT NOT NULL REFERENCES "port" (id), address TEXT NOT NULL, protocol TEXT NOT NULL,
    external_first BIGINT NOT NULL, external_last BIGINT NOT NULL, internal_first BIGINT NOT NULL,
    internal_last BIGINT NOT NULL, description TEXT NOT NULL
);
CREATE INDEX port_forwarding_floating_ip ON "port_forwarding" (floating_ip_id);
CREATE INDEX port_forwarding_port ON "port_forwarding" (port_id);
