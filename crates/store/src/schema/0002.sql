-- What servers take of their node's disk is added up, as its memory and processors are.
ALTER TABLE "server" ADD COLUMN disk_gib BIGINT NOT NULL DEFAULT 0;
UPDATE "server" SET disk_gib = CAST(flavor ->> '$.disk_gib' AS BIGINT);

-- What a node has given away is added up from these indexes alone.
DROP INDEX server_node;
CREATE INDEX server_node ON "server" (node_id, ram_mib, vcpus, disk_gib);
DROP INDEX volume_node;
CREATE INDEX volume_node ON "volume" (node_id, size_gib);
