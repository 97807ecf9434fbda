//! Tokens.

use cloud::{Credentials, ScopeWish, Token};
use http::StatusCode;
use model::{Error, Result, Scope};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::row;

use super::{catalog, collection, domain, project};
use crate::context::Context;
use crate::reply::Reply;
use crate::time;

#[derive(Deserialize)]
struct Body {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    identity: Identity,
    scope: Option<ScopeJson>,
}

#[derive(Deserialize)]
struct Identity {
    methods: Vec<String>,
    password: Option<PasswordJson>,
    token: Option<TokenJson>,
}

#[derive(Deserialize)]
struct PasswordJson {
    user: UserJson,
}

#[derive(Deserialize)]
struct UserJson {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Named>,
    password: String,
}

#[derive(Deserialize)]
struct TokenJson {
    id: String,
}

#[derive(Deserialize)]
struct Named {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeJson {
    Word(String),
    Object(ScopeObject),
}

#[derive(Deserialize)]
struct ScopeObject {
    project: Option<ProjectScope>,
    domain: Option<Named>,
    system: Option<Value>,
}

#[derive(Deserialize)]
struct ProjectScope {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Named>,
}

/// `POST /v3/auth/tokens`
pub(super) fn issue(ctx: &Context) -> Result<Reply> {
    let body: Body = ctx.json()?;
    let credentials = credentials(body.auth.identity)?;
    let (token, text) = ctx
        .cloud
        .authenticate(&credentials, &wish(body.auth.scope)?)?;
    let catalog = ctx.query("nocatalog").is_none();
    Ok(Reply::created(&document(ctx, &token, catalog)?).with("x-subject-token", &text))
}

/// `GET /v3/auth/tokens`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let text = subject(ctx)?;
    let token = ctx.cloud.token(&ctx.caller, text)?;
    let catalog = ctx.query("nocatalog").is_none();
    Ok(Reply::ok(&document(ctx, &token, catalog)?).with("x-subject-token", text))
}

/// `HEAD /v3/auth/tokens`
pub(super) fn check(ctx: &Context) -> Result<Reply> {
    let text = subject(ctx)?;
    ctx.cloud.token(&ctx.caller, text)?;
    Ok(Reply::empty(StatusCode::OK).with("x-subject-token", text))
}

/// `DELETE /v3/auth/tokens`
pub(super) fn revoke(ctx: &Context) -> Result<Reply> {
    ctx.cloud.revoke_token(&ctx.caller, subject(ctx)?)?;
    Ok(Reply::no_content())
}

/// `GET /v3/auth/projects`: where the caller may go.
pub(super) fn projects(ctx: &Context) -> Result<Reply> {
    let projects = ctx.cloud.projects_of(&ctx.caller, &ctx.caller.user)?;
    let entries = projects
        .iter()
        .filter(|p| p.enabled)
        .map(|p| project::view(ctx, p))
        .collect();
    Ok(Reply::ok(&collection(ctx, "projects", entries)))
}

/// `GET /v3/auth/domains`
pub(super) fn domains(ctx: &Context) -> Result<Reply> {
    let held = ctx.cloud.own_domains(&ctx.caller)?;
    let entries = held.iter().map(|d| domain::view(ctx, d)).collect();
    Ok(Reply::ok(&collection(ctx, "domains", entries)))
}

/// `GET /v3/auth/system`
pub(super) fn system(ctx: &Context) -> Result<Reply> {
    let held = ctx.cloud.list_assignments(
        &ctx.caller,
        Some(ctx.caller.user.as_str()),
        None,
        Some(&cloud::Target::System),
    )?;
    let system: Vec<Value> = if held.is_empty() {
        Vec::new()
    } else {
        vec![json!({"all": true})]
    };
    Ok(Reply::ok(&json!({"system": system})))
}

fn subject(ctx: &Context) -> Result<&str> {
    ctx.header("x-subject-token").ok_or_else(|| {
        Error::invalid("the header X-Subject-Token is missing: it holds the token in question")
    })
}

fn credentials(identity: Identity) -> Result<Credentials> {
    match identity.methods.as_slice() {
        [method] if method == "password" => {
            let user = identity
                .password
                .ok_or_else(|| Error::invalid("auth/identity/password is missing"))?
                .user;
            if user.id.is_none() && (user.name.is_none() || user.domain.is_none()) {
                return Err(Error::invalid(
                    "auth/identity/password/user needs an id, or a name and a domain",
                ));
            }
            Ok(Credentials::Password {
                id: user.id.map(Into::into),
                name: user.name,
                domain: user.domain.and_then(|d| d.id.or(d.name)),
                password: user.password,
            })
        }
        [method] if method == "token" => {
            let token = identity
                .token
                .ok_or_else(|| Error::invalid("auth/identity/token is missing"))?;
            Ok(Credentials::Token(token.id))
        }
        methods => Err(Error::Unauthorized(format!(
            "authentication by '{}' is not available: use password or token",
            methods.join(", ")
        ))),
    }
}

fn wish(scope: Option<ScopeJson>) -> Result<ScopeWish> {
    let object = match scope {
        None => return Ok(ScopeWish::Default),
        Some(ScopeJson::Word(word)) if word == "unscoped" => return Ok(ScopeWish::Unscoped),
        Some(ScopeJson::Word(word)) => {
            return Err(Error::invalid(format!(
                "auth/scope must be an object or 'unscoped', not '{word}'"
            )));
        }
        Some(ScopeJson::Object(object)) => object,
    };
    match (object.project, object.domain, object.system) {
        (Some(project), None, None) => {
            if project.id.is_none() && (project.name.is_none() || project.domain.is_none()) {
                return Err(Error::invalid(
                    "auth/scope/project needs an id, or a name and a domain",
                ));
            }
            let domain = project.domain.and_then(|d| d.id.or(d.name));
            Ok(ScopeWish::Project {
                id: project.id,
                name: project.name,
                domain,
            })
        }
        (None, Some(domain), None) if domain.id.is_none() && domain.name.is_none() => {
            Err(Error::invalid("auth/scope/domain needs an id or a name"))
        }
        (None, Some(domain), None) => Ok(ScopeWish::Domain {
            id: domain.id,
            name: domain.name,
        }),
        (None, None, Some(system)) if system["all"] == true => Ok(ScopeWish::System),
        _ => Err(Error::invalid(
            "auth/scope must hold one of project, domain, or system with all: true",
        )),
    }
}

/// What a token says, with names, for its holder.
fn document(ctx: &Context, token: &Token, with_catalog: bool) -> Result<Value> {
    let mut body = Map::new();
    ctx.cloud.store().read(|tx| {
        let user: row::User = tx.get(&token.user)?;
        let domain: row::Domain = tx.get(&user.domain_id)?;
        body.insert(
            "user".into(),
            json!({
                "id": user.id, "name": user.name, "password_expires_at": null,
                "domain": {"id": domain.id, "name": domain.name},
            }),
        );
        let roles = cloud::token_roles(tx, token)?;
        if token.scope != Scope::Unscoped {
            let roles: Vec<Value> = roles
                .iter()
                .map(|r| json!({"id": r.id, "name": r.name}))
                .collect();
            body.insert("roles".into(), Value::Array(roles));
        }
        match &token.scope {
            Scope::Project(id) => {
                let project: row::Project = tx.get(id)?;
                let domain: row::Domain = tx.get(&project.domain_id)?;
                body.insert(
                    "project".into(),
                    json!({
                        "id": project.id, "name": project.name,
                        "domain": {"id": domain.id, "name": domain.name},
                    }),
                );
                body.insert("is_domain".into(), json!(false));
            }
            Scope::Domain(id) => {
                let domain: row::Domain = tx.get(id)?;
                body.insert(
                    "domain".into(),
                    json!({"id": domain.id, "name": domain.name}),
                );
            }
            Scope::System => drop(body.insert("system".into(), json!({"all": true}))),
            Scope::Unscoped => {}
        }
        Ok(())
    })?;
    body.insert("methods".into(), json!(token.methods));
    body.insert("issued_at".into(), json!(time::micros(token.issued_ms)));
    body.insert("expires_at".into(), json!(time::micros(token.expires_ms)));
    body.insert("audit_ids".into(), json!([token.audit_id]));
    if with_catalog && token.scope != Scope::Unscoped {
        body.insert("catalog".into(), catalog::catalog(ctx));
    }
    Ok(json!({"token": body}))
}
