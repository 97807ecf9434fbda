"""A cloud of made-up nodes, as openstacksdk sees it."""

import contextlib
import io
import json
import shlex
import sys
import tempfile

import openstack
from openstackclient import shell

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


def say(line):
    """What the `openstack` command answers to a line."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        status = shell.main(["--os-cloud", "hextet", *shlex.split(line)])
    assert status == 0, line
    return told.getvalue()


def show(line):
    return json.loads(say(line + " -f json"))


def words():
    address_groups()
    stateless_groups()
    trunks()
    forwardings()
    availability()
    revisions()
    policies()
    scopes()
    topology()
    agents()


def agents():
    listed = show("network agent list")
    assert sorted(a["Host"] for a in listed) == ["fake-1", "fake-2", "fake-3"], listed
    assert all(a["Alive"] and a["State"] for a in listed), listed
    assert show(f"network agent show {listed[0]['ID']}")["binary"] == "hextet"
    assert show("network agent list --host fake-2")[0]["Host"] == "fake-2"


def trunks():
    for name in ("trunk-port", "first", "second"):
        say(f"port create --network net {name}")
    vlan = "port={},segmentation-type=vlan,segmentation-id={}"
    made = show(f"network trunk create --parent-port trunk-port --subport {vlan.format('first', 100)} t")
    assert [s["segmentation_id"] for s in made["sub_ports"]] == [100], made
    say(f"network trunk set --subport {vlan.format('second', 200)} t")
    subports = show("network subport list --trunk t")
    assert sorted(s["Segmentation ID"] for s in subports) == [100, 200], subports
    details = show("port show trunk-port")["trunk_details"]
    assert details["trunk_id"] == made["id"], details
    say("network trunk unset --subport first t")
    assert show("network trunk show t")["sub_ports"][0]["segmentation_id"] == 200
    assert [t["Name"] for t in show("network trunk list")] == ["t"]
    say("network trunk delete t")
    say("port delete trunk-port first second")


def address_groups():
    made = show("address group create --address 2001:db8:7::/48 --address 192.0.2.1 partners")
    assert made["addresses"] == ["192.0.2.1/32", "2001:db8:7::/48"], made
    say("address group set --address 2001:db8:8::8 --name friends partners")
    say("address group unset --address 192.0.2.1/32 friends")
    shown = show("address group show friends")
    assert shown["addresses"] == ["2001:db8:7::/48", "2001:db8:8::8/128"], shown
    say("security group create guarded")
    rule = show("security group rule create --ethertype IPv6 --remote-address-group friends guarded")
    assert rule["remote_address_group_id"] == made["id"], rule
    listed = show("security group rule list guarded")
    assert made["id"] in [r["Remote Address Group"] for r in listed], listed
    assert [g["Name"] for g in show("address group list")] == ["friends"]
    say(f"security group rule delete {rule['id']}")
    say("address group delete friends")
    say("security group delete guarded")


def stateless_groups():
    made = show("security group create --stateless bare")
    assert made["stateful"] is False, made
    port = show("port create --network net --security-group bare guarded")
    assert port["security_group_ids"] == [made["id"]], port
    refused = shell.main(["--os-cloud", "hextet", "security", "group", "set", "--stateful", "bare"])
    assert refused != 0
    say("port delete guarded")
    say("security group set --stateful bare")
    assert show("security group show bare")["stateful"] is True
    say("security group delete bare")


def forwardings():
    say("network create --external outside")
    say("subnet create --network outside --no-dhcp --subnet-range 203.0.113.0/24 outside4")
    say("subnet create --network net --subnet-range 192.0.2.0/24 inside4")
    say("router create --external-gateway outside router")
    say("router add subnet router inside4")
    port = show("port create --network net web")
    held = next(f["ip_address"] for f in port["fixed_ips"] if "." in f["ip_address"])
    address = show("floating ip create outside")["floating_ip_address"]
    what = f"--internal-ip-address {held} --port web --protocol tcp"
    create = f"floating ip port forwarding create {what}"
    one = show(f"{create} --internal-protocol-port 80 --external-protocol-port 8080 {address}")
    assert (one["internal_port"], one["external_port"]) == (80, 8080), one
    ranged = "--internal-protocol-port 90:91 --external-protocol-port 9090:9091"
    two = show(f"{create} --description ranged {ranged} {address}")
    assert two["external_port_range"] == "9090:9091", two
    say(f"floating ip port forwarding set --internal-protocol-port 81 {address} {one['id']}")
    shown = show(f"floating ip port forwarding show {address} {one['id']}")
    assert shown["internal_port"] == 81, shown
    listed = show(f"floating ip port forwarding list {address}")
    assert {f["ID"] for f in listed} == {one["id"], two["id"]}, listed
    listed = show(f"floating ip port forwarding list --external-protocol-port 8080 {address}")
    assert [f["ID"] for f in listed] == [one["id"]], listed
    say(f"floating ip port forwarding delete {address} {one['id']} {two['id']}")
    say(f"floating ip delete {address}")
    say("port delete web")
    say("router remove subnet router inside4")
    say("router delete router")
    say("subnet delete inside4")
    say("network delete outside")


def availability():
    shown = show("ip availability show net")
    assert shown["total_ips"] == 2**64 - 2 and shown["used_ips"] > 3, shown
    assert "net" in [n["Network Name"] for n in show("ip availability list --ip-version 6")]


def revisions():
    network = cloud.network.create_network(name="revised")
    number = network.revision_number
    try:
        cloud.network.update_network(network, if_revision=number + 1, name="stale")
        raise AssertionError("another revision was changed")
    except openstack.exceptions.PreconditionFailedException as refused:
        assert str(number) in refused.message, refused
    network = cloud.network.update_network(network, if_revision=number, name="fresh")
    assert network.revision_number > number, network
    cloud.network.delete_network(network, if_revision=network.revision_number)


def policies():
    partner = show("project create partner")
    kinds = "--type network --action access_as_shared"
    made = show(f"network rbac create {kinds} --target-project partner net")
    assert made["target_project_id"] == partner["id"], made
    assert show("network show net")["shared"] is False
    say(f"network rbac set --target-project admin {made['id']}")
    assert show("network show net")["shared"] is True
    assert made["id"] in [r["ID"] for r in show("network rbac list --long")]
    say(f"network rbac delete {made['id']}")
    say("network set --share net")
    say("network set --no-share net")
    assert show("network rbac list") == []
    say("project delete partner")


def scopes():
    scope = show("address scope create --ip-version 6 --share wide")
    assert scope["shared"] is True, scope
    pool = show(
        "subnet pool create --pool-prefix 2001:db8:f0::/48 --default-prefix-length 64 --default"
        " --address-scope wide pool6"
    )
    assert pool["address_scope_id"] == scope["id"], pool
    say("network create scoped")
    say("subnet create --network scoped --subnet-pool pool6 --ip-version 6 scoped6")
    assert show("network show scoped")["ipv6_address_scope"] == scope["id"]
    assert [s["Name"] for s in show("address scope list")] == ["wide"]


def topology():
    say("network create --external --default outside")
    say("subnet create --network outside --no-dhcp --subnet-range 2001:db8:e::/64 --ip-version 6 outside6")
    say("network auto allocated topology create --check-resources")
    made = show("network auto allocated topology create")
    assert show("network show auto_allocated_network")["id"] == made["id"], made
    assert show("network auto allocated topology create") == made
    say("network auto allocated topology delete")
    assert show("network list --name auto_allocated_network") == []


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


{"make": make, "words": words, "again": again}[sys.argv[1]]()
