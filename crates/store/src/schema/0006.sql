-- The node that an administrator means a port for.
ALTER TABLE "port" ADD COLUMN host TEXT NOT NULL DEFAULT '';
