"""A cloud of made-up nodes, as openstacksdk sees it."""

import sys
import tempfile

import openstack

cloud = openstack.connect(cloud="hextet")


def server(name):
    return cloud.get_server(name)


def make():
    network = cloud.network.create_network(name="net")
    cloud.network.create_subnet(
        network_id=network.id, ip_version=6, cidr="2001:db8:1::/64",
        ipv6_ra_mode="slaac", ipv6_address_mode="slaac",
    )
    with tempfile.NamedTemporaryFile() as blank:
        blank.truncate(1 << 20)
        image = cloud.create_image(
            "blank", filename=blank.name, disk_format="raw", container_format="bare", wait=True
        )
    flavor = next(f for f in cloud.compute.flavors() if f.ram == 128)
    for name in ("one", "two", "three"):
        made = cloud.create_server(
            name, image=image.id, flavor=flavor.id, network=network.id, wait=True, auto_ip=False
        )
        assert made.status == "ACTIVE", made
    nodes = list(cloud.compute.hypervisors(details=True))
    assert sorted(n.name for n in nodes) == ["fake-1", "fake-2", "fake-3"], nodes
    assert all(n.state == "up" and n.hypervisor_type == "fake" for n in nodes), nodes
    assert {p.status for p in cloud.network.ports()} == {"ACTIVE"}
    cloud.compute.stop_server(server("two").id)
    cloud.compute.wait_for_server(server("two"), "SHUTOFF")


def again():
    states = {s.name: s.status for s in cloud.compute.servers()}
    assert states == {"one": "ACTIVE", "two": "SHUTOFF", "three": "ACTIVE"}, states
    cloud.compute.start_server(server("two").id)
    cloud.compute.wait_for_server(server("two"), "ACTIVE")
    cloud.compute.reboot_server(server("one").id, "HARD")
    cloud.compute.wait_for_server(server("one"), "ACTIVE")
    volume = cloud.create_volume(size=1, name="data", wait=True)
    cloud.attach_volume(server("one"), volume, wait=True)
    assert cloud.get_volume("data").status == "in-use"
    cloud.detach_volume(server("one"), cloud.get_volume("data"), wait=True)
    assert cloud.delete_volume("data", wait=True)
    said = cloud.compute.get_server_console_output(server("one").id)
    assert "made up" in said["output"], said
    for name in ("one", "two", "three"):
        assert cloud.delete_server(name, wait=True)
    assert {p.device_owner for p in cloud.network.ports()} == {"network:distributed"}


{"make": make, "again": again}[sys.argv[1]]()
