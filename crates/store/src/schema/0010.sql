-- What of one project's others may see and use.
CREATE TABLE "rbac_policy" (
    id TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL, object_type TEXT NOT NULL,
    object_id TEXT NOT NULL, target TEXT NOT NULL, action TEXT NOT NULL,
    UNIQUE (object_id, action, target)
);
CREATE INDEX rbac_policy_project ON "rbac_policy" (project_id);

-- What was for everybody before is by a policy now.
CREATE TEMPORARY TABLE everybodys (project_id, object_type, object_id, action);
INSERT INTO everybodys SELECT project_id, 'network', id, 'access_as_shared' FROM "network" WHERE shared;
INSERT INTO everybodys SELECT project_id, 'network', id, 'access_as_external' FROM "network" WHERE external;
INSERT INTO everybodys SELECT project_id, 'subnetpool', id, 'access_as_shared' FROM "subnet_pool" WHERE shared;
INSERT INTO "rbac_policy" (id, project_id, object_type, object_id, target, action)
    SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8'
        || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))), project_id, object_type, object_id, '*', action
    FROM everybodys;
DROP TABLE everybodys;
ALTER TABLE "network" DROP COLUMN shared;
ALTER TABLE "subnet_pool" DROP COLUMN shared;
