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
mod tests {
    use super::*;
    use crate::listing::Lun;

    /// What tgtd does with a request, holes in its accounts included.
    fn obey(seen: &mut Listing, request: &Request, sizes: &BTreeMap<String, u64>) {
        fn of(seen: &mut Listing, tid: u32) -> &mut Target {
            seen.targets
                .values_mut()
                .find(|t| t.tid == tid)
                .expect("a target of that number")
        }
        match request.clone() {
            Request::ListTargets | Request::ListAccounts | Request::ListPortals => {}
            Request::NewTarget { tid, name } => {
                let other = seen.targets.insert(
                    name,
                    Target {
                        tid,
                        ..Target::default()
                    },
                );
                assert_eq!(other, None);
            }
            Request::DeleteTarget { tid } => seen.targets.retain(|_, t| t.tid != tid),
            Request::NewLun { tid, path } => {
                let size = printed_size(sizes[&path]);
                let lun = of(seen, tid).lun.replace(Lun {
                    path,
                    size,
                    thin: false,
                });
                assert_eq!(lun, None);
            }
            Request::ThinLun { tid } => of(seen, tid).lun.as_mut().unwrap().thin = true,
            Request::DeleteLun { tid } => assert!(of(seen, tid).lun.take().is_some()),
            Request::AdmitAll { tid } => {
                let target = of(seen, tid);
                assert!(!target.accounts.is_empty(), "open to everybody");
                target.open = true;
            }
            Request::NewAccount { user, .. } => assert!(seen.accounts.insert(user)),
            Request::DeleteAccount { user } => {
                seen.accounts.remove(&user);
                let mut targets = seen.targets.values();
                assert!(targets.all(|t| !t.accounts.contains(&user)), "a hole");
            }
            Request::BindAccount { tid, user } => {
                assert!(seen.accounts.contains(&user));
                of(seen, tid).accounts.push(user);
            }
            Request::UnbindAccount { tid, user } => {
                assert_eq!(of(seen, tid).accounts.pop(), Some(user), "a hole");
                assert!(!of(seen, tid).accounts.is_empty(), "open to everybody");
            }
            Request::CloseConnection { tid, session, .. } => {
                of(seen, tid).connections.retain(|(s, _)| *s != session);
            }
        }
    }

    fn export(number: u128, gib: u64, users: &[&str]) -> Export {
        let volume = VolumeId(uuid::Uuid::from_u128(number));
        Export {
            volume,
            target: format!("iqn.2026-11.x:{number}"),
            size_bytes: gib << 30,
            path: format!("{number}.raw"),
            chaps: users
                .iter()
                .map(|user| Chap {
                    user: (*user).into(),
                    secret: "s".into(),
                })
                .collect(),
        }
    }

    fn settle(wanted: &[Export], seen: &mut Listing) {
        settle_killed_after(wanted, seen, usize::MAX);
    }

    /// Does at most so many requests, as if killed then.
    fn settle_killed_after(wanted: &[Export], seen: &mut Listing, requests: usize) {
        let sizes = wanted
            .iter()
            .map(|e| (e.path.clone(), e.size_bytes))
            .collect();
        let all = plan(wanted, seen)
            .into_iter()
            .flat_map(|step| step.requests);
        for request in all.take(requests) {
            obey(seen, &request, &sizes);
        }
    }

    fn check(wanted: &[Export], seen: &Listing) {
        assert!(plan(wanted, seen).is_empty(), "{seen:?}");
        assert_eq!(seen.targets.len(), wanted.len());
        for export in wanted {
            let target = &seen.targets[&export.target];
            assert!(target.open);
            let users: BTreeSet<_> = target.accounts.iter().collect();
            let guard = export.guard();
            let wanted = export.chaps.iter().map(|chap| &chap.user).chain([&guard]);
            assert_eq!(users, wanted.collect());
            assert_eq!(
                target.lun.as_ref().unwrap().size,
                printed_size(export.size_bytes)
            );
        }
    }

    fn wishes() -> Vec<Vec<Export>> {
        vec![
            vec![],
            vec![export(1, 1, &[])],
            vec![export(1, 1, &["a", "b", "c"]), export(2, 5, &["d"])],
            vec![export(1, 2, &["a", "c"]), export(2, 5, &[])],
            vec![export(2, 5, &["e", "f"]), export(3, 1, &["c"])],
        ]
    }

    #[test]
    fn from_anything_to_anything() {
        for before in wishes() {
            for after in wishes() {
                let mut seen = Listing::default();
                settle(&before, &mut seen);
                check(&before, &seen);
                settle(&after, &mut seen);
                check(&after, &seen);
            }
        }
    }

    #[test]
    fn killed_between_any_two_requests_the_next_pass_repairs() {
        for before in wishes() {
            for after in wishes() {
                for killed in 0..40 {
                    let mut seen = Listing::default();
                    settle(&before, &mut seen);
                    settle_killed_after(&after, &mut seen, killed);
                    settle(&after, &mut seen);
                    check(&after, &seen);
                }
            }
        }
    }

    #[test]
    fn an_account_that_ends_takes_its_sessions_along() {
        let mut seen = Listing::default();
        settle(&[export(1, 1, &["a", "b"])], &mut seen);
        seen.targets.values_mut().next().unwrap().connections = vec![(4, 0), (5, 1)];
        let after = [export(1, 1, &["b"])];
        // Also when we were killed before the sessions were ended.
        for killed in 0..8 {
            let mut seen = seen.clone();
            settle_killed_after(&after, &mut seen, killed);
            settle(&after, &mut seen);
            check(&after, &seen);
            assert_eq!(seen.targets.values().next().unwrap().connections, []);
        }
    }

    #[test]
    fn a_session_stays_when_nothing_of_its_target_changes() {
        let mut seen = Listing::default();
        settle(&[export(1, 1, &["a"])], &mut seen);
        seen.targets.values_mut().next().unwrap().connections = vec![(4, 0)];
        settle(&[export(1, 1, &["a", "b"]), export(2, 1, &[])], &mut seen);
        assert_eq!(seen.targets["iqn.2026-11.x:1"].connections, [(4, 0)]);
    }
}
