//! Which tokens were taken back before their time.

use model::{Result, UserId};

use crate::db::Tx;
use crate::field::{Field, Value};

impl Tx<'_> {
    /// Takes a token back. Its record can go once the token would have expired anyway.
    pub fn revoke_token(&mut self, audit_id: &str, expires_ms: i64, now_ms: i64) -> Result<()> {
        self.run(
            "DELETE FROM revoked_token WHERE expires_ms < ?",
            vec![now_ms.to_value()],
        )?;
        let sql =
            "INSERT INTO revoked_token (audit_id, expires_ms) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.run(
            sql,
            vec![Value::Text(audit_id.to_owned()), expires_ms.to_value()],
        )
        .map(drop)
    }

    /// Whether a token was taken back.
    pub fn token_revoked(&self, audit_id: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM revoked_token WHERE audit_id = ?";
        Ok(!self
            .select(sql, vec![Value::Text(audit_id.to_owned())], |_| Ok(()))?
            .is_empty())
    }

    /// Names of the roles a user holds directly on a target.
    pub fn role_names(
        &self,
        user: &UserId,
        target_kind: &str,
        target: &str,
    ) -> Result<Vec<String>> {
        let sql = "SELECT r.name FROM assignment a JOIN \"role\" r ON r.id = a.role_id
                   WHERE a.user_id = ? AND a.target_kind = ? AND a.target_id = ? ORDER BY r.name";
        let arguments = vec![
            user.to_value(),
            Value::Text(target_kind.to_owned()),
            Value::Text(target.to_owned()),
        ];
        self.select(sql, arguments, |found| {
            String::from_column(found.column(0)?)
        })
    }
}
