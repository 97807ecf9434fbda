-- The VLAN that a network is on its physical network; -1 stands for a flat one, so that there is one.
ALTER TABLE "network" ADD COLUMN segmentation_id BIGINT;
DROP INDEX network_physical;
CREATE UNIQUE INDEX network_physical ON "network" (physical_network, coalesce(segmentation_id, -1))
    WHERE physical_network IS NOT NULL;
