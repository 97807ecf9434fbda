//! The domain of networks that name none: a setting, kept where statements find it.

use model::Result;

use crate::db::Tx;
use crate::field::Field;

impl Tx<'_> {
    /// The domain, with the dot at its end.
    pub fn dns_domain(&self) -> Result<String> {
        let sql = "SELECT value FROM meta WHERE name = 'dns_domain'";
        let found = self.select(sql, Vec::new(), |found| {
            String::from_column(found.column(0)?)
        })?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// From now on it is this one.
    pub fn set_dns_domain(&mut self, domain: &str) -> Result<()> {
        let sql = "UPDATE meta SET value = ? WHERE name = 'dns_domain'";
        self.run(sql, vec![domain.to_owned().to_value()]).map(drop)
    }
}
