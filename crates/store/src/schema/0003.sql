-- What hypervisors and services are known by in the compute API, which knows them by numbers: a
-- number stays the same when another node is forgotten.
ALTER TABLE "node" ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
UPDATE "node" SET number = (SELECT count(*) FROM "node" n WHERE n.id <= "node".id);
CREATE UNIQUE INDEX node_number ON "node" (number);
