//! Which files a daemon reads, in which order.

use super::Config;
use crate::daemon::Daemon;
use crate::parse::{self, Malformed};
use crate::tree::Tree;

/// What of a daemon's files could not be read by the rules.
pub(crate) type Broken = Vec<(String, Malformed)>;

/// A daemon's configuration, made of the files its command line names, or of the defaults.
pub(crate) fn of_daemon(tree: &Tree, daemon: &Daemon) -> (Config, Broken) {
    let mut arguments = daemon.arguments(tree);
    if arguments.is_empty() {
        arguments = daemon
            .files
            .iter()
            .map(|file| format!("--config-file={file}"))
            .collect();
    }
    let (mut config, mut broken) = (Config::default(), Vec::new());
    for path in command_line(tree, daemon.project, daemon.name, &arguments) {
        let Some(file) = tree.file(&path) else {
            continue;
        };
        match parse::oslo(&file.text) {
            Ok(settings) => config.add(&path, &settings),
            Err(wrong) => broken.push((path, wrong)),
        }
    }
    (config, broken)
}

/// The files in the order in which they are read; later ones count more.
///
/// Defaults come first, and each of the two kinds only when no argument of its kind is there: with
/// `--config-file` alone the default directories are read *before* that file.
fn command_line(tree: &Tree, project: &str, program: &str, arguments: &[String]) -> Vec<String> {
    let given = |option: &str| {
        arguments
            .iter()
            .any(|a| a == option || a.starts_with(&format!("{option}=")))
    };
    let mut files = Vec::new();
    if !given("--config-file") {
        // What RDO's packages give their daemons below the operator's own file.
        let dist = format!("/usr/share/{project}/{project}-dist.conf");
        files.extend(Some(dist).filter(|path| tree.exists(path)));
        files.extend(found(tree, project, program, ".conf"));
    }
    if !given("--config-dir") {
        for directory in found(tree, project, program, ".conf.d") {
            files.extend(inside(tree, &directory));
        }
    }
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || value.clone().or_else(|| words.next().cloned());
        match option {
            "--config-file" => files.extend(value()),
            "--config-dir" => files.extend(value().iter().flat_map(|d| inside(tree, d))),
            _ => {}
        }
    }
    files
}

/// For the project and for the program, the first of the places oslo.config looks at.
fn found(tree: &Tree, project: &str, program: &str, ending: &str) -> Vec<String> {
    // The home of the service's user comes first, and is below /var/lib in all distributions.
    let home = format!("/var/lib/{project}");
    let places = [
        format!("{home}/.{project}"),
        home,
        format!("/etc/{project}"),
        "/etc".to_owned(),
    ];
    let first = |name: &str| {
        places
            .iter()
            .map(|place| format!("{place}/{name}{ending}"))
            .find(|path| tree.exists(path))
    };
    [project, program].into_iter().filter_map(first).collect()
}

fn inside(tree: &Tree, directory: &str) -> Vec<String> {
    let directory = directory.trim_end_matches('/');
    // A shell's `*` passes over names that begin with a dot, and so does Python's.
    let names = tree.names(directory).into_iter();
    let names = names.filter(|name| name.ends_with(".conf") && !name.starts_with('.'));
    names.map(|name| format!("{directory}/{name}")).collect()
}
