//! Identity domains.

use model::{Caller, DomainId, Kind, Result, Scope};
use store::{Field, row};

use crate::Cloud;
use crate::list::{self, Page};

impl Cloud {
    /// A domain.
    pub fn get_domain(&self, caller: &Caller, id: &str) -> Result<row::Domain> {
        let domain: row::Domain = self.store().read(|tx| tx.get(&id))?;
        let scoped = caller.scope == Scope::Domain(domain.id.clone());
        let user: Option<row::User> = self.store().read(|tx| tx.find(caller.user.to_value()))?;
        let own = scoped || user.is_some_and(|user| user.domain_id == domain.id);
        list::seen(own || caller.is_admin(), domain, Kind::Domain, id)
    }

    /// All domains.
    pub fn list_domains(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Domain>> {
        caller.require_admin()?;
        self.store()
            .read(|tx| list::run(tx, &page.query::<row::Domain>()?))
    }

    /// A new domain.
    pub fn create_domain(
        &self,
        caller: &Caller,
        name: &str,
        description: &str,
        enabled: bool,
    ) -> Result<row::Domain> {
        caller.require_admin()?;
        list::check_required_name("name", name)?;
        let domain = row::Domain {
            id: DomainId::random(),
            name: name.to_owned(),
            description: description.to_owned(),
            enabled,
        };
        self.store().write(|tx| tx.insert(&domain))?;
        Ok(domain)
    }

    /// Changes what is given.
    pub fn update_domain(
        &self,
        caller: &Caller,
        id: &str,
        name: Option<String>,
        description: Option<String>,
        enabled: Option<bool>,
    ) -> Result<row::Domain> {
        caller.require_admin()?;
        let domain = self.store().write(|tx| {
            let mut domain: row::Domain = tx.get(&id)?;
            if let Some(name) = &name {
                list::check_required_name("name", name)?;
                domain.name.clone_from(name);
            }
            if let Some(description) = &description {
                domain.description.clone_from(description);
            }
            domain.enabled = enabled.unwrap_or(domain.enabled);
            if !domain.enabled && domain.id.as_str() == "default" {
                return Err(model::Error::Forbidden(
                    "the default domain holds the administrators and cannot be disabled".into(),
                ));
            }
            tx.update(&domain)?;
            Ok(domain)
        })?;
        self.identity_changed();
        Ok(domain)
    }

    /// Removes a disabled, empty domain.
    pub fn delete_domain(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require_admin()?;
        self.store().write(|tx| {
            let domain: row::Domain = tx.get(&id)?;
            if domain.enabled {
                return Err(model::Error::Forbidden(
                    "a domain must be disabled before it can be deleted".into(),
                ));
            }
            let of_it = store::Query::equal("domain_id", domain.id.to_value());
            if tx.exists::<row::User>(of_it.clone())? || tx.exists::<row::Project>(of_it)? {
                return Err(model::Error::conflict(
                    "the domain still has users or projects: delete them first",
                ));
            }
            tx.delete_where::<row::Assignment>("target_id", &domain.id)?;
            tx.delete::<row::Domain>(&id).map(drop)
        })?;
        self.identity_changed();
        Ok(())
    }
}
