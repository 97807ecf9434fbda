-- Nodes hear by the same document which single addresses a port may have beside its own.
UPDATE meta SET value = CAST(value AS BIGINT) + 1
    WHERE name = 'generation' AND EXISTS (SELECT 1 FROM "port" WHERE allowed_address_pairs <> '[]');
UPDATE change SET generation = (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'generation')
    WHERE kind = 'port_name' AND id IN (SELECT id FROM "port" WHERE allowed_address_pairs <> '[]');
