//! Sysctls of a namespace.

use std::fs;
use std::io;
use std::path::Path;

use crate::netns::Netns;

/// Writes a sysctl, its name written with slashes as below `/proc/sys`.
pub fn set(ns: &Netns, name: &str, value: &str) -> io::Result<()> {
    set_all(ns, &[(name, value)])
}

/// Writes several in order, on one visit to the namespace; stops at the first failure.
pub fn set_all(ns: &Netns, settings: &[(&str, &str)]) -> io::Result<()> {
    // `/proc/sys/net` shows the namespace of the thread that looks.
    ns.run(|| {
        settings
            .iter()
            .try_for_each(|(name, value)| write(name, value))
    })
}

/// Reads a sysctl.
pub fn get(ns: &Netns, name: &str) -> io::Result<String> {
    let text = ns.run(|| fs::read_to_string(path(name)).map_err(|e| named("reading", name, &e)))?;
    Ok(text.trim_end().to_owned())
}

fn write(name: &str, value: &str) -> io::Result<()> {
    fs::write(path(name), value).map_err(|e| named("setting", name, &e))
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys").join(name)
}

fn named(doing: &str, name: &str, e: &io::Error) -> io::Error {
    let hint = match name.starts_with("net/bridge/") && e.kind() == io::ErrorKind::NotFound {
        true => " (is the kernel module br_netfilter loaded?)",
        false => "",
    };
    io::Error::new(e.kind(), format!("{doing} sysctl {name}: {e}{hint}"))
}
