//! What the database says that this host must bear.

use model::Result;
use store::{Query, Store, row};

use super::Look;

/// The part of the database that matters.
#[derive(Debug, Default)]
pub(super) struct Database {
    /// Ports of guests and routers.
    pub(super) ports: u64,
}

pub(super) fn look(look: &mut Look<'_>) -> Database {
    let read = read(&look.host.places.database());
    look.seen("the database", read.map_err(|e| cloud::chain(&e)))
}

fn read(file: &std::path::Path) -> Result<Database> {
    Store::look(file)?.read(|tx| {
        let ports: Vec<row::Port> = tx.list(&Query::all())?;
        Ok(Database {
            ports: ports.len() as u64,
        })
    })
}
