//! Identity users.

use model::{Caller, DomainId, Error, Kind, ProjectId, Result, UserId};
use store::row;

use crate::list::{self, Page};
use crate::{Cloud, now_ms, password, token};

/// A user to make.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub name: String,
    pub domain: Option<DomainId>,
    pub description: String,
    pub email: Option<String>,
    pub enabled: bool,
    pub default_project: Option<ProjectId>,
    pub password: Option<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct UserUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub email: Option<Option<String>>,
    pub enabled: Option<bool>,
    pub default_project: Option<Option<ProjectId>>,
    pub password: Option<String>,
}

impl Cloud {
    /// A user: oneself, or any for an administrator.
    pub fn get_user(&self, caller: &Caller, id: &str) -> Result<row::User> {
        let user: row::User = self.store().read(|tx| tx.get(&id))?;
        list::seen(
            caller.is_admin() || user.id == caller.user,
            user,
            Kind::User,
            id,
        )
    }

    /// All users.
    pub fn list_users(&self, caller: &Caller, page: &Page) -> Result<Vec<row::User>> {
        caller.require_admin()?;
        self.store()
            .read(|tx| list::run(tx, &page.query::<row::User>()?))
    }

    /// A new user.
    pub fn create_user(&self, caller: &Caller, new: &NewUser) -> Result<row::User> {
        caller.require_admin()?;
        list::check_required_name("name", &new.name)?;
        let hash = new
            .password
            .as_deref()
            .map(|p| token::heavy(|| password::hash(p)))
            .transpose()?;
        let user = row::User {
            id: UserId::random(),
            domain_id: new.domain.clone().unwrap_or_else(|| "default".into()),
            name: new.name.clone(),
            description: new.description.clone(),
            email: new.email.clone(),
            enabled: new.enabled,
            default_project_id: new.default_project.clone(),
            password_hash: hash,
            tokens_after_ms: 0,
            created_ms: now_ms(),
        };
        self.store().write(|tx| {
            tx.get::<row::Domain>(&user.domain_id)?;
            tx.insert(&user)
        })?;
        Ok(user)
    }

    /// Changes what is given. A new password or a disabled account voids the user's tokens.
    pub fn update_user(&self, caller: &Caller, id: &str, update: &UserUpdate) -> Result<row::User> {
        caller.require_admin()?;
        let hash = update
            .password
            .as_deref()
            .map(|p| token::heavy(|| password::hash(p)))
            .transpose()?;
        let user = self.store().write(|tx| {
            let mut user: row::User = tx.get(&id)?;
            if let Some(name) = &update.name {
                list::check_required_name("name", name)?;
                user.name.clone_from(name);
            }
            if let Some(description) = &update.description {
                user.description.clone_from(description);
            }
            if let Some(email) = &update.email {
                user.email.clone_from(email);
            }
            if let Some(project) = &update.default_project {
                user.default_project_id.clone_from(project);
            }
            user.enabled = update.enabled.unwrap_or(user.enabled);
            if hash.is_some() {
                user.password_hash.clone_from(&hash);
            }
            if hash.is_some() || update.enabled == Some(false) {
                user.tokens_after_ms = token::void_until_now();
            }
            tx.update(&user)?;
            Ok(user)
        })?;
        self.identity_changed();
        Ok(user)
    }

    /// A user's own new password; the old one must be right.
    pub fn change_password(&self, id: &str, original: &str, new: &str) -> Result<()> {
        let wrong =
            || Error::Unauthorized("The request you have made requires authentication.".into());
        let user: row::User = self.store().read(|tx| tx.get(&id)).map_err(|_| wrong())?;
        if !token::heavy(|| password::verify(original, user.password_hash.as_deref())) {
            return Err(wrong());
        }
        let known = user.password_hash;
        let hash = token::heavy(|| password::hash(new))?;
        self.store().write(|tx| {
            let mut user: row::User = tx.get(&id)?;
            // Another change may have come first: its password stands.
            if user.password_hash != known || !user.enabled {
                return Err(wrong());
            }
            user.password_hash = Some(hash.clone());
            user.tokens_after_ms = token::void_until_now();
            tx.update(&user)
        })?;
        self.identity_changed();
        Ok(())
    }

    /// Removes a user with its assignments and keypairs.
    pub fn delete_user(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require_admin()?;
        if caller.user.as_str() == id {
            return Err(Error::Forbidden("a user cannot delete itself".into()));
        }
        self.store()
            .write(|tx| match tx.delete::<row::User>(&id)? {
                true => Ok(()),
                false => Err(Error::not_found(Kind::User, id)),
            })?;
        self.identity_changed();
        Ok(())
    }
}
