//! Ids as types, so that a subnet's id can never stand where a network's belongs.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random (version 4) id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The first eight hex digits: short enough for a kernel object's name.
            pub fn short(&self) -> String {
                self.0.simple().to_string()[..8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    )*};
}

uuid_id! {
    /// A network of the network API.
    NetworkId
    /// A subnet of a network.
    SubnetId
    /// A port of a network.
    PortId
    /// A router between networks.
    RouterId
    /// A message to others: the same however often it is sent.
    MessageId
    /// A security group.
    SecurityGroupId
    /// A rule of a security group.
    RuleId
    /// Prefixes that rules name together.
    AddressGroupId
    /// A server of the compute API.
    ServerId
    /// An image of the image API.
    ImageId
    /// A host that runs guests.
    NodeId
    /// An address of an external network that stands for a port's.
    FloatingIpId
    /// Ports of a floating IP that stand for a port's.
    PortForwardingId
    /// A volume of the volume API.
    VolumeId
    /// A volume's attachment to a server.
    AttachmentId
    /// A set of servers that are placed with regard to each other.
    ServerGroupId
    /// Prefixes that subnets are cut from.
    SubnetPoolId
    /// What lets others use something of a project's.
    RbacPolicyId
    /// A part of the address space in which no address is there twice.
    AddressScopeId
    /// A port whose card carries other ports as VLANs.
    TrunkId
    /// How fast ports may send and receive, and how what they send is marked.
    QosPolicyId
    /// A rule of a QoS policy.
    QosRuleId
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// A new random id in the identity API's form: 32 hex digits, no hyphens.
            pub fn random() -> Self {
                Self(Uuid::new_v4().simple().to_string())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                Self(s.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(s: String) -> Self {
                Self(s)
            }
        }
    )*};
}

text_id! {
    /// A domain of the identity API; the first one's id is `default`.
    DomainId
    /// A project of the identity API.
    ProjectId
    /// A user of the identity API.
    UserId
    /// A role of the identity API.
    RoleId
    /// A flavor of the compute API: any text its creator chose.
    FlavorId
    /// A keypair's name, unique for its user.
    KeypairId
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The modified EUI-64 interface identifier made of this address (RFC 4291, appendix A).
    pub fn eui64(&self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
    }

    /// The link-local address made of [`Mac::eui64`] (RFC 4862, section 5.3).
    pub fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits((0xfe80_u128 << 112) | u128::from(self.eui64()))
    }

    /// The address in a /64 that stateless autoconfiguration with EUI-64 gives this interface.
    pub fn slaac(&self, prefix: Ipv6Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits((prefix.to_bits() >> 64 << 64) | u128::from(self.eui64()))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("'{s}' is not an Ethernet address of six two-digit hex octets");
        let mut octets = [0; 6];
        let mut parts = s.split([':', '-']);
        for octet in &mut octets {
            // `from_str_radix` would take a sign.
            let hex = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
            let part = parts.next().filter(hex).ok_or_else(wrong)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Mac(octets))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eui64_flips_the_universal_bit_and_inserts_fffe() {
        let mac: Mac = "fa:16:3e:01:02:03".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::f816:3eff:fe01:203");
        let slaac = mac.slaac("2001:db8:1::".parse().unwrap());
        assert_eq!(slaac.to_string(), "2001:db8:1:0:f816:3eff:fe01:203");
    }

    #[test]
    fn mac_text_is_strict() {
        for bad in [
            "",
            "fa:16:3e:01:02",
            "fa:16:3e:01:02:03:04",
            "fa:16:3e:01:02:3",
            "gg:16:3e:01:02:03",
            "+a:16:3e:01:02:03",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
        assert_eq!(
            "FA-16-3E-01-02-03".parse::<Mac>().unwrap().to_string(),
            "fa:16:3e:01:02:03"
        );
    }
}
