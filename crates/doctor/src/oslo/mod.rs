//! A daemon's effective configuration, as oslo.config makes it of its files.

mod files;
mod substitute;

use std::collections::BTreeMap;

use crate::parse::Setting;

pub(crate) use files::of_daemon;

/// A daemon's settings: of each option the one that counts.
#[derive(Clone, Debug, Default)]
pub struct Config {
    chosen: BTreeMap<(String, String), (usize, Setting)>,
    files: Vec<String>,
}

impl Config {
    /// Adds a file's settings: they count more than those of earlier files, and of repeated ones in
    /// a file the last does (an option of several values has all; none of those here is one).
    pub fn add(&mut self, path: &str, settings: &[Setting]) {
        let file = self.files.len();
        self.files.push(path.to_owned());
        for setting in settings {
            let key = (group(&setting.section), setting.key.clone());
            self.chosen.insert(key, (file, setting.clone()));
        }
    }

    /// The value with its substitutions, or nothing when no file sets it.
    pub fn get(&self, section: &str, name: &str) -> Option<String> {
        let setting = self.setting(section, name)?;
        Some(self.substituted(&setting.value, section))
    }

    /// The setting as it stands.
    pub(crate) fn setting(&self, section: &str, name: &str) -> Option<&Setting> {
        Some(&self.chosen.get(&(group(section), name.to_owned()))?.1)
    }

    /// The file a setting stands in.
    pub(crate) fn file_of(&self, section: &str, name: &str) -> Option<&str> {
        let (file, _) = self.chosen.get(&(group(section), name.to_owned()))?;
        self.files.get(*file).map(String::as_str)
    }

    /// All that count: the file, and the setting with its section as oslo.config names it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Setting)> {
        let files = &self.files;
        self.chosen
            .values()
            .filter_map(move |(file, s)| Some((files.get(*file)?.as_str(), s)))
    }

    /// The files in the order they were read.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    /// Where an option is looked up that a `$` names: where it says, else in the same section, else
    /// in `DEFAULT`.
    fn lookup(&self, section: &str, name: &str) -> Option<(&str, &str)> {
        // Here case counts: a section is called as it is registered, in small letters.
        let at = |section: &str, name: &str| {
            self.chosen
                .get_key_value(&(section.to_owned(), name.to_owned()))
        };
        let found = match name.split_once('.') {
            // `DEFAULT` is no section that a `$` could name.
            Some(("DEFAULT", _)) => None,
            Some((section, name)) => at(section, name),
            None => at(&group(section), name).or_else(|| at("DEFAULT", name)),
        };
        found.map(|((section, _), (_, setting))| (section.as_str(), setting.value.as_str()))
    }
}

/// Sections are the same in any case, but `DEFAULT`.
fn group(section: &str) -> String {
    match section {
        "DEFAULT" => section.to_owned(),
        other => other.to_lowercase(),
    }
}
