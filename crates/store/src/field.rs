//! How domain values stand in columns: `TEXT`, `BIGINT` and `BOOLEAN`, nothing else.

use std::net::IpAddr;

use model::{
    AddressGroupId, AddressScopeId, AttachmentId, DomainId, Error, FlavorId, FloatingIpId, ImageId,
    Mac, MessageId, NetworkId, NodeId, PortForwardingId, PortId, ProjectId, QosPolicyId, QosRuleId,
    RbacPolicyId, Result, RoleId, RouterId, RuleId, SecurityGroupId, ServerGroupId, ServerId,
    SubnetId, SubnetPoolId, TrunkId, UserId, VolumeId,
};
use serde::{Serialize, de::DeserializeOwned};

/// A column's value on its way in.
pub type Value = rusqlite::types::Value;

/// A column's value on its way out, still in the database's memory.
pub type Column<'a> = rusqlite::types::ValueRef<'a>;

/// What a column holds, which decides how a filter's text is compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    Int,
    Bool,
    /// JSON text: stored whole, never filtered on.
    Json,
}

/// A type that can be a column.
pub trait Field: Sized {
    /// What the column holds.
    const TYPE: ColumnType;
    /// The value to store.
    fn to_value(&self) -> Value;
    /// The value read back.
    ///
    /// # Errors
    /// `Internal` when the column holds what this type never writes.
    fn from_column(column: Column<'_>) -> Result<Self>;
}

/// The text of a column.
///
/// # Errors
/// `Internal` when it holds no text.
fn text(column: Column<'_>) -> Result<&str> {
    match column {
        Column::Text(octets) => std::str::from_utf8(octets).map_err(|_| corrupt("text")),
        _ => Err(corrupt("text")),
    }
}

fn corrupt(what: &'static str) -> Error {
    Error::internal(
        "reading a column of the database",
        format!("not a valid {what}"),
    )
}

impl Field for String {
    const TYPE: ColumnType = ColumnType::Text;
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
    fn from_column(column: Column<'_>) -> Result<Self> {
        text(column).map(str::to_owned)
    }
}

impl Field for bool {
    const TYPE: ColumnType = ColumnType::Bool;
    fn to_value(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
    fn from_column(column: Column<'_>) -> Result<Self> {
        match column {
            Column::Integer(n) => Ok(n != 0),
            _ => Err(corrupt("boolean")),
        }
    }
}

macro_rules! int_field {
    ($($int:ty)*) => {$(
        impl Field for $int {
            const TYPE: ColumnType = ColumnType::Int;
            fn to_value(&self) -> Value {
                // Counters and sizes here stay far below 2^63.
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
            fn from_column(column: Column<'_>) -> Result<Self> {
                match column {
                    Column::Integer(n) => n.try_into().map_err(|_| corrupt("integer")),
                    _ => Err(corrupt("integer")),
                }
            }
        }
    )*};
}
int_field!(i64 u64 u32 u16);

impl<T: Field> Field for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::to_value)
    }
    fn from_column(column: Column<'_>) -> Result<Self> {
        match column {
            Column::Null => Ok(None),
            column => T::from_column(column).map(Some),
        }
    }
}

/// Addresses stand as 32 hex digits, IPv4 as its v4-mapped form, so that their order as text is
/// their order as numbers.
impl Field for IpAddr {
    const TYPE: ColumnType = ColumnType::Text;
    fn to_value(&self) -> Value {
        Value::Text(format!("{:032x}", model::ip_to_bits(*self)))
    }
    fn from_column(column: Column<'_>) -> Result<Self> {
        u128::from_str_radix(text(column)?, 16)
            .map(model::ip_from_bits)
            .map_err(|_| corrupt("address"))
    }
}

macro_rules! parsed_field {
    ($($id:ty)*) => {$(
        impl Field for $id {
            const TYPE: ColumnType = ColumnType::Text;
            fn to_value(&self) -> Value {
                Value::Text(self.to_string())
            }
            fn from_column(column: Column<'_>) -> Result<Self> {
                text(column)?.parse().map_err(|_| corrupt(stringify!($id)))
            }
        }
    )*};
}
parsed_field!(NetworkId SubnetId PortId RouterId SecurityGroupId RuleId AddressGroupId ServerId ImageId NodeId Mac FloatingIpId PortForwardingId VolumeId AttachmentId ServerGroupId SubnetPoolId RbacPolicyId AddressScopeId MessageId TrunkId QosPolicyId QosRuleId);

macro_rules! text_field {
    ($($id:ident)*) => {$(
        impl Field for $id {
            const TYPE: ColumnType = ColumnType::Text;
            fn to_value(&self) -> Value {
                Value::Text(self.0.clone())
            }
            fn from_column(column: Column<'_>) -> Result<Self> {
                String::from_column(column).map($id)
            }
        }
    )*};
}
text_field!(DomainId ProjectId UserId RoleId FlavorId);

/// A value kept as JSON text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Field for Json<T> {
    const TYPE: ColumnType = ColumnType::Json;
    fn to_value(&self) -> Value {
        // Only maps with keys that are no strings fail to serialise; no column holds one.
        Value::Text(serde_json::to_string(&self.0).unwrap_or_default())
    }
    fn from_column(column: Column<'_>) -> Result<Self> {
        serde_json::from_str(text(column)?)
            .map(Json)
            .map_err(|e| Error::internal("reading a JSON column of the database", e))
    }
}
