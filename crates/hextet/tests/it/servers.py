"""Stages of servers.rs, spoken through the unmodified openstacksdk and openstack command."""
import json
import os
import signal
import subprocess
import sys
import time

import openstack

ROOT, OUTSIDE, GUEST = (os.environ["HOST_" + name] for name in ("ROOT", "OUTSIDE", "GUEST"))
KEY = os.path.join(ROOT, "id")
USER_DATA = "#!/bin/sh\necho user-data-ran-here\n"
cloud = openstack.connect(cloud="hextet")


def until(what, look, seconds=60):
    """Looks again and again: the guest's own time is what is waited for."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "not within %s s: %s" % (seconds, what)
        time.sleep(0.1)


def server(name):
    return cloud.compute.find_server(name, ignore_missing=False)


def status(name, wanted):
    def look():
        found = cloud.compute.get_server(server(name))
        assert found.status != "ERROR" or wanted == "ERROR", found.fault
        return found.status == wanted and found.task_state is None
    until("%s is %s" % (name, wanted), look)


def console(name):
    return cloud.compute.get_server_console_output(server(name))["output"]


def address(name):
    return server(name).addresses["private"][0]["addr"]


def outside(*command):
    return subprocess.run(["ip", "netns", "exec", OUTSIDE, *command], capture_output=True, text=True)


def pings(name):
    return outside("ping", "-c", "1", "-W", "1", address(name)).returncode == 0


def ssh_to(address, command):
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=3", "LogLevel=ERROR"]
    flags = [word for option in options for word in ("-o", option)]
    # A connection that an address's move cuts would wait for ever.
    return outside("timeout", "20", "ssh", "-i", KEY, *flags, "root@" + address, command)


def ssh(name, command):
    return ssh_to(address(name), command)


def answers(name):
    until("%s answers ping" % name, lambda: pings(name))
    until("%s lets us in" % name, lambda: ssh(name, "hostname").stdout.strip() == name)


def upload(name, path, disk_format, container_format, **properties):
    return cloud.create_image(name, filename=path, disk_format=disk_format, container_format=container_format,
                              visibility="public", wait=True, **properties)


def make():
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY], check=True)
    kernel = upload("kernel", GUEST + "/vmlinuz", "aki", "aki")
    ramdisk = upload("ramdisk", GUEST + "/initrd", "ari", "ari")
    blank = os.path.join(ROOT, "blank")
    with open(blank, "wb") as file:
        file.truncate(1 << 20)
    upload("guest", blank, "raw", "bare", kernel_id=kernel.id, ramdisk_id=ramdisk.id)
    cloud.create_keypair("key", open(KEY + ".pub").read())
    public = cloud.network.create_network(name="public", is_router_external=True, provider_network_type="flat",
                                          provider_physical_network="public")
    cloud.network.create_subnet(name="public6", network_id=public.id, ip_version=6, cidr="2001:db8:ffff::/64",
                                is_dhcp_enabled=False)
    private = cloud.network.create_network(name="private")
    subnet = cloud.network.create_subnet(name="private6", network_id=private.id, ip_version=6, cidr="2001:db8:1::/64",
                                         ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    router = cloud.network.create_router(name="router", external_gateway_info={"network_id": public.id})
    cloud.network.add_interface_to_router(router, subnet_id=subnet.id)
    via = cloud.network.get_router(router).external_gateway_info["external_fixed_ips"][0]["ip_address"]
    subprocess.run(["ip", "-n", OUTSIDE, "route", "add", "2001:db8:1::/64", "via", via], check=True)
    group = cloud.network.find_security_group("default")
    for protocol, port in (("ipv6-icmp", None), ("tcp", 22)):
        cloud.network.create_security_group_rule(security_group_id=group.id, direction="ingress", ethertype="IPv6",
                                                 protocol=protocol, port_range_min=port, port_range_max=port)
    for name in ("one", "two"):
        made = cloud.create_server(name, image="guest", flavor="m1.nano", network="private", key_name="key",
                                   userdata=USER_DATA, wait=True)
        assert made.status == "ACTIVE", made
    for name in ("one", "two"):
        answers(name)
        log = console(name)
        for line in ("hextet-guest: hostname " + name, "hextet-guest: keys 1", "user-data-ran-here",
                     "hextet-guest: address eth0 " + address(name)):
            assert line in log, (line, log)
    ports = {port.device_owner: port.status for port in cloud.network.ports()}
    assert set(ports.values()) == {"ACTIVE"} and len(ports) == 4, ports
    # Guests reach each other only as the default group says: it lets its own members in.
    assert ssh("one", "ping -6 -c 1 -W 2 " + address("two")).returncode == 0
    listed = subprocess.run([os.environ["OPENSTACK"], "--os-cloud", "hextet", "server", "list", "--all-projects",
                             "-f", "json"], capture_output=True, text=True, check=True)
    shown = subprocess.run([os.environ["OPENSTACK"], "--os-cloud", "hextet", "hypervisor", "show", "1", "-f", "json"],
                           capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["state"] == "up", shown.stdout
    assert {entry["Name"]: entry["Status"] for entry in json.loads(listed.stdout)} == {"one": "ACTIVE", "two": "ACTIVE"}
    password()


def password():
    """A guest tells its password, at the address that needs no zone; its user reads and clears it."""
    metadata = "http://[fd00:ec2::254]/"
    said = ssh("one", "wget -q -O - %slatest/meta-data/instance-id" % metadata)
    assert said.stdout.strip() == "i-" + server("one").id[:8], said
    path = "/servers/%s/os-server-password" % server("one").id

    def tells(text):
        post = "wget -q -O - --post-data %s %sopenstack/latest/password" % (text, metadata)
        return ssh("one", post).returncode == 0

    def shown():
        return cloud.compute.get(path).json()["password"]

    assert shown() == ""
    assert tells("first")
    until("the first password is shown", lambda: shown() == "first")
    assert not tells("second")
    assert cloud.compute.delete(path).status_code == 204
    assert shown() == ""
    until("the guest may tell another", lambda: tells("second"))
    until("the second password is shown", lambda: shown() == "second")


def unmapped():
    """A network that no node can make is refused, in words that say which there are."""
    try:
        cloud.network.create_network(name="nowhere", provider_network_type="flat",
                                     provider_physical_network="nowhere")
        raise AssertionError("it was made")
    except openstack.exceptions.BadRequestException as refused:
        assert "'nowhere' unknown" in str(refused) and "public" in str(refused), refused
    assert [s.name for s in cloud.compute.servers(name="^tw")] == ["two"]
    assert [s.name for s in cloud.compute.servers(ip6=address("one"))] == ["one"]


def last_event(name):
    """Action and message of what a server's newest event says, as the openstack command shows it."""
    def ask(*words):
        asked = subprocess.run([os.environ["OPENSTACK"], "--os-cloud", "hextet", "server", "event", *words,
                                "-f", "json"], capture_output=True, text=True, check=True)
        return json.loads(asked.stdout)
    newest = ask("list", name)[0]
    shown = ask("show", name, newest["Request ID"])
    return newest["Action"], shown["message"]


def restarted():
    for name in ("one", "two"):
        status(name, "ACTIVE")
        answers(name)


def power():
    ssh("one", "poweroff")
    status("one", "SHUTOFF")
    action, said = last_event("one")
    assert action == "stop" and "powered itself off" in said, (action, said)
    cloud.compute.stop_server(server("two"))
    status("two", "SHUTOFF")
    cloud.compute.start_server(server("two"))
    status("two", "ACTIVE")
    answers("two")
    boots = console("two").count("hextet-guest: kernel up")
    for kind in ("SOFT", "HARD"):
        cloud.compute.reboot_server(server("two"), kind)
        status("two", "ACTIVE")
        boots += 1
        until("a %s reboot" % kind, lambda: console("two").count("hextet-guest: kernel up") >= boots)
        answers("two")


def still_off():
    status("one", "SHUTOFF")
    assert not pings("one")
    status("two", "ACTIVE")
    cloud.compute.start_server(server("one"))
    status("one", "ACTIVE")
    answers("one")


def strangers():
    project = cloud.identity.create_project(name="other", domain_id="default")
    user = cloud.identity.create_user(name="stranger", domain_id="default", password="a long password")
    role = cloud.identity.find_role("member")
    cloud.identity.assign_project_role_to_user(project, user, role)
    other = openstack.connect(load_yaml_config=False, load_envvars=False, auth_url=cloud.config.auth["auth_url"], username="stranger", password="a long password",
                              project_name="other", user_domain_id="default", project_domain_id="default",
                              region_name="RegionOne", cacert=os.path.join(ROOT, "etc/hextet/ca.pem"))
    assert list(other.compute.servers()) == []
    assert [network.name for network in other.network.networks()] == ["public"]
    for look in (lambda: other.compute.get_server(server("one")),
                 lambda: other.compute.delete_server(server("one"), ignore_missing=False),
                 lambda: other.network.get_network(cloud.network.find_network("private")),
                 lambda: other.network.get_router(cloud.network.find_router("router"))):
        try:
            look()
        except openstack.exceptions.NotFoundException:
            continue
        raise AssertionError("a stranger saw it")
    status("one", "ACTIVE")
    cloud.identity.delete_user(user)
    for group in cloud.network.security_groups(project_id=project.id):
        cloud.network.delete_security_group(group)
    cloud.identity.delete_project(project)


def remove():
    for name in ("one", "two"):
        assert cloud.delete_server(name, wait=True)
    router = cloud.network.find_router("router")
    cloud.network.remove_interface_from_router(router, subnet_id=cloud.network.find_subnet("private6").id)
    cloud.network.delete_router(router)
    for name in ("private", "public"):
        cloud.network.delete_network(cloud.network.find_network(name))
    assert list(cloud.network.ports()) == []
    for image in list(cloud.image.images()):
        cloud.image.delete_image(image)
    cloud.delete_keypair("key")


def disk(name, volume):
    """The device of a volume in a guest, by its serial number."""
    found = ssh(name, "grep -l %s /sys/block/*/serial" % volume.id[:20]).stdout.strip()
    return "/dev/" + found.split("/")[3] if found else None


def volume_status(name, wanted):
    def look():
        found = cloud.block_storage.find_volume(name, ignore_missing=False)
        assert not found.status.startswith("error"), found
        return found.status == wanted and found
    return until("volume %s is %s" % (name, wanted), look)


def attach(name, volume):
    cloud.compute.create_volume_attachment(server(name), volume_id=volume.id)
    volume_status(volume.name, "in-use")
    return until("%s has its disk" % name, lambda: disk(name, volume))


def detach(name, volume):
    cloud.compute.delete_volume_attachment(server(name), volume.id)
    volume_status(volume.name, "available")
    until("%s has no disk" % name, lambda: not disk(name, volume))


def volume_written():
    cloud.block_storage.create_volume(name="data", size=1)
    volume = volume_status("data", "available")
    device = attach("one", volume)
    done = ssh("one", "echo written-by-one | dd of=%s bs=512 conv=fsync,notrunc" % device)
    assert done.returncode == 0, done


def read(name, volume):
    return ssh(name, "head -c 14 %s" % disk(name, volume)).stdout.strip()


def volume_survived():
    volume = volume_status("data", "in-use")
    done = ssh("one", "echo 3 > /proc/sys/vm/drop_caches; echo more | dd of=%s bs=512 seek=9 conv=fsync,notrunc"
               % disk("one", volume))
    assert done.returncode == 0, done
    assert read("one", volume) == "written-by-one"


def kill(name):
    """Ends a server's QEMU as the kernel does when it has no memory left."""
    mine = server(name).id.encode()
    def is_mine(pid):
        try:
            line = open("/proc/%s/cmdline" % pid, "rb").read()
        except OSError:
            return False
        return line.startswith(b"qemu-system") and mine in line
    pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_mine(pid)]
    assert len(pids) == 1, pids
    os.kill(pids[0], signal.SIGKILL)
    status(name, "SHUTOFF")
    action, said = last_event(name)
    assert action == "stop" and "signal 9 (SIGKILL)" in said, (action, said)


def qemu_killed():
    volume = volume_status("data", "in-use")
    done = ssh("one", "echo on-the-root-disk | dd of=/dev/vda bs=512 conv=fsync,notrunc")
    assert done.returncode == 0, done
    kill("one")
    volume_status("data", "in-use")
    cloud.compute.start_server(server("one"))
    status("one", "ACTIVE")
    answers("one")
    assert read("one", volume) == "written-by-one"
    assert ssh("one", "head -c 16 /dev/vda").stdout == "on-the-root-disk"
    # What is written last is there for another guest, too, and the dead one is in nobody's way.
    done = ssh("one", "echo written-by-who | dd of=%s bs=512 conv=fsync,notrunc" % disk("one", volume))
    assert done.returncode == 0, done
    kill("one")
    cloud.compute.delete_volume_attachment(server("one"), volume.id)
    volume_status("data", "available")
    attach("two", volume)
    assert read("two", volume) == "written-by-who"


def volume_moved():
    volume = volume_status("data", "in-use")
    detach("one", volume)
    attach("two", volume)
    assert read("two", volume) == "written-by-one"


def volume_booted():
    image = cloud.image.find_image("guest")
    mapping = [{"uuid": image.id, "source_type": "image", "destination_type": "volume", "volume_size": 1,
                "boot_index": 0, "delete_on_termination": True}]
    network = cloud.network.find_network("private")
    made = cloud.compute.create_server(name="three", image_id="", flavor_id=cloud.compute.find_flavor("m1.nano").id,
                                       networks=[{"uuid": network.id}], key_name="key", block_device_mapping=mapping)
    cloud.compute.wait_for_server(made, wait=60)
    answers("three")


def card_plugged():
    network = cloud.network.find_network("private")
    port = cloud.network.create_port(network_id=network.id)
    cloud.compute.create_server_interface(server("one"), port_id=port.id)
    extra = port.fixed_ips[0]["ip_address"]
    until("one has its second card", lambda: "address eth1 " + extra in console("one"))
    cloud.compute.delete_server_interface(port.id, server=server("one"))
    until("one has one card", lambda: "eth1" not in ssh("one", "ls /sys/class/net").stdout)


def volumes_removed():
    detach("two", volume_status("data", "in-use"))
    cloud.compute.delete_server(server("three"))
    cloud.block_storage.delete_volume(volume_status("data", "available"))
    until("there is no volume", lambda: not list(cloud.block_storage.volumes()))


STAGES = (make, unmapped, restarted, power, still_off, strangers, remove,
          volume_written, qemu_killed, volume_survived, volume_moved, volume_booted, card_plugged, volumes_removed)
if __name__ == "__main__":
    {stage.__name__: stage for stage in STAGES}[sys.argv[1]]()
