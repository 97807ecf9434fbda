-- What a guest told of its password.
ALTER TABLE "server" ADD COLUMN password TEXT NOT NULL DEFAULT '{"text":null,"epoch":0}';
-- What else there is to say of an action that went well.
ALTER TABLE "server_action" ADD COLUMN note TEXT;
-- Prefixes that hosts are to stop using: {"prefix", "until_ms"} each.
ALTER TABLE "network" ADD COLUMN retired TEXT NOT NULL DEFAULT '[]';
-- How long addresses of a subnet hold at a time, and where its translator to IPv4 is.
ALTER TABLE "subnet" ADD COLUMN lifetimes TEXT NOT NULL DEFAULT '{"valid_s":86400,"preferred_s":14400}';
ALTER TABLE "subnet" ADD COLUMN pref64 TEXT NOT NULL DEFAULT 'null';
-- How a router's port advertises, what is behind a guest's port, and what DHCP tells it besides.
ALTER TABLE "port" ADD COLUMN advertising TEXT NOT NULL DEFAULT '{"interval_s":600,"lifetime_s":1800,"preference":"medium"}';
ALTER TABLE "port" ADD COLUMN delegated TEXT NOT NULL DEFAULT '[]';
ALTER TABLE "port" ADD COLUMN dhcp_options TEXT NOT NULL DEFAULT '[]';
