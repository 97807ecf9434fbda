//! Names, peers and certificates.

use crate::finding::{Kind, Severity};

kinds! {
    PEER_IPV4 = "peer-ipv4", Error,
        "Another service is named by its IPv4 address.",
        "Without IPv4 the address does not answer.",
        "Name it by a name that has an AAAA record, or by its IPv6 address (in brackets where a port follows).",
        ["RFC 3986, section 3.2.2"];

    OWN_ADDRESS_IPV4 = "own-address-ipv4", Error,
        "A daemon tells others an IPv4 address of its own.",
        "What it tells is written into the database and used by others: volumes are attached, guests migrated and consoles opened by that address.",
        "Write the host's IPv6 address, without brackets.",
        ["https://docs.openstack.org/nova/latest/configuration/config.html#DEFAULT.my_ip"];

    IPV4_LITERAL = "ipv4-literal", Warning,
        "An option holds an IPv4 address.",
        "Whatever it is for, it will not be there without IPv4.",
        "Write what takes its place under IPv6, or take the option out.",
        ["https://docs.openstack.org/oslo.config/latest/"];

    UNBRACKETED_IPV6 = "unbracketed-ipv6", Error,
        "An IPv6 address stands in a URL, or before a port, without brackets.",
        "Nobody can tell where the address ends and the port begins; clients fail to parse it or connect to another port.",
        "Put brackets around the address: `http://[2001:db8::1]:5000`.",
        ["RFC 3986, section 3.2.2"];

    ENDPOINT_HTTP = "endpoint-http", Warning,
        "Another host's service is reached by plain HTTP.",
        "Tokens and passwords cross the network in the clear. What is on the same host (`localhost`) is not reported.",
        "Give the service a certificate and write `https://`; `cafile` names the authority when it is your own.",
        ["https://docs.openstack.org/security-guide/secure-communication.html"];

    NAME_WITHOUT_AAAA = "name-without-aaaa", Error,
        "A name has an IPv4 address and no IPv6 address.",
        "Whoever goes by that name uses IPv4, and nobody once it is gone.",
        "Add the IPv6 address: an AAAA record, or a line in /etc/hosts.",
        ["RFC 3596", "hosts(5)"];

    CERTIFICATE_SELF_SIGNED = "certificate-self-signed", Warning,
        "A certificate is signed by itself.",
        "Clients can only trust it one by one, or switch their checks off, which is what then happens.",
        "Have your authority issue one whose subjectAltName holds the names clients use.",
        ["RFC 5280, section 6.1"];

    CERTIFICATE_WITHOUT_NAME = "certificate-without-name", Error,
        "A certificate names nothing that a client of IPv6 could look for.",
        "Clients compare the host in the URL with subjectAltName: a DNS name, or an address of 16 octets for an IPv6 literal. A common name does not count, and an IPv4 address does not match an IPv6 one.",
        "Have it issued anew with a DNS name (or the IPv6 address) in subjectAltName.",
        ["RFC 9525, section 6", "RFC 5280, section 4.2.1.6"];

    CERTIFICATE_EXPIRED = "certificate-expired", Error,
        "A certificate is past its end.",
        "Clients refuse it.",
        "Have it renewed.",
        ["RFC 5280, section 4.1.2.5"];

    CERTIFICATE_FOREIGN = "certificate-foreign", Warning,
        "A service's certificate comes from an authority that the others here are not told to trust.",
        "The `cafile` of this host's clients does not hold its issuer, so their connections to such a service fail.",
        "Add the authority to the `cafile`, or have the certificate issued by the one that is in it.",
        ["RFC 5280, section 6.1"];

    HORIZON_ALLOWED_HOSTS = "horizon-allowed-hosts", Error,
        "ALLOWED_HOSTS holds an IPv6 address without brackets.",
        "Django compares it with the Host header, in which an IPv6 address has brackets: nobody who uses the address gets past.",
        "Write '[2001:db8::1]'.",
        ["django/django django/http/request.py: host_validation_re"];
}
