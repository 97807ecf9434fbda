"""A dual-stack network from end to end, spoken through the unmodified openstacksdk."""
import subprocess
import sys

from servers import GUEST, OUTSIDE, ROOT, cloud, console, outside, server, ssh_to, until, upload

FAR = "203.0.113.1"


def addresses(name):
    listed = server(name).addresses["private"]
    return {(a["version"], a["OS-EXT-IPS:type"]): a["addr"] for a in listed}


def pings(address):
    return outside("ping", "-c", "1", "-W", "1", address).returncode == 0


def make():
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ROOT + "/id"], check=True)
    kernel = upload("kernel", GUEST + "/vmlinuz", "aki", "aki")
    ramdisk = upload("ramdisk", GUEST + "/initrd", "ari", "ari")
    with open(ROOT + "/blank", "wb") as file:
        file.truncate(1 << 20)
    upload("guest", ROOT + "/blank", "raw", "bare", kernel_id=kernel.id, ramdisk_id=ramdisk.id)
    cloud.create_keypair("key", open(ROOT + "/id.pub").read())
    public = cloud.network.create_network(name="public", is_router_external=True, provider_network_type="flat",
                                          provider_physical_network="public")
    for version, cidr in ((6, "2001:db8:ffff::/64"), (4, "198.51.100.0/24")):
        cloud.network.create_subnet(name="public%d" % version, network_id=public.id, ip_version=version, cidr=cidr,
                                    is_dhcp_enabled=False)
    private = cloud.network.create_network(name="private")
    subnets = [
        cloud.network.create_subnet(name="private6", network_id=private.id, ip_version=6, cidr="2001:db8:1::/64",
                                    ipv6_ra_mode="slaac", ipv6_address_mode="slaac"),
        cloud.network.create_subnet(name="private4", network_id=private.id, ip_version=4, cidr="192.0.2.0/24"),
    ]
    router = cloud.network.create_router(name="router", external_gateway_info={"network_id": public.id})
    for subnet in subnets:
        cloud.network.add_interface_to_router(router, subnet_id=subnet.id)
    via = [a["ip_address"] for a in cloud.network.get_router(router).external_gateway_info["external_fixed_ips"]]
    via = next(a for a in via if ":" in a)
    # An outside that knows nothing of the private network's IPv4, and a host beyond it.
    for command in ("link set lo up", "addr add 198.51.100.1/24 dev eth0", "addr add %s/32 dev lo" % FAR,
                    "route add 2001:db8:1::/64 via " + via):
        subprocess.run(["ip", "-n", OUTSIDE, *command.split()], check=True)
    group = cloud.network.find_security_group("default")
    for version, protocol, port in (("IPv4", "icmp", None), ("IPv4", "tcp", 22), ("IPv6", "tcp", 22)):
        cloud.network.create_security_group_rule(security_group_id=group.id, direction="ingress", ethertype=version,
                                                 protocol=protocol, port_range_min=port, port_range_max=port)
    for name in ("one", "two"):
        made = cloud.create_server(name, image="guest", flavor="m1.nano", network="private", key_name="key",
                                   auto_ip=False, wait=True)
        assert made.status == "ACTIVE", made
        assert set(addresses(name)) == {(4, "fixed"), (6, "fixed")}, addresses(name)


def reach():
    """By its floating address, in; by the router's, out; and metadata by IPv4."""
    public = cloud.network.find_network("public")
    port = next(cloud.network.ports(device_id=server("one").id))
    floating = cloud.network.create_ip(floating_network_id=public.id, port_id=port.id)
    address = floating.floating_ip_address
    assert addresses("one")[(4, "floating")] == address, addresses("one")
    until("one answers at its floating address", lambda: pings(address))
    until("one lets us in there", lambda: ssh_to(address, "hostname").stdout.strip() == "one")
    log = console("one")
    for version in (4, 6):
        assert "address eth0 " + addresses("one")[(version, "fixed")] in log, log
    inside = addresses("two")[(4, "fixed")]
    fetch = "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json"
    assert server("one").id in ssh_to(address, fetch).stdout
    # DHCP told it of the network's resolver, which knows the other by its server's name.
    named = ssh_to(address, "busybox nslookup two.openstacklocal").stdout
    for version in (4, 6):
        assert addresses("two")[(version, "fixed")] in named, named
    until("two has its IPv4 address", lambda: "address eth0 " + inside in console("two"))
    # The other leaves by the router's address, and reaches the first's from inside.
    for to in (inside, FAR):
        assert ssh_to(address, "ping -c 1 -W 2 " + to).returncode == 0, to
    other = addresses("two")[(6, "fixed")]
    for to in (FAR, address):
        assert ssh_to(other, "ping -c 1 -W 2 " + to).returncode == 0, to
    two = next(cloud.network.ports(device_id=server("two").id))
    cloud.network.update_ip(floating, port_id=two.id)
    until("the floating address is two's", lambda: ssh_to(address, "hostname").stdout.strip() == "two")
    cloud.network.delete_ip(floating)
    until("nobody answers there", lambda: not pings(address))
    reach_by_ipv6(public, port, two)


def reach_by_ipv6(public, one, two):
    """An address that no guest has, of a network that the outside has on its link."""
    subnet = cloud.network.find_subnet("public6")
    floating = cloud.network.create_ip(floating_network_id=public.id, subnet_id=subnet.id, port_id=one.id)
    address = floating.floating_ip_address
    assert addresses("one")[(6, "floating")] == address, addresses("one")
    assert floating.fixed_ip_address == addresses("one")[(6, "fixed")], floating
    until("one lets us in by IPv6", lambda: ssh_to(address, "hostname").stdout.strip() == "one")
    cloud.network.update_ip(floating, port_id=two.id)
    until("that address is two's", lambda: ssh_to(address, "hostname").stdout.strip() == "two")
    cloud.network.delete_ip(floating)
    until("nobody is there", lambda: ssh_to(address, "hostname").returncode != 0)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
