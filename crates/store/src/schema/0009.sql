-- Prefixes that rules of security groups name together.
CREATE TABLE "address_group" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, addresses TEXT NOT NULL, revision BIGINT NOT NULL,
    created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL
);
CREATE INDEX address_group_project ON "address_group" (project_id);
ALTER TABLE "security_group_rule" ADD COLUMN remote_address_group_id TEXT REFERENCES "address_group" (id);
CREATE INDEX rule_address_group ON "security_group_rule" (remote_address_group_id);
