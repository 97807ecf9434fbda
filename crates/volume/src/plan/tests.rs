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
