//! Tokens: sealed statements of who asks for what, valid until they expire or are taken back.
//!
//! A token is AES-256-GCM over a small JSON document, in base64url. Nothing is stored when one is
//! issued; a check asks the database what the user may do now, and remembers the answer until
//! users, roles or projects change.

mod scope;
mod seal;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Caller, Error, ProjectId, Result, Scope, UserId};
use serde::{Deserialize, Serialize};
use store::{Value, row};

use crate::password;
use crate::{Cloud, now_ms};

pub(crate) use scope::roles_of;
pub use scope::token_roles;
pub use seal::Secret;

use scope::{domain_enabled, find_user, scope_enabled, scope_of};

/// Beyond this many remembered tokens all are forgotten: a bound, not a policy.
const REMEMBERED: usize = 10_000;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    pub user: UserId,
    pub scope: Scope,
    /// `password` or `token`.
    pub methods: Vec<String>,
    pub issued_ms: i64,
    pub expires_ms: i64,
    pub audit_id: String,
}

/// How a caller proves who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The user by id, or by name and domain (id or name).
    Password {
        id: Option<UserId>,
        name: Option<String>,
        domain: Option<String>,
        password: String,
    },
    Token(String),
}

/// What scope a caller asks for.
#[derive(Clone, Debug)]
pub enum ScopeWish {
    /// The user's default project if there is one, else none.
    Default,
    Unscoped,
    /// By id, or by name and domain (id or name).
    Project {
        id: Option<String>,
        name: Option<String>,
        domain: Option<String>,
    },
    Domain {
        id: Option<String>,
        name: Option<String>,
    },
    System,
}

/// Tokens that were checked under an identity epoch, with the caller's roles.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<String, (u64, Arc<Checked>)>>);

struct Checked {
    token: Token,
    roles: Vec<String>,
}

impl Cloud {
    /// Proves who asks and issues a token for the scope.
    ///
    /// # Errors
    /// `Unauthorized` when the proof is wrong or the user has no role in the scope: the text does
    /// not say which.
    pub fn authenticate(
        &self,
        credentials: &Credentials,
        wish: &ScopeWish,
    ) -> Result<(Token, String)> {
        let (user, method, before) = self.prove(credentials)?;
        let refused = || unauthorized("The request you have made requires authentication.");
        let scope = self.store().read(|tx| {
            if !user.enabled || !domain_enabled(tx, &user.domain_id)? {
                return Err(refused());
            }
            let scope = scope_of(tx, &user, wish)?.ok_or_else(refused)?;
            let allowed = scope == Scope::Unscoped || !roles_of(tx, &user.id, &scope)?.is_empty();
            allowed.then_some(scope).ok_or_else(refused)
        })?;
        let now = now_ms().max(user.tokens_after_ms);
        let mut methods = vec![method.to_owned()];
        let mut expires_ms = now + self.settings().token_lifetime_ms;
        if let Some(old) = before {
            // A token made from a token never outlives it.
            expires_ms = old.expires_ms;
            methods.extend(old.methods.into_iter().filter(|m| m != method));
        }
        let audit_id = URL_SAFE_NO_PAD.encode(password::random::<16>()?);
        let token = Token {
            user: user.id,
            scope,
            methods,
            issued_ms: now,
            expires_ms,
            audit_id,
        };
        let text = self.inner.secret.seal(&token)?;
        Ok((token, text))
    }

    /// Who asks, by the token of a request.
    ///
    /// # Errors
    /// `Unauthorized` when it is not a valid token now.
    pub fn caller(&self, text: &str, request_id: &str) -> Result<Caller> {
        let checked = self.check(text)?;
        Ok(Caller {
            user: checked.token.user.clone(),
            scope: checked.token.scope.clone(),
            roles: checked.roles.clone(),
            request_id: request_id.to_owned(),
            if_match: None,
        })
    }

    /// What a valid token says, for its holder or an administrator.
    ///
    /// # Errors
    /// `NotFound` when it is not a valid token, or another's.
    pub fn token(&self, caller: &Caller, text: &str) -> Result<Token> {
        let missing = || Error::not_found(model::Kind::Path, "token");
        let checked = self.check(text).map_err(|_| missing())?;
        let own = checked.token.user == caller.user;
        (own || caller.is_admin())
            .then(|| checked.token.clone())
            .ok_or_else(missing)
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// `NotFound` as for [`Cloud::token`].
    pub fn revoke_token(&self, caller: &Caller, text: &str) -> Result<()> {
        let token = self.token(caller, text)?;
        self.store()
            .write(|tx| tx.revoke_token(&token.audit_id, token.expires_ms, now_ms()))?;
        self.identity_changed();
        Ok(())
    }

    fn prove(&self, credentials: &Credentials) -> Result<(row::User, &'static str, Option<Token>)> {
        let wrong = || unauthorized("The request you have made requires authentication.");
        match credentials {
            Credentials::Token(text) => {
                let token = self.check(text)?.token.clone();
                let user = self.store().read(|tx| tx.get::<row::User>(&token.user))?;
                Ok((user, "token", Some(token)))
            }
            Credentials::Password {
                id,
                name,
                domain,
                password,
            } => {
                let user = self
                    .store()
                    .read(|tx| find_user(tx, id.as_ref(), name.as_deref(), domain.as_deref()))?;
                let hash = user.as_ref().and_then(|u| u.password_hash.clone());
                let right = heavy(|| password::verify(password, hash.as_deref()));
                match (user, right) {
                    (Some(user), true) => Ok((user, "password", None)),
                    _ => Err(wrong()),
                }
            }
        }
    }

    fn check(&self, text: &str) -> Result<Arc<Checked>> {
        let epoch = self.inner.identity_epoch.load(Ordering::SeqCst);
        if let Some(known) = self.inner.tokens.find(text, epoch) {
            return match known.token.expires_ms > now_ms() {
                true => Ok(known),
                false => Err(unauthorized("The token has expired.")),
            };
        }
        let wrong = || unauthorized("The request you have made requires authentication.");
        let token = self.inner.secret.unseal(text).ok_or_else(wrong)?;
        let checked = Arc::new(self.check_now(token)?);
        self.inner
            .tokens
            .insert(text.to_owned(), epoch, checked.clone());
        Ok(checked)
    }

    fn check_now(&self, token: Token) -> Result<Checked> {
        let void = || unauthorized("The token is not valid any more.");
        if token.expires_ms <= now_ms() {
            return Err(unauthorized("The token has expired."));
        }
        self.store().read(|tx| {
            let user: row::User = tx
                .find(Value::Text(token.user.0.clone()))?
                .ok_or_else(void)?;
            let stale =
                token.issued_ms < user.tokens_after_ms || tx.token_revoked(&token.audit_id)?;
            if stale
                || !user.enabled
                || !domain_enabled(tx, &user.domain_id)?
                || !scope_enabled(tx, &token.scope)?
            {
                return Err(void());
            }
            let roles = roles_of(tx, &token.user, &token.scope)?;
            if roles.is_empty() && token.scope != Scope::Unscoped {
                return Err(void());
            }
            Ok(Checked { token, roles })
        })
    }
}

impl Cache {
    fn find(&self, text: &str, epoch: u64) -> Option<Arc<Checked>> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(text)
            .filter(|(then, _)| *then == epoch)
            .map(|(_, checked)| checked.clone())
    }

    fn insert(&self, text: String, epoch: u64, checked: Arc<Checked>) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= REMEMBERED {
            map.clear();
        }
        map.insert(text, (epoch, checked));
    }
}

fn unauthorized(why: &str) -> Error {
    Error::Unauthorized(why.to_owned())
}

/// What voids the tokens issued until now, those of this very millisecond too: the next one is
/// dated after it.
pub(crate) fn void_until_now() -> i64 {
    now_ms() + 1
}

/// Work for a processor that would keep others waiting on this thread.
pub(crate) fn heavy<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The project an administrator named, or the caller's own. Whether there is such a project is not
/// asked, as neutron and glance do not ask either; `hextet manage check` finds what is of none.
///
/// # Errors
/// `Invalid` when one who is no administrator names another's: the network API's answer.
pub(crate) fn owner_of(caller: &Caller, named: Option<&ProjectId>) -> Result<ProjectId> {
    match named {
        None => caller.project().cloned(),
        Some(project) if caller.is_admin() || caller.sees(project) => Ok(project.clone()),
        Some(_) => Err(Error::invalid(
            "Specifying 'project_id' other than the authenticated project in request requires admin privileges",
        )),
    }
}
