//! The crash matrix: hextet is killed between any two of its steps, on both sides of the link, and
//! the next start finishes what was under way, or undoes it, and leaves nothing.
//!
//! A story is a list of operations that ends where it began. It is told once to list the points
//! that it passes; then once for each, with a hextet that kills itself there. Afterwards a new one
//! is started, the operation must be done (if it was answered) or not (if it was not), the checker
//! must find nothing, and the story goes on to its end.
//!
//! `HEXTET_CRASH_MATRIX=all` tries every point; otherwise a few are chosen by HEXTET_CRASH_SEED,
//! which is printed.

mod follow;
mod stories;

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::host::Host;
use stories::{Operation, State};

/// How long an operation may take to settle, emulated on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// How long nothing may happen before nothing is believed to happen.
const STAYS: Duration = Duration::from_millis(1500);
/// Points that are tried of each story when not all are.
const SOME: usize = 6;

/// What became of one point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It was killed, and what was under way was finished.
    Finished,
    /// It was killed, and what was under way had not happened.
    Undone,
    /// It was killed while nothing was asked of it.
    Between,
    /// The story came to its end without that point: threads do not meet the same way each time.
    NotReached,
}

/// Tells a story with a crash at each point, and prints what came of it.
fn matrix(name: &str, mut host: Host, story: &[Operation]) {
    let points = choose(name, list(&mut host, story));
    let mut table: BTreeMap<String, BTreeMap<Outcome, usize>> = BTreeMap::new();
    for (point, count) in &points {
        let at = format!("{point}#{count}");
        let (operation, outcome) = told(&mut host, story, &at);
        *table
            .entry(operation)
            .or_default()
            .entry(outcome)
            .or_default() += 1;
    }
    println!("{name}: {} points", points.len());
    println!(
        "{:<28}{:>9}{:>9}{:>9}{:>13}",
        "killed in", "finished", "undone", "between", "not reached"
    );
    for (operation, outcomes) in table {
        let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
        println!(
            "{operation:<28}{:>9}{:>9}{:>9}{:>13}",
            of(Outcome::Finished),
            of(Outcome::Undone),
            of(Outcome::Between),
            of(Outcome::NotReached)
        );
    }
    host.kill();
    host.up();
}

/// The points that a story passes, and how often.
fn list(host: &mut Host, story: &[Operation]) -> Vec<(String, usize)> {
    let log = host.root.join("points");
    let _ = fs::remove_file(&log);
    host.kill();
    host.start(&[("HEXTET_CRASH_LOG", log.to_str().unwrap())]);
    let mut api = Api::new(host);
    for operation in story {
        let asked = operation.ask(&mut api);
        assert!(asked.is_some(), "{}", host.log());
        assert_eq!(
            settled(&mut api, operation, true),
            Some(State::Done),
            "{}",
            operation.name
        );
        follow::wait(host);
    }
    host.kill();
    let text = fs::read_to_string(&log).unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        *counts.entry(line).or_default() += 1;
    }
    let each = counts
        .into_iter()
        .flat_map(|(name, count)| (1..=count).map(move |n| (name.to_owned(), n)));
    each.collect()
}

/// All of them, or a few: every so-manieth, from where the seed says.
fn choose(name: &str, points: Vec<(String, usize)>) -> Vec<(String, usize)> {
    assert!(
        points.len() > 20,
        "{name} passes {} points only",
        points.len()
    );
    if std::env::var("HEXTET_CRASH_MATRIX").is_ok_and(|which| which == "all") {
        return points;
    }
    let seed = std::env::var("HEXTET_CRASH_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: usize = seed.unwrap_or_else(|| std::process::id() as usize);
    println!(
        "{name}: {SOME} of {} points, HEXTET_CRASH_SEED={seed}",
        points.len()
    );
    let stride = points.len().div_ceil(SOME);
    points
        .into_iter()
        .skip(seed % stride)
        .step_by(stride)
        .collect()
}

/// One telling with a crash. In which operation it came, and what became of that.
fn told(host: &mut Host, story: &[Operation], at: &str) -> (String, Outcome) {
    host.kill();
    host.start(&[("HEXTET_CRASH_AT", at)]);
    let mut crashed = None;
    let mut api = (!host.ended()).then(|| Api::new(host));
    for operation in story {
        let answered = api.as_mut().and_then(|api| operation.ask(api));
        let state = match (&mut api, answered) {
            (Some(api), Some(())) => settled(api, operation, true),
            _ => None,
        };
        if state == Some(State::Done) {
            follow::wait(host);
            continue;
        }
        assert!(
            crashed.is_none(),
            "{at}: a second crash, in {}:\n{}",
            operation.name,
            host.log()
        );
        let (now, outcome) = recover(host, operation, answered.is_some(), at);
        crashed = Some((
            operation.name.to_owned(),
            if api.is_none() {
                Outcome::Between
            } else {
                outcome
            },
        ));
        api = Some(now);
    }
    // The node may still be at it: the checker waits for what is in flight.
    let mut found = host.quick_findings();
    let late = match crashed.is_none() && host.ended() {
        true => {
            host.up();
            found = host.quick_findings();
            Outcome::Between
        }
        false => Outcome::NotReached,
    };
    assert!(
        found.is_empty(),
        "{at}: after the story the checker found\n{found}\n{}",
        host.log()
    );
    crashed.unwrap_or_else(|| ("after all".to_owned(), late))
}

/// Starts anew after a crash in an operation, and brings that to its end.
fn recover(host: &mut Host, operation: &Operation, answered: bool, at: &str) -> (Api, Outcome) {
    let end = Instant::now() + Duration::from_secs(5);
    while !host.ended() {
        assert!(
            Instant::now() < end,
            "{at}: {} failed, and nobody was killed:\n{}",
            operation.name,
            host.log()
        );
        sleep(LOOK_EVERY);
    }
    host.up();
    let mut api = Api::new(host);
    let state =
        settled(&mut api, operation, answered).expect("a hextet that is not killed answers");
    let found = host.quick_findings();
    assert!(
        found.is_empty(),
        "{at}: the checker found\n{found}\n{}",
        host.log()
    );
    if state == State::Done {
        return (api, Outcome::Finished);
    }
    operation
        .ask(&mut api)
        .unwrap_or_else(|| panic!("{at}: {} again:\n{}", operation.name, host.log()));
    assert_eq!(
        settled(&mut api, operation, true),
        Some(State::Done),
        "{at}: {} again",
        operation.name
    );
    (api, Outcome::Undone)
}

/// Waits until nothing is under way any more; `None` when nobody answers. What was answered is
/// under way until it is done; otherwise it is undone when it stays so for a while.
fn settled(api: &mut Api, operation: &Operation, answered: bool) -> Option<State> {
    let began = Instant::now();
    let end = began + PATIENCE;
    loop {
        match operation.look(api)? {
            State::Undone if !answered && began.elapsed() > STAYS => return Some(State::Undone),
            State::UnderWay | State::Undone => {
                assert!(
                    Instant::now() < end,
                    "{} does not settle\n{}",
                    operation.name,
                    api.log()
                )
            }
            State::Done => return Some(State::Done),
        }
        sleep(LOOK_EVERY);
    }
}

#[test]
fn networks_and_routers_survive_a_crash_anywhere() {
    let mut host = Host::new();
    host.up();
    Api::new(&host).prepare();
    matrix("networks", host, &stories::networks());
}

#[test]
fn servers_survive_a_crash_anywhere() {
    let mut host = Host::new();
    host.up();
    Api::new(&host).prepare();
    matrix("servers", host, &stories::servers());
}

#[test]
fn volumes_and_ports_survive_a_crash_anywhere() {
    let mut host = Host::new();
    host.up();
    // A guest whose system takes part when a device is unplugged.
    host.python("make");
    matrix("attachments", host, &stories::attachments());
}
