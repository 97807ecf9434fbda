//! What belongs to security groups beside their own rows, for lists.

use model::{Result, SecurityGroupId};

use crate::db::Tx;
use crate::field::{Column, Field};
use crate::row;
use crate::rows::Row;

/// One thing that belongs to a security group.
#[derive(Clone, Debug, PartialEq)]
pub enum OfGroup {
    Rule(Box<row::Rule>),
    /// The target of a policy that shares it.
    Shared(SecurityGroupId, String),
}

impl Tx<'_> {
    /// What belongs to these groups, rules in the order of their ids.
    pub fn of_groups<'a>(
        &self,
        groups: impl Iterator<Item = &'a SecurityGroupId>,
    ) -> Result<Vec<OfGroup>> {
        let columns = row::Rule::COLUMNS.iter();
        let columns: Vec<String> = columns.map(|(name, _)| format!("t.{name}")).collect();
        // Rules first: in the other half an id is NULL, which comes last.
        let parts = format!(
            "SELECT {}, NULL, NULL FROM wanted w JOIN security_group_rule t ON t.security_group_id = w.id
             UNION ALL
             SELECT {}, w.id, r.target FROM wanted w JOIN rbac_policy r ON r.object_id = w.id
              WHERE r.action = 'access_as_shared'
             ORDER BY 1 NULLS LAST",
            columns.join(", "),
            vec!["NULL"; columns.len()].join(", ")
        );
        let ids = groups.map(Field::to_value).collect();
        let end = columns.len();
        self.select_wanted(&parts, ids, |found| {
            Ok(match found.column(end)? {
                Column::Null => OfGroup::Rule(Box::new(row::Rule::from_found(found)?)),
                group => OfGroup::Shared(
                    Field::from_column(group)?,
                    Field::from_column(found.column(end + 1)?)?,
                ),
            })
        })
    }
}
