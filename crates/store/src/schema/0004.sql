-- Names of ports, and the domains they are in.
ALTER TABLE "network" ADD COLUMN dns_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE "port" ADD COLUMN dns_name TEXT NOT NULL DEFAULT '';
ALTER TABLE "port" ADD COLUMN dns_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE "floating_ip" ADD COLUMN dns_name TEXT NOT NULL DEFAULT '';
ALTER TABLE "floating_ip" ADD COLUMN dns_domain TEXT NOT NULL DEFAULT '';

-- The domain of networks that name none, as the settings last had it.
INSERT INTO meta (name, value) VALUES ('dns_domain', 'openstacklocal.');

-- Nodes have yet to hear of the names of ports that are there.
UPDATE meta SET value = CAST(value AS BIGINT) + 1
    WHERE name = 'generation' AND EXISTS (SELECT 1 FROM "port");
INSERT INTO change (kind, id, generation)
    SELECT 'port_name', p.id, CAST(m.value AS BIGINT) FROM "port" p, meta m WHERE m.name = 'generation';
