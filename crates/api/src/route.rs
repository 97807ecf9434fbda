//! The table of all routes, and how a path finds its handler in it.

use std::future::Future;
use std::pin::Pin;

use http::Method;
use hyper::body::Incoming;
use model::Result;

use crate::context::Context;
use crate::dialect::Dialect;
use crate::reply::Reply;
use crate::{compute, identity, image, network, version, volume};

/// What a handler that waits gives back.
pub(crate) type Later = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// How a route answers.
#[derive(Clone, Copy)]
#[allow(private_interfaces)] // Only the table makes them and only `Api` calls them.
pub enum Handler {
    /// To anyone.
    Open(fn(&Context) -> Result<Reply>),
    /// To anyone, by work that costs a processor's time: only a few at once.
    OpenSlow(fn(&Context) -> Result<Reply>),
    /// To holders of a token: what follows from the database, the nodes that are connected, the
    /// URL, the microversion and the caller, and from nothing else. It is asked once for each
    /// version of these.
    Look(fn(&Context) -> Result<Reply>),
    /// To holders of a token.
    Plain(fn(&Context) -> Result<Reply>),
    /// To holders of a token, after waiting for something.
    Wait(fn(Context) -> Later),
    /// To holders of a token; the body goes to it as it comes in.
    Upload(fn(Context, Incoming) -> Later),
}

/// One line of the table.
#[derive(Clone)]
pub struct Route {
    pub dialect: Dialect,
    pub method: Method,
    /// The path below the service's prefix; `{name}` stands for one segment.
    pub path: &'static str,
    pub handler: Handler,
}

/// Lines of one service.
pub(crate) type Lines = &'static [(Method, &'static str, Handler)];

/// What a path leads to.
pub(crate) enum Found<'a> {
    /// A route, with the values of its path's names.
    Route(&'a Route, Vec<(String, String)>),
    /// The path is there, the method is not.
    OtherMethod(Dialect),
    /// Nothing is there. The dialect is that of the service whose prefix the path has.
    Nothing(Dialect),
}

/// All routes.
pub struct Routes {
    table: Vec<Route>,
    tree: matchit::Router<Vec<usize>>,
}

impl Routes {
    /// The table of this version of hextet.
    ///
    /// # Panics
    /// When two lines contradict each other, which a test would show.
    pub fn new() -> Routes {
        let services: [(Dialect, Lines); 12] = [
            (Dialect::Root, version::ROUTES),
            (Dialect::Identity, identity::ROUTES),
            (Dialect::Image, image::ROUTES),
            (Dialect::Compute, compute::ROUTES),
            (Dialect::Compute, compute::PROXY_ROUTES),
            (Dialect::Network, network::ROUTES),
            (Dialect::Network, network::MORE_ROUTES),
            (Dialect::Network, network::TAG_ROUTES),
            (Dialect::Network, network::qos::ROUTES),
            (Dialect::Network, network::qos::LIMIT_ROUTES),
            (Dialect::Network, network::qos::MARK_ROUTES),
            (Dialect::Volume, volume::ROUTES),
        ];
        let mut routes = Routes {
            table: Vec::new(),
            tree: matchit::Router::new(),
        };
        let mut places: std::collections::BTreeMap<String, Vec<usize>> = Default::default();
        for (dialect, lines) in services {
            for (method, path, handler) in lines {
                let full = format!("{}{path}", dialect.prefix());
                places.entry(full).or_default().push(routes.table.len());
                routes.table.push(Route {
                    dialect,
                    method: method.clone(),
                    path,
                    handler: *handler,
                });
            }
        }
        for (path, lines) in places {
            let path = if path.is_empty() {
                "/".to_owned()
            } else {
                path
            };
            routes
                .tree
                .insert(path, lines)
                .expect("the table's paths fit together");
        }
        routes
    }

    /// Every route.
    pub fn all(&self) -> &[Route] {
        &self.table
    }

    /// Looks a request up. `HEAD` finds what `GET` finds unless it has a line of its own.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let trimmed = path.trim_end_matches('/');
        let names_nothing = !trimmed.is_empty() && trimmed.len() < path.len();
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        let dialect = Dialect::of_path(path);
        let (path, project) = volume::without_project(path);
        let Ok(matched) = self.tree.at(&path) else {
            return Found::Nothing(dialect);
        };
        let by = |method: &Method| {
            matched
                .value
                .iter()
                .map(|i| &self.table[*i])
                .find(|r| r.method == *method)
        };
        let route = by(method).or_else(|| {
            if method == Method::HEAD {
                by(&Method::GET)
            } else {
                None
            }
        });
        match route {
            Some(route) => {
                let params = matched.params.iter();
                let named = params.map(|(k, v)| (k.to_owned(), crate::context::decode(v)));
                let project = project.map(|id| (volume::PROJECT.to_owned(), id));
                Found::Route(route, named.chain(project).collect())
            }
            // `DELETE things/` is of one thing, whose id is empty.
            None if names_nothing => Found::Nothing(dialect),
            None => Found::OtherMethod(dialect),
        }
    }
}

impl Default for Routes {
    fn default() -> Self {
        Routes::new()
    }
}
