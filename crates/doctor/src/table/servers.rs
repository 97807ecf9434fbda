//! Servers beside OpenStack: routers, names, time, the kernel.

use crate::finding::{Kind, Severity};

kinds! {
    RADVD_WITHOUT_FORWARDING = "radvd-without-forwarding", Error,
        "radvd advertises a router that forwards nothing.",
        "Hosts take it for their default router; without `net.ipv6.conf.all.forwarding = 1` what they send there is dropped. radvd only warns in its log.",
        "Set `net.ipv6.conf.all.forwarding = 1` (and `accept_ra = 2` on the uplink, if that is how this host gets its route), or `AdvDefaultLifetime 0`.",
        ["radvd-project/radvd radvd.c: check_ip6_forwarding()", "RFC 4861, section 6.2.1"];

    RADVD_SILENT = "radvd-silent", Error,
        "radvd sends nothing on an interface.",
        "`AdvSendAdvert` is off by default: the block is read and no advertisement leaves.",
        "Write `AdvSendAdvert on;` in the block.",
        ["radvd.conf(5), AdvSendAdvert", "RFC 4861, section 6.2.1"];

    RADVD_NO_ADDRESSES = "radvd-no-addresses", Warning,
        "A prefix is announced from which hosts make no address.",
        "It is neither autonomous (A) nor does the advertisement send hosts to DHCPv6 (M): they have a router and no address.",
        "Write `AdvAutonomous on;` in the prefix, or `AdvManagedFlag on;` in the interface with a DHCPv6 server beside it.",
        ["RFC 4861, section 4.2 and 4.6.2", "RFC 4862, section 5.5.3"];

    RADVD_PREFIX_LENGTH = "radvd-prefix-length", Error,
        "An autonomous prefix is not a /64.",
        "The prefix and the interface identifier of 64 bits must make 128: hosts pass over any other length and have no address.",
        "Announce a /64, or `AdvAutonomous off;` with DHCPv6.",
        ["RFC 4862, section 5.5.3 d", "RFC 4291, section 2.5.1"];

    SYSCTL_ACCEPT_RA = "sysctl-accept-ra", Error,
        "A host that forwards is told to take Router Advertisements the way hosts do.",
        "With `forwarding = 1` the kernel ignores advertisements unless `accept_ra` is 2: the host loses its default route when the last advertisement ends.",
        "Write 2.",
        ["https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (accept_ra)"];

    SYSCTL_DISABLE_IPV6 = "sysctl-disable-ipv6", Error,
        "IPv6 is switched off in the kernel.",
        "Interfaces have not even a link-local address; nothing of this host can be reached by IPv6.",
        "Take the line out, or write 0.",
        ["https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (disable_ipv6)"];

    IPV4_FORCED = "ipv4-forced", Error,
        "A program is told to use IPv4 only.",
        "It does so even where IPv6 would work.",
        "Take the option out.",
        ["chronyd(8), option -4"];

    CHRONY_ALLOW_IPV4 = "chrony-allow-ipv4", Warning,
        "chrony serves time to IPv4 clients only.",
        "`allow` with an IPv4 prefix says nothing about IPv6: those clients are refused, and their clocks drift until tokens and certificates are refused too.",
        "Add `allow` with your IPv6 prefix.",
        ["chrony.conf(5), allow"];

    DNSMASQ_IPV4_ONLY = "dnsmasq-ipv4-only", Warning,
        "dnsmasq serves addresses of IPv4 only.",
        "There is no `dhcp-range` of IPv6 (nor `enable-ra`): hosts on this link hear nothing that gives them an IPv6 address from here.",
        "Add `dhcp-range=::,constructor:INTERFACE,ra-stateless` (or `ra-only`) and `enable-ra`.",
        ["dnsmasq(8), --dhcp-range and --enable-ra"];
}
