//! Who asks: what a valid token says.

use serde::{Deserialize, Serialize};

use crate::{DomainId, Error, ProjectId, Result, UserId};

/// What a token gives power over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One project's things.
    Project(ProjectId),
    /// A domain's users and projects.
    Domain(DomainId),
    /// The whole cloud.
    System,
    /// Nothing yet: enough to ask for a scoped token.
    Unscoped,
}

/// A caller whose token was checked: never made from anything else.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: UserId,
    pub scope: Scope,
    /// Names of the effective roles, implied ones included.
    pub roles: Vec<String>,
    /// The id under which this request is logged.
    pub request_id: String,
    /// The revision that a thing must have to be changed or removed by this request.
    pub if_match: Option<i64>,
}

impl Caller {
    /// Whether the caller holds a role, directly or implied.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|r| r == name)
    }

    /// `admin` in any scope sees and changes everything, as in OpenStack's default policy.
    pub fn is_admin(&self) -> bool {
        self.has_role("admin")
    }

    /// The project the token is scoped to.
    ///
    /// # Errors
    /// `Forbidden` when the token has another scope.
    pub fn project(&self) -> Result<&ProjectId> {
        match &self.scope {
            Scope::Project(id) => Ok(id),
            _ => Err(Error::Forbidden(
                "this needs a token scoped to a project".to_owned(),
            )),
        }
    }

    /// Whether a project's thing may be seen by the caller.
    pub fn sees(&self, owner: &ProjectId) -> bool {
        self.is_admin() || matches!(&self.scope, Scope::Project(p) if p == owner)
    }

    /// Whether the request is for a thing of this revision.
    ///
    /// # Errors
    /// `PreconditionFailed` when it was made for another.
    pub fn check_revision(&self, current: u64) -> Result<()> {
        match self.if_match {
            Some(wanted) if i64::try_from(current) != Ok(wanted) => Err(Error::PreconditionFailed(
                format!("Constrained to {wanted}, but current revision is {current}"),
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `Forbidden` unless the caller is an administrator.
    pub fn require_admin(&self) -> Result<()> {
        match self.is_admin() {
            true => Ok(()),
            false => Err(Error::Forbidden("this needs the role admin".to_owned())),
        }
    }

    /// # Errors
    /// `Forbidden` unless the caller may change things: role `member` or one that implies it.
    pub fn require_member(&self) -> Result<()> {
        match self.has_role("member") || self.is_admin() {
            true => Ok(()),
            false => Err(Error::Forbidden("this needs the role member".to_owned())),
        }
    }
}
