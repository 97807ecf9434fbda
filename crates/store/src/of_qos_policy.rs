//! What belongs to QoS policies beside their own rows, for lists.

use model::{QosPolicyId, Result};

use crate::db::Tx;
use crate::field::Field;
use crate::row;

/// One thing that belongs to a QoS policy.
#[derive(Clone, Debug, PartialEq)]
pub enum OfQosPolicy {
    Rule(row::QosRule),
    /// The target of a policy that shares it.
    Shared(QosPolicyId, String),
}

const PARTS: &str = "
    SELECT 'rule', w.id, r.id, r.kind, r.direction, r.max_kbps, r.max_burst_kbps, r.dscp_mark
      FROM wanted w JOIN qos_rule r ON r.qos_policy_id = w.id
    UNION ALL
    SELECT 'shared', w.id, s.target, NULL, NULL, NULL, NULL, NULL
      FROM wanted w JOIN rbac_policy s ON s.object_id = w.id WHERE s.action = 'access_as_shared'";

impl Tx<'_> {
    /// What belongs to these policies, in no special order.
    pub fn of_qos_policies<'a>(
        &self,
        policies: impl Iterator<Item = &'a QosPolicyId>,
    ) -> Result<Vec<OfQosPolicy>> {
        let ids = policies.map(Field::to_value).collect();
        self.select_wanted(PARTS, ids, |found| {
            let qos_policy_id = QosPolicyId::from_column(found.column(1)?)?;
            if String::from_column(found.column(0)?)? == "shared" {
                let target = String::from_column(found.column(2)?)?;
                return Ok(OfQosPolicy::Shared(qos_policy_id, target));
            }
            Ok(OfQosPolicy::Rule(row::QosRule {
                id: Field::from_column(found.column(2)?)?,
                qos_policy_id,
                kind: Field::from_column(found.column(3)?)?,
                direction: Field::from_column(found.column(4)?)?,
                max_kbps: Field::from_column(found.column(5)?)?,
                max_burst_kbps: Field::from_column(found.column(6)?)?,
                dscp_mark: Field::from_column(found.column(7)?)?,
            }))
        })
    }
}
