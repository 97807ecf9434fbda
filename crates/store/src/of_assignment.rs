//! Role assignments with the names of what they join, in one statement.

use model::{DomainId, Result, RoleId, UserId};

use crate::db::{Found, Tx};
use crate::field::{Field, Value};

/// A role assignment with the names of what it joins.
#[derive(Clone, Debug, PartialEq)]
pub struct OfAssignment {
    pub role: (RoleId, String),
    pub user: (UserId, String),
    pub user_domain: (DomainId, String),
    /// `project`, `domain` or `system`, and which.
    pub target: (String, String),
    /// The project's or domain's.
    pub target_name: Option<String>,
    /// The project's.
    pub target_domain: Option<(DomainId, String)>,
}

const NAMED: &str = r#"
    SELECT t.role_id, r.name, t.user_id, u.name, u.domain_id, ud.name, t.target_kind, t.target_id,
           coalesce(p.name, d.name), p.domain_id, pd.name
      FROM "assignment" t
      JOIN "role" r ON r.id = t.role_id
      JOIN "user" u ON u.id = t.user_id JOIN "domain" ud ON ud.id = u.domain_id
      LEFT JOIN "project" p ON t.target_kind = 'project' AND p.id = t.target_id
      LEFT JOIN "domain" pd ON pd.id = p.domain_id
      LEFT JOIN "domain" d ON t.target_kind = 'domain' AND d.id = t.target_id"#;

impl Tx<'_> {
    /// The assignments whose columns have these values.
    pub fn assignments(&self, filters: Vec<(&'static str, Value)>) -> Result<Vec<OfAssignment>> {
        let mut sql = NAMED.to_owned();
        let (columns, values): (Vec<_>, Vec<_>) = filters.into_iter().unzip();
        if !columns.is_empty() {
            let each: Vec<String> = columns.iter().map(|c| format!("t.{c} = ?")).collect();
            sql.push_str(&format!(" WHERE {}", each.join(" AND ")));
        }
        sql.push_str(" ORDER BY t.id");
        self.select(&sql, values, read)
    }
}

fn read(found: Found<'_>) -> Result<OfAssignment> {
    let text = |place| String::from_column(found.column(place)?);
    let name = |place| Option::<String>::from_column(found.column(place)?);
    Ok(OfAssignment {
        role: (Field::from_column(found.column(0)?)?, text(1)?),
        user: (Field::from_column(found.column(2)?)?, text(3)?),
        user_domain: (Field::from_column(found.column(4)?)?, text(5)?),
        target: (text(6)?, text(7)?),
        target_name: name(8)?,
        target_domain: match (Field::from_column(found.column(9)?)?, name(10)?) {
            (Some(id), Some(name)) => Some((id, name)),
            _ => None,
        },
    })
}
