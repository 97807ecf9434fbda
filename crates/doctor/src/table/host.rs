//! What a hextet host can lack: sockets, names, certificates and the kernel.

use crate::finding::{Kind, Severity};

kinds! {
    LISTENER_TAKEN = "listener-taken", Error,
        "Another program listens where hextet should.",
        "`hextet up` does not start: it listens on all addresses of its settings, or on none.",
        "End the other program, or write another port into hextet.toml.",
        ["ipv6(7)", "bind(2), EADDRINUSE"];

    LISTENER_ADDRESS_ABSENT = "listener-address-absent", Error,
        "hextet should listen on an address that this host does not have.",
        "`hextet up` does not start. The address may also be tentative still: the kernel first asks whether another host uses it.",
        "Give the address to an interface, or write another one into hextet.toml.",
        ["RFC 4862, section 5.4", "bind(2), EADDRNOTAVAIL"];

    SOCKET_IPV4 = "socket-ipv4", Error,
        "A process of hextet's holds an IPv4 socket outside of guests' networks.",
        "hextet's own traffic is IPv6 alone, and a filter holds its processes to it: a socket like this was not opened by a hextet that runs as it should.",
        "Report it.",
        ["ARCHITECTURE.md, Invariants"];

    SOCKET_TAKES_IPV4 = "socket-takes-ipv4", Error,
        "A process of hextet's listens on IPv6 in a way that takes IPv4 too.",
        "Without IPV6_V6ONLY a socket on `::` takes IPv4 clients, which filters for IPv6 do not see and for which nobody planned.",
        "Report it; of a socket that a service manager passes on, set BindIPv6Only=ipv6-only in its unit.",
        ["RFC 3493, section 5.3", "ipv6(7), IPV6_V6ONLY"];

    NAME_ELSEWHERE = "name-elsewhere", Error,
        "The host in the cloud's URL leads to another host.",
        "The catalog sends clients to that name, and they end up elsewhere; `hextet up` does not start.",
        "Mend the AAAA record, or say `url_elsewhere = true` in [edge] where a balancer passes connections on.",
        ["RFC 3596"];

    NAME_PARTLY_ELSEWHERE = "name-partly-elsewhere", Warning,
        "One of the addresses of the URL's host is no address of this host.",
        "Clients choose among the addresses, and those that take this one do not come here.",
        "Take the record away, or give the address to an interface.",
        ["RFC 6724", "RFC 8305"];

    NAME_ORPHANED_A = "name-orphaned-a", Warning,
        "The URL's host has an A record, and nobody listens on IPv4.",
        "Clients that prefer IPv4, or race both families, meet a host that does not answer.",
        "Take the A record away.",
        ["RFC 8305"];

    NAME_NOT_IN_DNS = "name-not-in-dns", Warning,
        "The URL's host has no address at all.",
        "Clients find the cloud only where their own /etc/hosts says where it is.",
        "Give it an AAAA record with an address of this host.",
        ["RFC 3596"];

    CERTIFICATE_NOT_YET = "certificate-not-yet-valid", Error,
        "A certificate is not valid yet.",
        "Clients refuse it, and `hextet up` does not start. As often it is this host's clock that is wrong.",
        "Set the clock right, or wait.",
        ["RFC 5280, section 4.1.2.5"];

    CERTIFICATE_UNTRUSTED = "certificate-untrusted", Error,
        "A certificate does not lead to the authority that clients are given.",
        "Clients refuse it, and `hextet up` does not start.",
        "Put the certificates between it and the authority behind it, and the authority into ca.pem.",
        ["RFC 5280, section 6.1"];

    CERTIFICATE_WITHOUT_HOST = "certificate-without-host", Error,
        "No certificate carries the host in the cloud's URL.",
        "Clients compare the host in the URL with subjectAltName and refuse; `hextet up` does not start.",
        "Have it issued anew with that name, or address, in subjectAltName.",
        ["RFC 9525, section 6"];

    CERTIFICATE_ENDS_SOON = "certificate-ends-soon", Warning,
        "A certificate ends within 30 days, or the last quarter of a shorter life.",
        "From its end on clients refuse the cloud.",
        "Have a new one issued. It is taken up without a restart.",
        ["RFC 5280, section 4.1.2.5"];

    CERTIFICATE_AWAITED = "certificate-awaited", Warning,
        "The certificate that ACME is to bring is not there yet.",
        "Until it is, clients that ask for the cloud's name are turned away.",
        "Let `hextet up` have it issued; see its log when that takes more than a minute.",
        ["RFC 8555", "docs/acme.md"];

    CERTIFICATE_UNREADABLE = "certificate-unreadable", Error,
        "A certificate, a key or the authority's certificate cannot be read.",
        "Without them there is no TLS, and `hextet up` does not start.",
        "Put the right PEM file there.",
        ["RFC 7468"];

    KEY_MISMATCH = "key-mismatch", Error,
        "A private key is not that of the certificate beside it.",
        "No client could be answered, and `hextet up` does not start.",
        "Put the two that belong together in place.",
        ["RFC 8446, section 4.4.3"];

    KEY_EXPOSED = "key-exposed", Error,
        "Everybody on this host can read a private key.",
        "Who has it can pass for this cloud, and `hextet up` does not start.",
        "`chmod 600`; and a new key where strangers had accounts.",
        ["chmod(1)"];

    SYSCTL_GC_THRESH = "sysctl-gc-thresh", Warning,
        "The kernel's neighbour tables are too small for the guests.",
        "All namespaces share them. When they are full the kernel says `neighbour table overflow`, and guests lose each other at random.",
        "Raise net.ipv6.neigh.default.gc_thresh1 to 3, and those of ipv4; `hextet up` does so when it starts.",
        ["https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (neigh/default/gc_thresh3)"];

    SYSCTL_BINDV6ONLY = "sysctl-bindv6only", Hint,
        "Sockets on `::` take IPv6 alone on this host.",
        "hextet asks for that itself, so it does not matter to it; other programs that count on one socket for both families stay silent on IPv4.",
        "Know it, or set net.ipv6.bindv6only to 0.",
        ["https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (bindv6only)"];

    RESOLVER_SILENT = "resolver-silent", Warning,
        "A resolver that guests' questions go to does not answer.",
        "hextet's resolvers know the cloud's own names and pass on all other questions: guests wait for the next resolver, or in vain.",
        "Mend the resolver or the way to it, or name another in [dns] upstreams.",
        ["RFC 1035, section 4.2.1"];

    RESOLVER_IPV4_ONLY = "resolver-ipv4-only", Warning,
        "Resolvers are named by IPv4 addresses alone.",
        "hextet asks over IPv6 and nothing else, so it asks none of them: guests find the cloud's own names and no others, and the URL's host cannot be looked up.",
        "Name a resolver by its IPv6 address.",
        ["resolv.conf(5)", "ipv6(7)"];

    RESOLVER_NONE = "resolver-none", Warning,
        "No resolver is named.",
        "Guests find the cloud's own names and no others.",
        "Name a resolver by its IPv6 address; or `upstreams = []` in [dns] where that is meant.",
        ["resolv.conf(5)"];
}
