//! Who uses what policies share.

use model::Result;

use crate::db::Tx;
use crate::field::Value;

/// A way in which projects use something that can be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Ports in a network, but for its resolver's and those that are there because it is external.
    Ports,
    /// Routers with a gateway in a network, and floating IPs of it.
    Gateways,
    /// Subnets of a subnet pool.
    Subnets,
    /// Ports in a security group, and rules that name it.
    Members,
    /// Rules that name an address group.
    Rules,
    /// Subnet pools in an address scope.
    Pools,
    /// Networks and ports that have a QoS policy.
    Bound,
}

impl Use {
    /// The table of what is used, and a statement that finds the users of one; each `?` is its id.
    fn statement(self) -> (&'static str, &'static str) {
        match self {
            Use::Ports => (
                "network",
                "SELECT p.project_id FROM port p WHERE p.network_id = ?
                 AND p.device_owner NOT IN
                     ('network:router_gateway', 'network:floatingip', 'network:distributed')",
            ),
            Use::Gateways => (
                "network",
                "SELECT r.project_id FROM router r WHERE r.external_network_id = ?
                 UNION SELECT f.project_id FROM floating_ip f WHERE f.network_id = ?",
            ),
            Use::Subnets => (
                "subnet_pool",
                "SELECT s.project_id FROM subnet s WHERE s.subnet_pool_id = ?",
            ),
            Use::Members => (
                "security_group",
                "SELECT p.project_id FROM membership m JOIN port p ON p.id = m.port_id
                 WHERE m.security_group_id = ?
                 UNION SELECT r.project_id FROM security_group_rule r WHERE r.remote_group_id = ?",
            ),
            Use::Pools => (
                "address_scope",
                "SELECT p.project_id FROM subnet_pool p WHERE p.address_scope_id = ?",
            ),
            Use::Bound => (
                "qos_policy",
                "SELECT n.project_id FROM network n WHERE n.qos_policy_id = ?
                 UNION SELECT p.project_id FROM port p WHERE p.qos_policy_id = ?",
            ),
            Use::Rules => (
                "address_group",
                "SELECT r.project_id FROM security_group_rule r WHERE r.remote_address_group_id = ?",
            ),
        }
    }
}

impl Tx<'_> {
    /// Whether a project other than the owner uses a thing in this way while no policy allows it the action. It is
    /// looked for among the projects that `target` stands for: one, or with `*` all.
    pub fn uses_without_policy(
        &self,
        by: Use,
        id: &str,
        action: &str,
        target: &str,
    ) -> Result<bool> {
        let (table, users) = by.statement();
        let sql = format!(
            "SELECT u.project_id FROM ({users}) u WHERE ? IN (u.project_id, '*')
             AND u.project_id <> (SELECT t.project_id FROM \"{table}\" t WHERE t.id = ?)
             AND NOT EXISTS (SELECT 1 FROM rbac_policy r WHERE r.object_id = ? AND r.action = ?
                 AND r.target IN (u.project_id, '*'))
             LIMIT 1"
        );
        let text = |text: &str| Value::Text(text.to_owned());
        let mut arguments = vec![text(id); users.matches('?').count()];
        arguments.extend([target, id, id, action].map(text));
        Ok(!self.select(&sql, arguments, |_| Ok(()))?.is_empty())
    }
}
