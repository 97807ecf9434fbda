//! Options of OpenStack's services that have rules of their own.

use crate::finding::{Kind, Severity};

kinds! {
    CONFIG_UNREADABLE = "config-unreadable", Error,
        "oslo.config refuses a file.",
        "The daemons that read it do not start; and nothing else in the file could be looked at.",
        "Correct the line.",
        ["openstack/oslo.config oslo_config/iniparser.py"];

    MEMCACHED_SERVERS_INET6 = "memcached-servers-inet6", Error,
        "A server of memcached is not written as python-memcached wants it for IPv6.",
        "python-memcached uses IPv6 only for what is written `inet6:[ADDRESS]:PORT` or `inet6:[NAME]:PORT`; a name without it is looked up for IPv4 alone. There is no error, only no cache: each token is validated anew.",
        "Write `inet6:[2001:db8::1]:11211`.",
        ["openstack/oslo.cache oslo_cache/_opts.py, help of memcache_servers", "python-memcached 1.62 memcache.py: _Host.__init__()"];

    MEMCACHED_SERVERS_PYMEMCACHE = "memcached-servers-pymemcache", Error,
        "`inet6:` is given to pymemcache.",
        "With `backend = dogpile.cache.pymemcache` the servers are read by pymemcache, which wants plain brackets and takes `inet6` for a host.",
        "Write `[2001:db8::1]:11211`.",
        ["openstack/oslo.cache oslo_cache/_opts.py, help of memcache_servers", "pinterest/pymemcache pymemcache/client/base.py: normalize_server_spec()"];

    ISCSI_ADDRESS_BRACKETS = "iscsi-address-brackets", Error,
        "cinder before Train writes iSCSI portals without brackets.",
        "It joins the address and the port with a colon; nova then cannot split them, and no volume is attached.",
        "Write the address with brackets. Since Train (15.0.0) cinder adds them itself and takes both.",
        ["openstack/cinder releasenotes/notes/lvm-ipv6-fix-e8d418726c92bbd5.yaml, first in 15.0.0", "openstack/cinder 14.0.0 cinder/volume/targets/iscsi.py, line 305"];

    OPTION_RENAMED = "option-renamed", Error,
        "An option has another name in this release.",
        "Its old name is no longer read, without a word: the default, which is IPv4, counts instead.",
        "Write the new name.",
        ["https://docs.openstack.org/oslo.config/latest/reference/deprecating.html"];

    OPTION_GONE = "option-gone", Hint,
        "An option that holds an IPv4 address is no longer read in this release.",
        "It does nothing, but suggests that the daemon listens there: what counts is where its web server listens.",
        "Take the line out, and look at the web server's sockets.",
        ["https://docs.openstack.org/oslo.config/latest/reference/deprecating.html"];

    USE_IPV6_OFF = "use-ipv6-off", Error,
        "nova-network gives guests no IPv6.",
        "`use_ipv6` is false by default; nova-network then hands out IPv4 alone. (It went with nova-network in Ussuri.)",
        "Write `use_ipv6 = true` in [DEFAULT].",
        ["openstack/nova 15.0.0 nova/conf/netconf.py; 20.0.0 nova/conf/network.py; gone in 21.0.0"];

    OVERLAY_IP_VERSION = "overlay-ip-version", Error,
        "ML2 expects IPv4 tunnels where agents have IPv6 ones.",
        "`overlay_ip_version` is 4 by default: neutron then refuses the tunnel endpoints of agents whose `local_ip` is IPv6, and networks do not reach across hosts.",
        "Write `overlay_ip_version = 6` in [ml2].",
        ["openstack/neutron neutron/conf/plugins/ml2/config.py", "openstack/neutron neutron/plugins/ml2/drivers/type_tunnel.py"];

    VXLAN_GROUP_FAMILY = "vxlan-group-family", Error,
        "The VXLAN group and `local_ip` are of different families.",
        "The agent checks that both are of one family and ends when they are not. The default group is 224.0.0.1, which is IPv4, so an IPv6 `local_ip` alone is enough.",
        "Write `vxlan_group = ff05::100` (the same on all nodes), or an empty one where `l2_population` is on.",
        ["openstack/neutron 20.0.0 neutron/plugins/ml2/drivers/linuxbridge/agent/linuxbridge_neutron_agent.py: validate_vxlan_group_with_local_ip(); the agent is gone in 26.0.0 (2025.1)"];

    UWSGI_CLOSES = "uwsgi-closes", Hint,
        "uWSGI ends the connection after each answer.",
        "Without its Content-Length an answer ends only where the connection ends, and `Connection: close` says so itself: each request pays for a new TCP and TLS handshake.",
        "Take the line out (`rem-header = Content-Length`, `add-header = Connection: close`), and let the web server before it keep connections open.",
        ["RFC 9112, section 6.3", "https://uwsgi-docs.readthedocs.io/en/latest/Options.html#rem-header"];
}
