"""Stages of cloud_init.rs: Debian with its cloud-init on an IPv6-only network, through openstacksdk."""
import os
import subprocess
import sys
import time

import openstack

ROOT, IMAGE = os.environ["HOST_ROOT"], os.environ["HOST_DEBIAN"]
KEY = os.path.join(ROOT, "id")
# Said when cloud-init has finished, by a unit of its own, because it is cloud-init that runs commands; and said again, because a
# login prompt that starts takes the line from whoever is writing.
REPORT = """exec >/run/report 2>&1
cloud-init status --wait --long
echo "seen: host $(hostname)"
echo "seen: key $(cat /home/debian/.ssh/authorized_keys)"
echo "seen: from $(cloud-init query subplatform)"
echo "seen: address $(ip -6 -o address show scope global | tr -s ' ' | cut -d' ' -f4)"
echo "seen: all"
for again in 1 2 3 4 5; do cat /run/report >/dev/ttyS0; sleep 3; done
"""
USER_DATA = """#cloud-config
write_files:
  - path: /root/report
    content: |
%s
runcmd:
  - [systemd-run, --no-block, sh, /root/report]
""" % "".join("      %s\n" % line for line in REPORT.splitlines())
cloud = openstack.connect(cloud="hextet")


def boots(source):
    """A server of the image; `source` is how its cloud-init calls where its metadata came from."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY], check=True)
    public_key = open(KEY + ".pub").read().strip()
    cloud.create_image("debian", filename=IMAGE, disk_format="qcow2", container_format="bare", wait=True)
    cloud.create_keypair("key", public_key)
    flavor = cloud.compute.create_flavor(name="debian", ram=768, vcpus=1, disk=4)
    private = cloud.network.create_network(name="private")
    cloud.network.create_subnet(name="private6", network_id=private.id, ip_version=6, cidr="2001:db8:1::/64",
                                ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    server = cloud.create_server("web-1", image="debian", flavor=flavor.id, network="private", key_name="key",
                                 userdata=USER_DATA, wait=True, timeout=300)
    assert server.status == "ACTIVE" and server.has_config_drive, server
    address = server.addresses["private"][0]["addr"]
    began, log = time.monotonic(), ""
    while "seen: all" not in log:
        assert time.monotonic() < began + 900, log
        time.sleep(2)
        server = cloud.compute.get_server(server)
        assert server.status == "ACTIVE", server
        log = cloud.compute.get_server_console_output(server)["output"]
    for line in ("status: done", "seen: host web-1", "seen: key " + public_key, "seen: from " + source,
                 "seen: address " + address):
        assert line in log, (line, log)
    print("cloud-init finished after %.0f s" % (time.monotonic() - began))


boots(sys.argv[1])
