//! Routers: legs in networks, and a gateway in an external one.

mod gateway;
mod interface;
mod reach;

use std::collections::HashMap;

use model::{Caller, Error, Key, Kind, ProjectId, Result, Route, RouterId};
use store::{Json, Query, Tx, Value, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::token::owner_of;
use crate::{Cloud, now_ms};

pub use gateway::GatewayInfo;
pub(crate) use gateway::take_new_family;
pub use interface::InterfaceBy;
pub(crate) use interface::{add, remove_leg};
pub(crate) use reach::default_nexthops;

use gateway::{check_nd_proxy, set_gateway};
use reach::{check_overlap, check_routes, check_routes_reached};

pub(crate) const INTERFACE: &str = "network:router_interface";
pub(crate) const GATEWAY: &str = "network:router_gateway";

/// A router to make.
#[derive(Clone, Debug, Default)]
pub struct NewRouter {
    pub name: String,
    pub description: String,
    pub project: Option<ProjectId>,
    pub enabled: Option<bool>,
    pub gateway: Option<GatewayInfo>,
    pub nd_proxy: bool,
    pub tags: Vec<String>,
}

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct RouterUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    /// `Some(None)` takes the gateway away.
    pub gateway: Option<Option<GatewayInfo>>,
    pub routes: Option<Vec<Route>>,
    pub nd_proxy: Option<bool>,
}

/// Routes to put to those of a router, or to take from them.
#[derive(Clone, Debug)]
pub enum ExtraRoutes {
    /// Those that are there already stay as they are.
    Add(Vec<Route>),
    /// Those that are not there are no matter.
    Remove(Vec<Route>),
}

/// A router with the addresses it holds in its external network.
#[derive(Clone, Debug)]
pub struct RouterView {
    pub router: row::Router,
    pub gateway: Vec<row::Allocation>,
}

impl Cloud {
    /// A router the caller may see.
    pub fn get_router(&self, caller: &Caller, id: &RouterId) -> Result<RouterView> {
        self.store().read(|tx| view(tx, visible(tx, caller, id)?))
    }

    /// The routers the caller may see.
    pub fn list_routers(&self, caller: &Caller, page: &Page) -> Result<Vec<RouterView>> {
        let query = list::owned(page.query::<row::Router>()?, caller, true);
        self.store().read(|tx| {
            let routers = list::run(tx, &query)?;
            views(tx, routers)
        })
    }

    /// A new router.
    pub fn create_router(&self, caller: &Caller, new: &NewRouter) -> Result<RouterView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let router = create(tx, caller, new)?;
            view(tx, router)
        })
    }

    /// Changes what is given.
    pub fn update_router(
        &self,
        caller: &Caller,
        id: &RouterId,
        update: &RouterUpdate,
    ) -> Result<RouterView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut router = visible(tx, caller, id)?;
            caller.check_revision(router.revision)?;
            router.name = update.name.clone().unwrap_or(router.name);
            router.description = update.description.clone().unwrap_or(router.description);
            router.enabled = update.enabled.unwrap_or(router.enabled);
            list::check_name("name", &router.name)?;
            list::check_name("description", &router.description)?;
            router.nd_proxy = update.nd_proxy.unwrap_or(router.nd_proxy);
            if let Some(gateway) = &update.gateway {
                set_gateway(tx, caller, &mut router, gateway.as_ref())?;
            }
            if update.gateway.is_some() || update.nd_proxy.is_some() {
                check_nd_proxy(tx, caller, &router)?;
                check_overlap(tx, &router)?;
            }
            match &update.routes {
                Some(routes) => {
                    check_routes(tx, &router, routes)?;
                    router.routes.0.clone_from(routes);
                }
                None => check_routes_reached(tx, &router)?,
            }
            router.revision += 1;
            router.updated_ms = now_ms();
            tx.update(&router)?;
            tx.touch(Key::Router(*id))?;
            view(tx, router)
        })
    }

    /// Changes some of a router's routes, whatever others do to the rest meanwhile.
    pub fn change_extra_routes(
        &self,
        caller: &Caller,
        id: &RouterId,
        change: &ExtraRoutes,
    ) -> Result<RouterView> {
        caller.require_member()?;
        self.store().write(|tx| {
            let mut router = visible(tx, caller, id)?;
            caller.check_revision(router.revision)?;
            let mut routes = router.routes.0.clone();
            match change {
                ExtraRoutes::Add(more) => {
                    for route in more {
                        if !routes.contains(route) {
                            routes.push(route.clone());
                        }
                    }
                }
                ExtraRoutes::Remove(less) => routes.retain(|route| !less.contains(route)),
            }
            check_routes(tx, &router, &routes)?;
            router.routes.0 = routes;
            router.revision += 1;
            router.updated_ms = now_ms();
            tx.update(&router)?;
            tx.touch(Key::Router(*id))?;
            view(tx, router)
        })
    }

    /// Removes a router with its gateway.
    ///
    /// # Errors
    /// `Conflict` while it has interfaces.
    pub fn delete_router(&self, caller: &Caller, id: &RouterId) -> Result<()> {
        caller.require_member()?;
        self.store().write(|tx| {
            let router = visible(tx, caller, id)?;
            caller.check_revision(router.revision)?;
            remove(tx, caller, router)
        })
    }
}

pub(crate) fn create(tx: &mut Tx<'_>, caller: &Caller, new: &NewRouter) -> Result<row::Router> {
    let now = now_ms();
    let mut router = row::Router {
        id: RouterId::random(),
        project_id: owner_of(caller, new.project.as_ref())?,
        name: new.name.clone(),
        description: new.description.clone(),
        enabled: new.enabled.unwrap_or(true),
        external_network_id: None,
        snat: true,
        routes: Json(Vec::new()),
        tags: Json(new.tags.clone()),
        revision: 1,
        created_ms: now,
        updated_ms: now,
        nd_proxy: new.nd_proxy,
    };
    list::check_name("name", &router.name)?;
    list::check_name("description", &router.description)?;
    list::check_tags(&router.tags.0)?;
    quota::check(tx, &router.project_id, Resource::Router, 1)?;
    tx.insert(&router)?;
    set_gateway(tx, caller, &mut router, new.gateway.as_ref())?;
    check_nd_proxy(tx, caller, &router)?;
    tx.update(&router)?;
    tx.touch(Key::Router(router.id))?;
    Ok(router)
}

/// Removes a router with its gateway.
///
/// # Errors
/// `Conflict` while it has interfaces.
pub(crate) fn remove(tx: &mut Tx<'_>, caller: &Caller, mut router: row::Router) -> Result<()> {
    let id = router.id;
    if !legs(tx, &id, INTERFACE)?.is_empty() {
        return Err(Error::conflict(format!("Router {id} still has ports")));
    }
    set_gateway(tx, caller, &mut router, None)?;
    tx.delete::<row::Router>(&id)?;
    tx.touch(Key::Router(id))
}

/// The ports of a router, by owner.
pub(crate) fn legs(tx: &Tx<'_>, id: &RouterId, owner: &'static str) -> Result<Vec<row::Port>> {
    tx.list(
        &Query::equal("device_id", Value::Text(id.to_string()))
            .and("device_owner", Value::Text(owner.into())),
    )
}

pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &RouterId) -> Result<row::Router> {
    let router: row::Router = tx.get(id)?;
    list::seen(caller.sees(&router.project_id), router, Kind::Router, id)
}

pub(crate) fn view(tx: &Tx<'_>, router: row::Router) -> Result<RouterView> {
    let mut views = views(tx, vec![router])?;
    views
        .pop()
        .ok_or_else(|| Error::internal("reading a router", "it vanished"))
}

/// Joins routers with their gateways, in one statement however many there are.
fn views(tx: &Tx<'_>, routers: Vec<row::Router>) -> Result<Vec<RouterView>> {
    let mut gateways: HashMap<RouterId, Vec<row::Allocation>> = HashMap::new();
    for (router, held) in tx.of_routers(routers.iter().map(|r| &r.id))? {
        gateways.entry(router).or_default().push(held);
    }
    // IPv4 first, as its numbers are less.
    gateways
        .values_mut()
        .for_each(|held| held.sort_by_key(|a| model::ip_to_bits(a.address)));
    let join = |router: row::Router| RouterView {
        gateway: gateways.remove(&router.id).unwrap_or_default(),
        router,
    };
    Ok(routers.into_iter().map(join).collect())
}
