//! Sockets that are bound to IPv4.

use crate::finding::{Kind, Severity};

kinds! {
    BIND_IPV4_ANY = "bind-ipv4-any", Error,
        "A daemon listens on 0.0.0.0.",
        "0.0.0.0 is all addresses of IPv4 and none of IPv6: on a network without IPv4 nobody reaches the daemon.",
        "Listen on `::` (in brackets where a port follows). With Linux's default `net.ipv6.bindv6only = 0` that socket still takes IPv4 clients, so it can be changed before the move.",
        ["https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (bindv6only)", "RFC 3493, section 5.3"];

    BIND_IPV4_LOOPBACK = "bind-ipv4-loopback", Warning,
        "A daemon listens on 127.0.0.1 and not on ::1.",
        "Clients that ask for `localhost` try ::1 first, and on a host without IPv4 they try nothing else.",
        "Listen on ::1, or on both where the daemon takes several addresses, and let clients say `localhost`.",
        ["RFC 6724, section 2.1"];

    BIND_IPV4_ADDRESS = "bind-ipv4-address", Error,
        "A daemon listens on one IPv4 address.",
        "The address goes when IPv4 goes, and the daemon then does not start or is not reached.",
        "Write the host's IPv6 address, or `::`.",
        ["RFC 3493, section 5.3"];

    DEFAULT_IPV4 = "default-ipv4", Error,
        "An option is not set, and its default is IPv4.",
        "Nothing in the files shows that the daemon depends on IPv4: the default does it.",
        "Set the option.",
        ["https://docs.openstack.org/oslo.config/latest/"];

    UWSGI_SOCKET_IPV4 = "uwsgi-socket-ipv4", Error,
        "uWSGI listens on a socket that names no IPv6 address.",
        "uWSGI opens an IPv6 socket only when the address stands in brackets. `:PORT`, `*:PORT` and `0.0.0.0:PORT` are IPv4 alone, and `:::PORT` is read as IPv4 and fails.",
        "Write `[::]:PORT`.",
        ["unbit/uwsgi 2.0, core/socket.c: bind_to_tcp() takes AF_INET6 only for `[`"];

    HAPROXY_BIND_IPV4 = "haproxy-bind-ipv4", Error,
        "HAProxy listens on IPv4 only.",
        "For HAProxy an empty address, `*` and 0.0.0.0 are all addresses of IPv4. The clients of a cloud without IPv4 do not reach it.",
        "Write `bind :::PORT v4v6`; `v6only` when IPv4 is gone.",
        ["haproxy/haproxy doc/configuration.txt, keywords `bind`, `v4v6`, `v6only`"];

    HAPROXY_BIND_PLAIN = "haproxy-bind-plain", Warning,
        "HAProxy takes HTTP without TLS.",
        "Tokens and passwords cross the network in the clear. With IPv6 there is no translation behind which such a port is hidden.",
        "Add `ssl crt FILE` to the bind line, or let the frontend do nothing but `http-request redirect scheme https`.",
        ["haproxy/haproxy doc/configuration.txt, keyword `ssl` of `bind`"];

    RABBITMQ_INET6_DIST = "rabbitmq-inet6-dist", Error,
        "RabbitMQ is not told to talk to its nodes and tools by IPv6.",
        "Clients' listeners take IPv6 by themselves, but Erlang's distribution (other nodes, rabbitmqctl) uses IPv4 unless told otherwise: a host without IPv4 forms no cluster, and its tools do not reach it.",
        "In rabbitmq-env.conf: `SERVER_ADDITIONAL_ERL_ARGS=\"-proto_dist inet6_tcp\"` and `CTL_ERL_ARGS=\"-proto_dist inet6_tcp\"`, on all nodes of the cluster at once. Where there is no IPv4 at all, `-kernel inetrc FILE` too, with `{inet6,true}.` in the file, so that names are looked up for IPv6.",
        ["https://www.rabbitmq.com/docs/networking#distribution-ipv6"];

    BRACKETED_ADDRESS = "bracketed-address", Error,
        "An address has brackets where none belong.",
        "Brackets separate an address from a port. Where the address stands alone they are taken as part of it: the daemon refuses the value, or looks for a host of that name.",
        "Write the address without brackets.",
        ["RFC 3986, section 3.2.2", "oslo.config types.HostAddress"];
}
