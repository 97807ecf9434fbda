//! Rules of QoS policies.

use model::{Caller, Error, Kind, QosPolicyId, QosRuleId, Result};
use store::{Field, Tx, Value, row};

use super::{bound, changeable, rules_of, visible};
use crate::list::{self, Page};
use crate::{Cloud, now_ms};

/// The code points that rules may set: those that routers know by class.
pub const DSCP_MARKS: [u32; 21] = [
    0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56,
];

const DIRECTIONS: [&str; 2] = ["ingress", "egress"];

/// The largest number that a rule may have.
const MOST: u32 = i32::MAX as u32;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosRuleKind {
    BandwidthLimit,
    DscpMarking,
}

impl QosRuleKind {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            QosRuleKind::BandwidthLimit => "bandwidth_limit",
            QosRuleKind::DscpMarking => "dscp_marking",
        }
    }
}

/// A rule to make.
#[derive(Clone, Debug)]
pub enum NewQosRule {
    BandwidthLimit {
        /// `ingress` or `egress`.
        direction: String,
        max_kbps: u32,
        /// 0: as much as is good for the rate.
        max_burst_kbps: u32,
    },
    DscpMarking {
        /// Of [`DSCP_MARKS`].
        dscp_mark: u32,
    },
}

impl NewQosRule {
    fn kind(&self) -> QosRuleKind {
        match self {
            NewQosRule::BandwidthLimit { .. } => QosRuleKind::BandwidthLimit,
            NewQosRule::DscpMarking { .. } => QosRuleKind::DscpMarking,
        }
    }

    fn row(&self, of: &QosPolicyId) -> row::QosRule {
        let mut row = row::QosRule {
            id: QosRuleId::random(),
            qos_policy_id: *of,
            kind: self.kind().as_str().to_owned(),
            direction: "egress".to_owned(),
            max_kbps: None,
            max_burst_kbps: None,
            dscp_mark: None,
        };
        match self {
            NewQosRule::BandwidthLimit {
                direction,
                max_kbps,
                max_burst_kbps,
            } => {
                row.direction.clone_from(direction);
                row.max_kbps = Some(*max_kbps);
                row.max_burst_kbps = Some(*max_burst_kbps);
            }
            NewQosRule::DscpMarking { dscp_mark } => row.dscp_mark = Some(*dscp_mark),
        }
        row
    }
}

/// What to change of a rule; what its kind does not have is not given.
#[derive(Clone, Debug, Default)]
pub struct QosRuleUpdate {
    pub direction: Option<String>,
    pub max_kbps: Option<u32>,
    pub max_burst_kbps: Option<u32>,
    pub dscp_mark: Option<u32>,
}

impl Cloud {
    /// A rule of a kind, of a policy that the caller may see; `of`: the policy that it must be of.
    pub fn get_qos_rule(
        &self,
        caller: &Caller,
        kind: QosRuleKind,
        of: Option<&QosPolicyId>,
        id: &QosRuleId,
    ) -> Result<row::QosRule> {
        self.store().read(|tx| find(tx, caller, kind, of, id))
    }

    /// The rules of a kind of a policy that the caller may see.
    pub fn list_qos_rules(
        &self,
        caller: &Caller,
        kind: QosRuleKind,
        of: &QosPolicyId,
        page: &Page,
    ) -> Result<Vec<row::QosRule>> {
        let query = page.query::<row::QosRule>()?;
        let query = query.seen_if(
            "t.qos_policy_id = ? AND t.kind = ?",
            vec![of.to_value(), Value::Text(kind.as_str().to_owned())],
        );
        self.store().read(|tx| {
            visible(tx, caller, of)?;
            list::run(tx, &query)
        })
    }

    /// A new rule, which holds at once for all that has the policy.
    ///
    /// # Errors
    /// `Conflict` when the policy has one of the kind, of a limit for the direction.
    pub fn create_qos_rule(
        &self,
        caller: &Caller,
        of: &QosPolicyId,
        new: &NewQosRule,
    ) -> Result<row::QosRule> {
        caller.require_admin()?;
        let rule = new.row(of);
        check(&rule)?;
        self.store().write(|tx| {
            changeable(tx, caller, of)?;
            check_only(tx, &rule)?;
            tx.insert(&rule)?;
            changed(tx, of)?;
            Ok(rule.clone())
        })
    }

    /// Changes what is given, at once for all that has the policy.
    ///
    /// # Errors
    /// As for [`Cloud::create_qos_rule`].
    pub fn update_qos_rule(
        &self,
        caller: &Caller,
        kind: QosRuleKind,
        of: Option<&QosPolicyId>,
        id: &QosRuleId,
        update: &QosRuleUpdate,
    ) -> Result<row::QosRule> {
        self.store().write(|tx| {
            let mut rule = find(tx, caller, kind, of, id)?;
            caller.require_admin()?;
            rule.direction = update.direction.clone().unwrap_or(rule.direction);
            rule.max_kbps = update.max_kbps.or(rule.max_kbps);
            rule.max_burst_kbps = update.max_burst_kbps.or(rule.max_burst_kbps);
            rule.dscp_mark = update.dscp_mark.or(rule.dscp_mark);
            check(&rule)?;
            check_only(tx, &rule)?;
            tx.update(&rule)?;
            changed(tx, &rule.qos_policy_id)?;
            Ok(rule)
        })
    }

    /// Removes a rule: what it limited is free at once.
    pub fn delete_qos_rule(
        &self,
        caller: &Caller,
        kind: QosRuleKind,
        of: Option<&QosPolicyId>,
        id: &QosRuleId,
    ) -> Result<()> {
        self.store().write(|tx| {
            let rule = find(tx, caller, kind, of, id)?;
            caller.require_admin()?;
            tx.delete::<row::QosRule>(id)?;
            changed(tx, &rule.qos_policy_id)
        })
    }

    /// Refuses a rule of a kind that this cloud does not have.
    ///
    /// # Errors
    /// `Conflict`, always, but for who may not ask at all, and for what is not there.
    pub fn refuse_qos_rule(&self, caller: &Caller, of: &QosPolicyId, kind: &str) -> Result<()> {
        caller.require_admin()?;
        self.store().read(|tx| changeable(tx, caller, of))?;
        Err(Error::conflict(format!(
            "Rule {kind} is not supported by this cloud: it has bandwidth_limit and dscp_marking"
        )))
    }
}

fn find(
    tx: &Tx<'_>,
    caller: &Caller,
    kind: QosRuleKind,
    of: Option<&QosPolicyId>,
    id: &QosRuleId,
) -> Result<row::QosRule> {
    let policy = of.map(|of| visible(tx, caller, of)).transpose()?;
    let missing = || Error::not_found(Kind::QosRule, id);
    let rule: row::QosRule = tx.find(id.to_value())?.ok_or_else(missing)?;
    let fits = rule.kind == kind.as_str() && policy.is_none_or(|p| p.id == rule.qos_policy_id);
    match fits && visible(tx, caller, &rule.qos_policy_id).is_ok() {
        true => Ok(rule),
        false => Err(missing()),
    }
}

/// # Errors
/// `Conflict` when the policy has another of the kind for the direction.
fn check_only(tx: &Tx<'_>, rule: &row::QosRule) -> Result<()> {
    let rules = rules_of(tx, &rule.qos_policy_id)?;
    let same = |other: &&row::QosRule| {
        other.id != rule.id && other.kind == rule.kind && other.direction == rule.direction
    };
    match rules.iter().find(same) {
        Some(other) => Err(Error::conflict(format!(
            "Rule {} conflicts with rule {} which already exists in QoS Policy {}.",
            rule.kind, other.id, rule.qos_policy_id
        ))),
        None => Ok(()),
    }
}

/// The policy is another revision, and nodes hear of it.
fn changed(tx: &mut Tx<'_>, policy: &QosPolicyId) -> Result<()> {
    tx.revise::<row::QosPolicy>(policy, now_ms())?;
    bound::touch(tx, policy)
}

fn check(rule: &row::QosRule) -> Result<()> {
    if !DIRECTIONS.contains(&rule.direction.as_str()) {
        return Err(Error::invalid(format!(
            "Invalid input for direction. Reason: '{}' is not in {}.",
            rule.direction,
            DIRECTIONS.join(", ")
        )));
    }
    for (what, number) in [
        ("max_kbps", rule.max_kbps),
        ("max_burst_kbps", rule.max_burst_kbps),
    ] {
        if number.is_some_and(|number| number > MOST) {
            return Err(Error::invalid(format!(
                "Invalid input for {what}. Reason: it must be from 0 to {MOST}."
            )));
        }
    }
    match rule.dscp_mark {
        Some(mark) if !DSCP_MARKS.contains(&mark) => Err(Error::invalid(format!(
            "Invalid input for dscp_mark. Reason: {mark} is not in {DSCP_MARKS:?}."
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sensible_rules_are_taken() {
        let of = QosPolicyId::random();
        let limit = |direction: &str, max_kbps, max_burst_kbps| NewQosRule::BandwidthLimit {
            direction: direction.into(),
            max_kbps,
            max_burst_kbps,
        };
        let mark = |dscp_mark| NewQosRule::DscpMarking { dscp_mark };
        for (rule, taken) in [
            (limit("ingress", 0, 0), true),
            (limit("egress", MOST, MOST), true),
            (limit("egress", MOST + 1, 0), false),
            (limit("egress", 1, MOST + 1), false),
            (limit("any", 1, 1), false),
            (mark(0), true),
            (mark(56), true),
            (mark(44), false),
            (mark(64), false),
        ] {
            assert_eq!(check(&rule.row(&of)).is_ok(), taken, "{rule:?}");
        }
    }
}
