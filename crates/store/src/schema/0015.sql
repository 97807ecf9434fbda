-- Parts of the address space in which no address is there twice.
CREATE TABLE "address_scope" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL, version BIGINT NOT NULL
);
CREATE INDEX address_scope_project ON "address_scope" (project_id);
ALTER TABLE "subnet_pool" ADD COLUMN address_scope_id TEXT REFERENCES "address_scope" (id);
CREATE INDEX subnet_pool_address_scope ON "subnet_pool" (address_scope_id);
