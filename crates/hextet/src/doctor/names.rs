//! Real names for `hextet doctor openstack`, with a bound on all the waiting.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use doctor::Names;
use net::{Family, NameError, Resolver};
use tokio::runtime::Runtime;

/// How long is waited for resolvers, all names together.
const PATIENCE: Duration = Duration::from_secs(8);

/// Asks resolvers. /etc/hosts of this machine says nothing of another's names, and is not read.
pub(super) struct Dns {
    resolver: Resolver,
    runtime: Runtime,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Option<Vec<IpAddr>>>,
    waited: Duration,
    trouble: Option<String>,
}

impl Dns {
    pub(super) fn new(servers: Vec<SocketAddrV6>) -> io::Result<Dns> {
        Ok(Dns {
            resolver: Resolver::with_hosts(servers, "/dev/null".into()),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            state: RefCell::default(),
        })
    }

    /// Why names were not judged, if some were not.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state.borrow().trouble.clone()
    }

    fn ask(&self, name: &str, within: Duration) -> Result<Vec<IpAddr>, NameError> {
        let both = async {
            tokio::join!(
                self.resolver.lookup(name, Family::V6),
                self.resolver.lookup(name, Family::V4)
            )
        };
        let asked = self
            .runtime
            .block_on(async { tokio::time::timeout(within, both).await });
        let (six, four) = asked.map_err(|_| NameError::Silent {
            name: name.into(),
            why: format!("resolvers took {} s in all", PATIENCE.as_secs()),
        })?;
        Ok([six?, four?].concat())
    }
}

impl Names for Dns {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut state = self.state.borrow_mut();
        if let Some(known) = state.known.get(name) {
            return known.clone();
        }
        let left = PATIENCE.saturating_sub(state.waited);
        if left.is_zero() {
            return None;
        }
        let began = Instant::now();
        let found = match self.ask(name, left) {
            Ok(found) => Some(found),
            // No such name, or none that could be in the DNS: nothing to say of it.
            Err(NameError::NoSuchName(_) | NameError::NotAName(_)) => None,
            Err(NameError::NoResolver(_)) => {
                let none = "there is no resolver that is reached over IPv6 (--resolver names one, --no-dns asks nobody)";
                state.trouble.get_or_insert(none.into());
                None
            }
            Err(e) => {
                state.trouble.get_or_insert(e.to_string());
                None
            }
        };
        state.waited += began.elapsed();
        state.known.insert(name.to_owned(), found.clone());
        found
    }
}
