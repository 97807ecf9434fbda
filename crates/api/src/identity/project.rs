//! Projects.

use cloud::{NewProject, ProjectUpdate};
use model::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::row;

use super::{collection, href};
use crate::context::Context;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Body {
    project: Fields,
}

#[derive(Deserialize)]
struct Fields {
    name: Option<String>,
    domain_id: Option<String>,
    parent_id: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    is_domain: Option<bool>,
    tags: Option<Vec<String>>,
}

/// `GET /v3/projects`
pub(super) fn list(ctx: &Context) -> Result<Reply> {
    let page = ctx.page(&[
        ("name", "name"),
        ("enabled", "enabled"),
        ("id", "id"),
        ("domain_id", "domain_id"),
        ("parent_id", "parent_id"),
    ])?;
    let projects = ctx.cloud.list_projects(&ctx.caller, &page)?;
    let entries = projects.iter().map(|p| view(ctx, p)).collect();
    Ok(Reply::ok(&collection(ctx, "projects", entries)))
}

/// `GET /v3/projects/{id}`
pub(super) fn show(ctx: &Context) -> Result<Reply> {
    let project = ctx.cloud.get_project(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::ok(&json!({"project": view(ctx, &project)})))
}

/// `POST /v3/projects`
pub(super) fn create(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.project;
    if fields.is_domain == Some(true) {
        return Err(Error::invalid(
            "projects that act as domains are not available: POST /v3/domains makes a domain",
        ));
    }
    // Without hierarchies, the only parent is the domain.
    let domain = fields.domain_id.or(fields.parent_id);
    let new = NewProject {
        name: fields
            .name
            .ok_or_else(|| Error::invalid("project/name is missing"))?,
        domain: domain.map(Into::into),
        description: fields.description.unwrap_or_default(),
        enabled: fields.enabled.unwrap_or(true),
        tags: fields.tags.unwrap_or_default(),
    };
    let project = ctx.cloud.create_project(&ctx.caller, &new)?;
    Ok(Reply::created(&json!({"project": view(ctx, &project)})))
}

/// `PATCH /v3/projects/{id}`
pub(super) fn update(ctx: &Context) -> Result<Reply> {
    let fields = ctx.json::<Body>()?.project;
    let update = ProjectUpdate {
        name: fields.name,
        description: fields.description,
        enabled: fields.enabled,
        tags: fields.tags,
    };
    let project = ctx
        .cloud
        .update_project(&ctx.caller, ctx.param("id"), &update)?;
    Ok(Reply::ok(&json!({"project": view(ctx, &project)})))
}

/// `DELETE /v3/projects/{id}`
pub(super) fn delete(ctx: &Context) -> Result<Reply> {
    ctx.cloud.delete_project(&ctx.caller, ctx.param("id"))?;
    Ok(Reply::no_content())
}

pub(super) fn view(ctx: &Context, project: &row::Project) -> Value {
    json!({
        "id": project.id, "name": project.name, "description": project.description,
        "domain_id": project.domain_id, "parent_id": project.parent_id,
        "enabled": project.enabled, "is_domain": false, "tags": project.tags.0, "options": {},
        "links": {"self": href(ctx, &format!("projects/{}", project.id))},
    })
}
