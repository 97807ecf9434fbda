//! Ids, names, states, the desired and observed documents, and the errors a client can be told.
//!
//! Everything here is a value: no I/O, no clock. Cloud and node meet only in these documents.

mod address;
mod caller;
mod desired;
pub mod dns;
mod error;
mod finding;
mod id;
mod observed;
mod password;
mod status;
mod text;
mod user_data;
mod volume_status;

pub use address::{ip_from_bits, ip_to_bits};
pub use caller::{Caller, Scope};
pub use desired::{
    AddressGroup, AddressMode, Advertising, Announced, Attachment, Bandwidth, Boot, Change, Chap,
    Clock, Desired, Dhcp6, DhcpOption, Direction, DiskBus, Firmware, FloatingIp, Forwarding,
    Hardware, ImageFile, Key, Lifetimes, MachineType, Network, Peer, Port, PortName, Power,
    Preference, Protocol, Qos, RaMode, Reboot, RetiredPrefix, Route, Router, RouterPort, Rule,
    Scopes, Server, Subnet, Subport, VifModel, Volume,
};
pub use error::{BoxError, Error, Kind, Result};
pub use finding::Finding;
pub use id::{
    AddressGroupId, AddressScopeId, AttachmentId, DomainId, FlavorId, FloatingIpId, ImageId,
    KeypairId, Mac, MessageId, NetworkId, NodeId, PortForwardingId, PortId, ProjectId, QosPolicyId,
    QosRuleId, RbacPolicyId, RoleId, RouterId, RuleId, SecurityGroupId, ServerGroupId, ServerId,
    SubnetId, SubnetPoolId, TrunkId, UserId, VolumeId,
};
pub use observed::{
    AddressHeard, AttachmentSeen, Ended, GuestEnd, GuestSeen, NodeFacts, PortHeard, PortSeen,
    PowerSeen, Seen, VolumeSeen,
};
pub use password::{PASSWORD_MAX, Password, PasswordSeen};
pub use status::{Status, TaskState, Wish, status};
pub use text::{host_in_url, parse_host_port, parse_ip};
pub use user_data::UserData;
pub use volume_status::{Attached, VolumeWish, volume_status};
