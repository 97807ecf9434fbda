//! What a client can be told when a request fails. A dialect turns it into a status and JSON.

use std::fmt;

/// Any error from below, kept for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of everything a request can ask for.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of things a client can name, in the words of the APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Domain,
    Project,
    User,
    Role,
    Image,
    Flavor,
    Keypair,
    Server,
    Network,
    Subnet,
    SubnetPool,
    RbacPolicy,
    AddressScope,
    QosPolicy,
    QosRule,
    QosRuleType,
    Agent,
    AutoAllocatedTopology,
    Port,
    Trunk,
    SubPort,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    AddressGroup,
    Node,
    FloatingIp,
    PortForwarding,
    ExternalGatewayForFloatingIp,
    Volume,
    VolumeType,
    Snapshot,
    Attachment,
    ServerAction,
    ServerGroup,
    Quota,
    Tag,
    Path,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Domain => "domain",
            Kind::Project => "project",
            Kind::User => "user",
            Kind::Role => "role",
            Kind::Image => "image",
            Kind::Flavor => "flavor",
            Kind::Keypair => "keypair",
            Kind::Server => "server",
            Kind::Network => "network",
            Kind::Subnet => "subnet",
            Kind::SubnetPool => "subnet pool",
            Kind::RbacPolicy => "rbac policy",
            Kind::AddressScope => "address scope",
            Kind::QosPolicy => "qos policy",
            Kind::QosRule => "qos rule",
            Kind::QosRuleType => "qos rule type",
            Kind::Agent => "agent",
            Kind::AutoAllocatedTopology => "auto allocated topology",
            Kind::Port => "port",
            Kind::Trunk => "trunk",
            Kind::SubPort => "sub port",
            Kind::Router => "router",
            Kind::SecurityGroup => "security group",
            Kind::SecurityGroupRule => "security group rule",
            Kind::AddressGroup => "address group",
            Kind::Node => "node",
            Kind::FloatingIp => "floating IP",
            Kind::PortForwarding => "port forwarding",
            Kind::ExternalGatewayForFloatingIp => "external gateway for floating IP",
            Kind::Volume => "volume",
            Kind::VolumeType => "volume type",
            Kind::Snapshot => "snapshot",
            Kind::Attachment => "attachment",
            Kind::ServerAction => "action",
            Kind::ServerGroup => "server group",
            Kind::Quota => "quota",
            Kind::Tag => "tag",
            Kind::Path => "resource",
        })
    }
}

/// One variant for each way a client acts differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404: it does not exist, or the caller may not see it.
    #[error("no {kind} {id}")]
    NotFound { kind: Kind, id: String },
    /// 400: the request itself is wrong; the text names the field and the fix.
    #[error("{0}")]
    Invalid(String),
    /// 401: no valid token, or wrong credentials.
    #[error("{0}")]
    Unauthorized(String),
    /// 403: the caller can see it and may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 409: the state of things forbids it now.
    #[error("{0}")]
    Conflict(String),
    /// 409: something needs it; the text says what.
    #[error("{why}")]
    InUse { kind: Kind, why: String },
    /// 409: a port has this address.
    #[error("{0}")]
    AddressTaken(String),
    /// 409: no address of a subnet is free.
    #[error("{0}")]
    NoAddress(String),
    /// 412: it is not as the client expects it to be.
    #[error("{0}")]
    PreconditionFailed(String),
    /// 413 (403 in compute): a limit of the project is reached.
    #[error("{0}")]
    OverQuota(String),
    /// 413: the body is larger than this route takes.
    #[error("{0}")]
    TooLarge(String),
    /// 415: a body of this media type is not taken here.
    #[error("{0}")]
    UnsupportedMedia(String),
    /// 405: the path exists, the method does not.
    #[error("{0}")]
    MethodNotAllowed(String),
    /// 501: the API has it and this cloud does not; clients go on without.
    #[error("{0}")]
    NotImplemented(String),
    /// 429: this caller asks for more at once than one may have.
    #[error("{0}")]
    TooMany(String),
    /// 503: not now; the text says what to wait for.
    #[error("{0}")]
    Unavailable(String),
    /// 500: our fault. The source is in the chain, not in the text.
    #[error("while {doing}")]
    Internal {
        doing: &'static str,
        #[source]
        source: BoxError,
    },
}

impl Error {
    /// A thing that is not there.
    pub fn not_found(kind: Kind, id: impl fmt::Display) -> Self {
        Error::NotFound {
            kind,
            id: id.to_string(),
        }
    }

    /// A request that is wrong in itself.
    pub fn invalid(why: impl Into<String>) -> Self {
        Error::Invalid(why.into())
    }

    /// A request that the present state forbids.
    pub fn conflict(why: impl Into<String>) -> Self {
        Error::Conflict(why.into())
    }

    /// Our own failure while doing something.
    pub fn internal(doing: &'static str, source: impl Into<BoxError>) -> Self {
        Error::Internal {
            doing,
            source: source.into(),
        }
    }

    /// What the client may read. An internal error tells nothing but that it is ours.
    pub fn public(&self) -> String {
        match self {
            Error::Internal { .. } => {
                "An internal error occurred; the request id names it in hextet's log.".to_owned()
            }
            Error::NotFound { kind, id } => {
                let mut kind = kind.to_string();
                kind[..1].make_ascii_uppercase();
                format!("{kind} {id} could not be found.")
            }
            other => other.to_string(),
        }
    }

    /// The HTTP status of this error, unless a dialect knows better.
    pub fn http_status(&self) -> u16 {
        match self {
            Error::NotFound { .. } => 404,
            Error::Invalid(_) => 400,
            Error::Unauthorized(_) => 401,
            Error::Forbidden(_) => 403,
            Error::Conflict(_) | Error::InUse { .. } => 409,
            Error::AddressTaken(_) | Error::NoAddress(_) => 409,
            Error::PreconditionFailed(_) => 412,
            Error::OverQuota(_) | Error::TooLarge(_) => 413,
            Error::UnsupportedMedia(_) => 415,
            Error::MethodNotAllowed(_) => 405,
            Error::TooMany(_) => 429,
            Error::NotImplemented(_) => 501,
            Error::Unavailable(_) => 503,
            Error::Internal { .. } => 500,
        }
    }
}
