//! What guests on a hextet host can lack: bridges, programs, KVM, volumes, room, time.

use crate::finding::{Kind, Severity};

kinds! {
    BRIDGE_MISSING = "bridge-missing", Error,
        "The bridge of a physical network is not there.",
        "Networks on it have no way out: guests and routers reach nobody outside.",
        "Make the bridge, or name the right one in [node.physical_networks].",
        ["ip-link(8)", "README.md, [node.physical_networks]"];

    BRIDGE_DOWN = "bridge-down", Error,
        "The bridge of a physical network is down.",
        "A bridge that is down passes nothing: guests and routers reach nobody outside.",
        "`ip link set BRIDGE up`.",
        ["ip-link(8)"];

    BRIDGE_INTERFACE = "bridge-interface", Error,
        "An interface cannot be put into the bridge that hextet is to make of it.",
        "`hextet up` does not start. An interface with addresses would take them off the network, and the host might be cut off.",
        "Correct [node.bridges].",
        ["ip-link(8), master"];

    MTU_BELOW_IPV6 = "mtu-below-ipv6", Error,
        "The bridge of a physical network carries packets of fewer than 1280 octets.",
        "IPv6 needs 1280 on every link; the kernel switches IPv6 off on smaller ones, and larger packets vanish.",
        "Raise the bridge's MTU, which is that of its smallest member unless it was set.",
        ["RFC 8200, section 5"];

    MTU_BRIDGE = "mtu-bridge", Error,
        "A flat network tells its guests a larger MTU than its bridge carries.",
        "Small packets pass and large ones vanish: connections open, and hang when there is something to say.",
        "Make the network's MTU smaller, or the bridge's larger.",
        ["RFC 4821", "RFC 8201"];

    PHYSICAL_NETWORK_UNKNOWN = "physical-network-unknown", Warning,
        "A network is on a physical network for which this node names no bridge.",
        "Servers on it are not placed on this node, or have no way out.",
        "Name its bridge in [node.physical_networks].",
        ["README.md, [node.physical_networks]"];

    PROGRAM_MISSING = "program-missing", Error,
        "A program that a node starts is not on this host.",
        "`hextet up` does not start without it.",
        "Install its package.",
        ["README.md, Use it"];

    TRIAL_FAILED = "trial-failed", Error,
        "This host does not do something that guests' networks are made of.",
        "Networks and routers are namespaces with bridges, veths, taps and nftables tables. Where one of these fails no guest has a network. What was tried is what hextet does, in a namespace of its own that is gone again.",
        "Load the module, install the package, or start a kernel that has it: the finding says which.",
        ["ARCHITECTURE.md, A network on a node"];

    KVM_UNUSABLE = "kvm-unusable", Warning,
        "Guests do not run under KVM.",
        "They are emulated, which is many times slower. A device file proves nothing, so a small program was run to its end under KVM, or was not.",
        "Switch virtualisation on, in the firmware or on the host outside.",
        ["https://www.kernel.org/doc/html/latest/virt/kvm/index.html"];

    QEMU_WITHOUT_ISCSI = "qemu-without-iscsi", Warning,
        "QEMU lacks the driver for volumes.",
        "Guests log in to volumes by QEMU's own iSCSI. Without it each attachment fails.",
        "`apt install qemu-block-extra`.",
        ["https://www.qemu.org/docs/master/system/qemu-block-drivers.html (iSCSI LUNs)"];

    TGT_MISSING = "tgt-missing", Warning,
        "No volumes can be kept on this host.",
        "tgtd serves them, and it is not installed: `openstack volume create` finds no place here.",
        "`apt install tgt`.",
        ["tgtd(8)"];

    VOLUME_PORTAL = "volume-portal", Error,
        "Volumes cannot be served at their portal.",
        "The address is not this host's, or another program listens there. tgtd is not started then, because where it finds none of its addresses it listens on all.",
        "Give the address to an interface, end the other program, or change portals in [node.volumes].",
        ["tgtd(8), --iscsi portal", "RFC 7143"];

    DISK_READ_ONLY = "disk-read-only", Error,
        "A file system that hextet keeps things on cannot be written.",
        "Nothing can be created or changed. Often it is the kernel that stopped writing, because the disk fails.",
        "See dmesg; mend the disk, then mount it for writing.",
        ["mount(8), ro"];

    DISK_SHORT = "disk-short", Warning,
        "A file system that hextet keeps things on is nearly full.",
        "When it is full the database commits nothing, so the cloud answers with errors, and guests' disks and volumes fail their writes.",
        "Make room.",
        ["statvfs(3)", "ARCHITECTURE.md, A guest"];

    FILE_GONE = "file-gone", Error,
        "A file without which there is no cloud is not there.",
        "`hextet up` does not start, rather than make an empty one: an empty database would order every guest and image away.",
        "Mount the file system, or bring the file back from a backup.",
        ["ARCHITECTURE.md, Invariants"];

    SECRET_EXPOSED = "secret-exposed", Warning,
        "Others on this host may use what is hextet's alone.",
        "The database, the key of tokens, the authority's key or the administrator's password lies there: who reads it has the cloud.",
        "`chmod`; and new secrets where strangers had accounts.",
        ["chmod(1)"];

    CLOCK_ADRIFT = "clock-adrift", Warning,
        "Nothing keeps this host's clock right.",
        "A clock that is wrong makes certificates and tokens end too soon or too late, and guests take their time from it.",
        "Run an NTP client, with servers that are reached over IPv6.",
        ["adjtimex(2), STA_UNSYNC", "RFC 5905"];

    CLOCK_BEHIND = "clock-behind", Error,
        "This host's clock is behind what the database knows.",
        "It went back, or was ahead before: new things are older than old ones, and lists and clients that ask for changes since then miss some.",
        "Set the clock right.",
        ["adjtimex(2)"];

    NODE_SILENT = "node-silent", Error,
        "A node on record is not connected.",
        "Its guests may run on, but nothing is created, changed or removed there, and what it last said is shown.",
        "See why in its log; take it off the record if it never comes back.",
        ["README.md, hextet doctor"];
}
