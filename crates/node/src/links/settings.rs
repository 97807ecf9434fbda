//! What the kernel is told of the namespaces that we make.

/// Only the addresses we add exist, and nobody's advertisement changes anything. All of these are
/// set before a link is made, which takes them over.
pub(crate) const COMMON: &[(&str, &str)] = &[
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
];

/// The marks that filters set lead from a packet to the socket that answers it; bridged packets
/// pass the inet tables, which hold the security groups.
pub(crate) const NETWORK: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv4/ip_forward", "0"),
    // A guest may ask from an address that this namespace has no route to.
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/tcp_fwmark_accept", "1"),
    ("net/bridge/bridge-nf-call-ip6tables", "1"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
];

/// How long a router waits before it asks again for a neighbour. By default it asks each second
/// (RETRANS_TIMER, RFC 4861, section 10), so that the first packet to a guest that has just come up
/// would wait for up to one.
pub(super) const LEG_RETRANS_MS: &str = "250";

/// A leg keeps its addresses while it is down, and tells its neighbours when it comes up.
pub(crate) const ROUTER: &[(&str, &str)] = &[
    ("net/ipv6/conf/default/forwarding", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/all/keep_addr_on_down", "1"),
    ("net/ipv6/conf/default/keep_addr_on_down", "1"),
    ("net/ipv6/conf/all/ndisc_notify", "1"),
    ("net/ipv6/conf/default/ndisc_notify", "1"),
    // First, because it sets others back to what RFC 1812 says.
    ("net/ipv4/ip_forward", "1"),
    // Whoever sends from an address must be reached by the leg that it came by (RFC 3704).
    ("net/ipv4/conf/all/rp_filter", "1"),
    ("net/ipv4/conf/default/rp_filter", "1"),
    // A leg speaks for its own addresses only: floating addresses are none of the inside's.
    ("net/ipv4/conf/all/arp_ignore", "1"),
    ("net/ipv4/conf/all/arp_announce", "2"),
    // With translation, the next hop that a redirect names would not do.
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    // The first address of a subnet does not take the others with it.
    ("net/ipv4/conf/all/promote_secondaries", "1"),
];
