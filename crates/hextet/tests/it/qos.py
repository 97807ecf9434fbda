"""Quality of service, spoken through the unmodified openstack client."""
import contextlib
import io
import json
import sys

import openstack
from openstackclient.shell import main

cloud = openstack.connect(cloud="hextet")

POLICY = "network qos policy "
RULE = "network qos rule "


def run(line, fails=False):
    """What a command prints as JSON, if it prints anything."""
    words = line.split()
    if any(word in words for word in ("create", "list", "show")):
        words += ["-f", "json"]
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        status = main(["--os-cloud", "hextet"] + words)
    assert bool(status) == fails, (line, status, said.getvalue(), errors.getvalue())
    return errors.getvalue() if fails else json.loads(said.getvalue() or "null")


def of_one(what):
    """The server's port, as a command shows it."""
    port = next(iter(cloud.network.ports(device_id=cloud.compute.find_server("one").id)))
    return run("port %s %s" % (what, port.id))


def make():
    """A policy with a rule of each kind, and a port that has it."""
    made = run(POLICY + "create --share --description slow slow")
    assert made["shared"] and made["description"] == "slow", made
    limit = "create --type bandwidth-limit --max-kbps %d --%s %s slow"
    egress = run(RULE + limit % (4000, "egress", "--max-burst-kbits 160"))
    run(RULE + limit % (8000, "ingress", ""))
    mark = run(RULE + "create --type dscp-marking --dscp-mark 26 slow")
    refused = run(RULE + "create --type minimum-bandwidth --min-kbps 1 --egress slow", fails=True)
    assert "not supported by this cloud" in refused, refused
    shown = run(RULE + "show slow " + egress["id"])
    assert (shown["max_kbps"], shown["max_burst_kbps"], shown["direction"]) == (4000, 160, "egress"), shown
    assert run(RULE + "show slow " + mark["id"])["dscp_mark"] == 26
    kinds = sorted(rule["Type"] for rule in run(RULE + "list slow"))
    assert kinds == ["bandwidth_limit", "bandwidth_limit", "dscp_marking"], kinds
    assert len(run(POLICY + "show slow")["rules"]) == 3
    assert [policy["Name"] for policy in run(POLICY + "list --share")] == ["slow"]
    kinds = [kind["Type"] for kind in run("network qos rule type list")]
    assert kinds == ["bandwidth_limit", "dscp_marking"], kinds
    shown = run("network qos rule type show bandwidth_limit")
    assert shown["rule_type_name"] == "bandwidth_limit", shown
    of_one("set --qos-policy slow")
    assert of_one("show")["qos_policy_id"] == made["id"]
    assert "is used by port" in run(POLICY + "delete slow", fails=True)


def change():
    """Another rate, a mark less, and the policy is the network's instead."""
    for rule in run(RULE + "list slow"):
        if rule["Type"] == "dscp_marking":
            run(RULE + "delete slow " + rule["ID"])
        elif rule["Direction"] == "egress":
            run(RULE + "set --max-kbps 6000 slow " + rule["ID"])
    of_one("unset --qos-policy")
    run("network set --qos-policy slow private")
    policy = run(POLICY + "show slow")["id"]
    shown = of_one("show")
    assert (shown["qos_policy_id"], shown["qos_network_policy_id"]) == (None, policy), shown
    assert run("network show private")["qos_policy_id"] == policy


def remove():
    """No policy any more."""
    run("network set --no-qos-policy private")
    run(POLICY + "set --name gone --no-share slow")
    run(POLICY + "delete gone")
    assert run(POLICY + "list") == []


globals()[sys.argv[1]]()
