//! The steps that make tgtd serve what should be served: a pure function.

use std::collections::{BTreeMap, BTreeSet};

use model::{Chap, Volume, VolumeId};

use crate::listing::{Listing, Target, printed_size};
use crate::protocol::Request;

/// A volume whose file is whole, as it should be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub volume: VolumeId,
    pub target: String,
    pub size_bytes: u64,
    /// The file, in tgtd's working directory.
    pub path: String,
    pub chaps: Vec<Chap>,
}

impl Export {
    /// A volume in a file of its own size.
    pub fn of(volume: &Volume) -> Export {
        Export {
            volume: volume.id,
            target: volume.target.clone(),
            size_bytes: u64::from(volume.size_gib) << 30,
            path: crate::file::name(volume.id),
            chaps: volume.chaps.clone(),
        }
    }

    /// tgtd lets everybody into a target that admits no account at all: so each admits one that
    /// nobody knows the secret of, before anything else and to the end.
    fn guard(&self) -> String {
        format!("{GUARD}{}", self.volume)
    }

    fn knows(&self, user: &str) -> bool {
        user == self.guard() || self.chaps.iter().any(|chap| chap.user == user)
    }
}

const GUARD: &str = "guard-";

/// One thing to do: requests in their order, for one volume or for none.
#[derive(Clone, PartialEq)]
pub struct Step {
    pub volume: Option<VolumeId>,
    pub requests: Vec<Request>,
}

impl Step {
    /// Whether somebody who is served now would not be afterwards.
    pub fn takes_away(&self) -> bool {
        self.requests.iter().any(|request| {
            matches!(
                request,
                Request::DeleteTarget { .. }
                    | Request::UnbindAccount { .. }
                    | Request::CloseConnection { .. }
            )
        })
    }
}

/// The steps that turn what tgtd has into what should be, removals first. Each may be repeated, and
/// we may be killed between any two requests.
pub fn plan(wanted: &[Export], seen: &Listing) -> Vec<Step> {
    let known: BTreeMap<&str, &Export> = wanted.iter().map(|e| (e.target.as_str(), e)).collect();
    let stray = seen.targets.iter().filter(|(name, target)| {
        known
            .get(name.as_str())
            .is_none_or(|export| !guarded(export, target))
    });
    let stray: BTreeMap<&str, &Target> = stray.map(|(n, t)| (n.as_str(), t)).collect();
    let mut steps: Vec<Step> = stray.values().map(|target| delete(target)).collect();
    steps.extend(lost_accounts(wanted, seen));
    let mut taken: BTreeSet<u32> = seen.targets.values().map(|target| target.tid).collect();
    for export in wanted {
        let target = seen.targets.get(&export.target);
        let target = target.filter(|_| !stray.contains_key(export.target.as_str()));
        let requests = match target {
            Some(target) => mend(export, target, seen),
            None => {
                let tid = (1..).find(|tid| taken.insert(*tid)).unwrap_or(u32::MAX);
                make(export, tid, seen)
            }
        };
        if !requests.is_empty() {
            steps.push(Step {
                volume: Some(export.volume),
                requests,
            });
        }
    }
    steps
}

/// The guard stands first in every target we made; a target without is none that can be mended.
fn guarded(export: &Export, target: &Target) -> bool {
    target.accounts.first() == Some(&export.guard())
        // Between the first two requests of its making it admits nobody from anywhere.
        || (target.accounts.is_empty() && !target.open && target.connections.is_empty())
}

fn delete(target: &Target) -> Step {
    let users = target.accounts.iter().cloned();
    let accounts = users.map(|user| Request::DeleteAccount { user });
    let tid = target.tid;
    // The target first: an account of a target that stays open must not go before its sessions.
    let requests = [Request::DeleteTarget { tid }]
        .into_iter()
        .chain(accounts)
        .collect();
    Step {
        volume: None,
        requests,
    }
}

/// Accounts that no target admits and nobody wants: we were killed while ending one. Whose sessions
/// it had is forgotten, so all are ended; who still has an account is back in a moment.
fn lost_accounts(wanted: &[Export], seen: &Listing) -> Option<Step> {
    let admitted: BTreeSet<_> = seen.targets.values().flat_map(|t| &t.accounts).collect();
    let lost = seen
        .accounts
        .iter()
        .filter(|user| !admitted.contains(user) && !wanted.iter().any(|export| export.knows(user)));
    let lost: Vec<_> = lost
        .map(|user| Request::DeleteAccount { user: user.clone() })
        .collect();
    if lost.is_empty() {
        return None;
    }
    let requests = seen.targets.values().flat_map(close).chain(lost).collect();
    Some(Step {
        volume: None,
        requests,
    })
}

fn close(target: &Target) -> impl Iterator<Item = Request> {
    let tid = target.tid;
    let connections = target.connections.iter();
    connections.map(move |(session, connection)| Request::CloseConnection {
        tid,
        session: *session,
        connection: *connection,
    })
}

fn make(export: &Export, tid: u32, seen: &Listing) -> Vec<Request> {
    let name = export.target.clone();
    let fresh = Target {
        tid,
        ..Target::default()
    };
    let mut requests = vec![Request::NewTarget { tid, name }];
    requests.extend(mend(export, &fresh, seen));
    requests
}

fn mend(export: &Export, target: &Target, seen: &Listing) -> Vec<Request> {
    let tid = target.tid;
    let mut requests = Vec::new();
    if target.accounts.is_empty() {
        let secret = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        admit(tid, export.guard(), secret, seen, &mut requests);
    }
    requests.extend(shut_out(export, target));
    requests.extend(lun(export, target));
    for chap in &export.chaps {
        if !target.accounts.contains(&chap.user) {
            admit(
                tid,
                chap.user.clone(),
                chap.secret.clone(),
                seen,
                &mut requests,
            );
        }
    }
    if !target.open {
        requests.push(Request::AdmitAll { tid });
    }
    requests
}

fn admit(tid: u32, user: String, secret: String, seen: &Listing, requests: &mut Vec<Request>) {
    // Its secret may be another: made anew, it has the one that is wanted.
    if seen.accounts.contains(&user) {
        requests.push(Request::DeleteAccount { user: user.clone() });
    }
    requests.push(Request::NewAccount {
        user: user.clone(),
        secret,
    });
    requests.push(Request::BindAccount { tid, user });
}

/// Ends the accounts of attachments that are no more, and with them every session of the target:
/// tgtd does not say which session came by which account. Sessions of others come back by
/// themselves.
///
/// tgtd counts its accounts but leaves a hole where one was taken out, and then neither admits the
/// last ones nor survives to list them: so all behind the first that goes are taken out from the
/// end, and those that stay put back.
fn shut_out(export: &Export, target: &Target) -> Vec<Request> {
    let tid = target.tid;
    let Some(first) = target.accounts.iter().position(|user| !export.knows(user)) else {
        return Vec::new();
    };
    let tail = &target.accounts[first..];
    let (stay, go): (Vec<&String>, Vec<_>) = tail.iter().partition(|user| export.knows(user));
    let out = tail.iter().rev().map(|user| Request::UnbindAccount {
        tid,
        user: user.clone(),
    });
    let back = stay.into_iter().map(|user| Request::BindAccount {
        tid,
        user: user.clone(),
    });
    let gone = go
        .into_iter()
        .map(|user| Request::DeleteAccount { user: user.clone() });
    out.chain(back).chain(close(target)).chain(gone).collect()
}

/// tgtd reads a file's size when it opens it.
fn lun(export: &Export, target: &Target) -> Vec<Request> {
    let tid = target.tid;
    let path = export.path.clone();
    let new = [Request::NewLun { tid, path }, Request::ThinLun { tid }];
    match &target.lun {
        None => new.into(),
        Some(lun) if lun.path != export.path || lun.size != printed_size(export.size_bytes) => {
            [Request::DeleteLun { tid }]
                .into_iter()
                .chain(new)
                .collect()
        }
        Some(lun) if !lun.thin => vec![Request::ThinLun { tid }],
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
