-- Nodes hear by each port's own document which groups it is in, and of those groups no more.
UPDATE meta SET value = CAST(value AS BIGINT) + 1
    WHERE name = 'generation' AND EXISTS (SELECT 1 FROM change);
UPDATE change SET generation = (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'generation')
    WHERE kind IN ('port_name', 'address_group');
