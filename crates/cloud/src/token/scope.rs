//! What a token is for: scopes, and the roles a user has in them.

use model::{DomainId, Result, Scope, UserId};
use store::{Query, Row, Tx, Value, row};

use super::{ScopeWish, Token};

/// The roles a user has in a scope, with those they imply: admin, manager, member, reader.
pub(crate) fn roles_of(tx: &Tx<'_>, user: &UserId, scope: &Scope) -> Result<Vec<String>> {
    let mut roles = match scope {
        Scope::Project(id) => tx.role_names(user, "project", id.as_str())?,
        Scope::Domain(id) => tx.role_names(user, "domain", id.as_str())?,
        Scope::System => tx.role_names(user, "system", "all")?,
        Scope::Unscoped => Vec::new(),
    };
    for (higher, implied) in [
        ("admin", "manager"),
        ("manager", "member"),
        ("member", "reader"),
    ] {
        let has = |name: &str| roles.iter().any(|r| r == name);
        if has(higher) && !has(implied) {
            roles.push(implied.to_owned());
        }
    }
    Ok(roles)
}

/// The roles a token's holder has in its scope, as rows; implied ones too.
///
/// # Errors
/// `Internal` when the database fails.
pub fn token_roles(tx: &Tx<'_>, token: &Token) -> Result<Vec<row::Role>> {
    let names = roles_of(tx, &token.user, &token.scope)?;
    tx.list(&Query::all().one_of("name", names.into_iter().map(Value::Text).collect()))
}

/// The scope that is wished for, if the user could have it.
pub(super) fn scope_of(tx: &Tx<'_>, user: &row::User, wish: &ScopeWish) -> Result<Option<Scope>> {
    Ok(match wish {
        ScopeWish::Unscoped => Some(Scope::Unscoped),
        ScopeWish::System => Some(Scope::System),
        ScopeWish::Default => Some(default_scope(tx, user)?),
        ScopeWish::Domain { id, name } => {
            let wanted = id.as_deref().or(name.as_deref());
            let domain = match wanted {
                Some(text) => find_domain(tx, text)?,
                None => None,
            };
            domain.filter(|d| d.enabled).map(|d| Scope::Domain(d.id))
        }
        ScopeWish::Project { id, name, domain } => {
            let project = find_project(tx, id.as_deref(), name.as_deref(), domain.as_deref())?;
            let scope = project.map(|p| Scope::Project(p.id));
            match scope {
                Some(scope) if scope_enabled(tx, &scope)? => Some(scope),
                _ => None,
            }
        }
    })
}

fn default_scope(tx: &Tx<'_>, user: &row::User) -> Result<Scope> {
    let Some(project) = &user.default_project_id else {
        return Ok(Scope::Unscoped);
    };
    let scope = Scope::Project(project.clone());
    let usable = scope_enabled(tx, &scope)? && !roles_of(tx, &user.id, &scope)?.is_empty();
    Ok(if usable { scope } else { Scope::Unscoped })
}

pub(super) fn scope_enabled(tx: &Tx<'_>, scope: &Scope) -> Result<bool> {
    match scope {
        Scope::Project(id) => {
            let project: Option<row::Project> = tx.find(Value::Text(id.0.clone()))?;
            match project {
                Some(p) => Ok(p.enabled && domain_enabled(tx, &p.domain_id)?),
                None => Ok(false),
            }
        }
        Scope::Domain(id) => domain_enabled(tx, id),
        Scope::System | Scope::Unscoped => Ok(true),
    }
}

pub(super) fn domain_enabled(tx: &Tx<'_>, id: &DomainId) -> Result<bool> {
    Ok(tx
        .find::<row::Domain>(Value::Text(id.0.clone()))?
        .is_some_and(|d| d.enabled))
}

/// By id, else by name and domain.
pub(super) fn find_user(
    tx: &Tx<'_>,
    id: Option<&UserId>,
    name: Option<&str>,
    domain: Option<&str>,
) -> Result<Option<row::User>> {
    if let Some(id) = id {
        return tx.find(Value::Text(id.0.clone()));
    }
    named(tx, name, domain)
}

fn find_project(
    tx: &Tx<'_>,
    id: Option<&str>,
    name: Option<&str>,
    domain: Option<&str>,
) -> Result<Option<row::Project>> {
    if let Some(id) = id {
        return tx.find(Value::Text(id.to_owned()));
    }
    named(tx, name, domain)
}

/// By a name in a domain.
fn named<R: Row>(tx: &Tx<'_>, name: Option<&str>, domain: Option<&str>) -> Result<Option<R>> {
    let (Some(name), Some(domain)) = (name, domain) else {
        return Ok(None);
    };
    let Some(domain) = find_domain(tx, domain)? else {
        return Ok(None);
    };
    let query = Query::equal("name", Value::Text(name.to_owned()))
        .and("domain_id", Value::Text(domain.id.0));
    Ok(tx.list(&query)?.pop())
}

/// By id, else by name.
fn find_domain(tx: &Tx<'_>, text: &str) -> Result<Option<row::Domain>> {
    match tx.find(Value::Text(text.to_owned()))? {
        Some(found) => Ok(Some(found)),
        None => Ok(tx
            .list(&Query::equal("name", Value::Text(text.to_owned())))?
            .pop()),
    }
}
