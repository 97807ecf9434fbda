-- Whether a router's external leg answers neighbour solicitations for addresses behind it.
ALTER TABLE "router" ADD COLUMN nd_proxy BOOLEAN NOT NULL DEFAULT FALSE;
