//! What policies are of.

use model::{
    AddressGroupId, AddressScopeId, Caller, Error, Kind, NetworkId, ProjectId, QosPolicyId, Result,
    SecurityGroupId, SubnetPoolId,
};
use store::{Tx, Use, row};

use super::access::{Of, visible};
use super::{EXTERNAL, SHARED};

/// Types as the API names them.
pub(crate) const NETWORK: &str = "network";
pub(crate) const SUBNET_POOL: &str = "subnetpool";
pub(crate) const SECURITY_GROUP: &str = "security_group";
pub(crate) const ADDRESS_SCOPE: &str = "address_scope";
pub(crate) const ADDRESS_GROUP: &str = "address_group";
pub(crate) const QOS_POLICY: &str = "qos_policy";

/// Something that a policy can be of.
pub(super) struct Object {
    pub(super) id: String,
    project: ProjectId,
    actions: &'static [&'static str],
}

impl Object {
    /// The thing of a type with an id, if the caller may see it.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` for a type that there is not.
    pub(super) fn named(tx: &Tx<'_>, caller: &Caller, of_type: &str, id: &str) -> Result<Object> {
        let (project, actions): (_, &'static [_]) = match of_type {
            NETWORK => {
                let id: NetworkId = parsed(Kind::Network, id)?;
                let row: row::Network = visible(tx, caller, &id, Of::Itself)?;
                (row.project_id, &[EXTERNAL, SHARED])
            }
            SUBNET_POOL => {
                let id: SubnetPoolId = parsed(Kind::SubnetPool, id)?;
                let row: row::SubnetPool = visible(tx, caller, &id, Of::Itself)?;
                (row.project_id, &[SHARED])
            }
            SECURITY_GROUP => {
                let id: SecurityGroupId = parsed(Kind::SecurityGroup, id)?;
                let row: row::SecurityGroup = visible(tx, caller, &id, Of::Itself)?;
                (row.project_id, &[SHARED])
            }
            ADDRESS_GROUP => {
                let id: AddressGroupId = parsed(Kind::AddressGroup, id)?;
                let row: row::AddressGroup = visible(tx, caller, &id, Of::Itself)?;
                (row.project_id, &[SHARED])
            }
            ADDRESS_SCOPE => {
                let id: AddressScopeId = parsed(Kind::AddressScope, id)?;
                let row: row::AddressScope = visible(tx, caller, &id, Of::Itself)?;
                (row.project_id, &[SHARED])
            }
            QOS_POLICY => {
                let id: QosPolicyId = parsed(Kind::QosPolicy, id)?;
                let row: row::QosPolicy = visible(tx, caller, &id, Of::Itself)?;
                (row.project_id, &[SHARED])
            }
            other => {
                return Err(Error::invalid(format!(
                    "Invalid input for object_type. Reason: '{other}' is not in valid_values: {NETWORK}, {SUBNET_POOL}, {SECURITY_GROUP}, {ADDRESS_GROUP}, {ADDRESS_SCOPE}, {QOS_POLICY}"
                )));
            }
        };
        Ok(Object {
            // As ids are written in the database, however the client wrote it.
            id: id.to_ascii_lowercase(),
            project,
            actions,
        })
    }

    /// # Errors
    /// `Invalid` for who does not own it.
    pub(super) fn check_owner(&self, caller: &Caller) -> Result<()> {
        match caller.sees(&self.project) {
            true => Ok(()),
            false => Err(Error::invalid(
                "Only admins can manipulate policies on objects they do not own",
            )),
        }
    }

    /// # Errors
    /// `Invalid` for what a policy of such a thing cannot allow.
    pub(super) fn check_action(&self, action: &str) -> Result<()> {
        match self.actions.contains(&action) {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "Invalid action '{action}': valid actions are {}",
                self.actions.join(", ")
            ))),
        }
    }
}

fn parsed<Id: std::str::FromStr>(kind: Kind, text: &str) -> Result<Id> {
    text.parse().map_err(|_| Error::not_found(kind, text))
}

/// After `target` has lost a policy: whether it, or somebody for everybody, uses the thing and has no other policy for it.
///
/// # Errors
/// `Conflict` when so.
pub(super) fn check_users(tx: &Tx<'_>, policy: &row::RbacPolicy, target: &str) -> Result<()> {
    let by = match (policy.object_type.as_str(), policy.action.as_str()) {
        (NETWORK, EXTERNAL) => Use::Gateways,
        (NETWORK, _) => Use::Ports,
        (SUBNET_POOL, _) => Use::Subnets,
        (ADDRESS_GROUP, _) => Use::Rules,
        (ADDRESS_SCOPE, _) => Use::Pools,
        (QOS_POLICY, _) => Use::Bound,
        _ => Use::Members,
    };
    match tx.uses_without_policy(by, &policy.object_id, &policy.action, target)? {
        false => Ok(()),
        true => Err(Error::conflict(format!(
            "RBAC policy on object {} cannot be removed because other objects depend on it.",
            policy.object_id
        ))),
    }
}
