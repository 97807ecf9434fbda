//! Where `hextet.toml` says what.

use std::path::Path;

use doctor::Place;
use toml_edit::Document;

use crate::Failure;

/// The settings as they are written.
pub(super) struct SettingsFile {
    file: String,
    text: String,
}

impl SettingsFile {
    pub(super) fn read(path: &Path) -> Result<SettingsFile, Failure> {
        Ok(SettingsFile {
            file: path.display().to_string(),
            text: std::fs::read_to_string(path)?,
        })
    }

    /// The place of a setting, by the names of its tables and its own. Without a line where it is
    /// left out.
    pub(super) fn place(&self, names: &[&str]) -> Place {
        let (option, tables) = names.split_last().unwrap_or((&"", &[]));
        Place {
            file: self.file.clone(),
            line: line_of(&self.text, names),
            section: Some(tables.join(".")).filter(|section| !section.is_empty()),
            option: Some((*option).to_owned()),
        }
    }
}

fn line_of(text: &str, names: &[&str]) -> Option<usize> {
    let document = Document::parse(text).ok()?;
    let item = names
        .iter()
        .try_fold(document.as_item(), |item, name| item.get(name))?;
    let before = text.get(..item.span()?.start)?;
    Some(before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_lines() {
        let text = "# a\nurl = 'https://a'\n\n[edge]\nbalancer = '[::1]:1'\n[edge.classic]\n\
                    identity = '[::]:5000'\n[dns]\nupstreams = [\n  '::1',\n]\n";
        for (names, line) in [
            (&["url"][..], Some(2)),
            (&["edge", "balancer"], Some(5)),
            (&["edge", "classic", "identity"], Some(7)),
            (&["dns", "upstreams"], Some(9)),
            (&["listen"], None),
            (&["url", "more"], None),
        ] {
            assert_eq!(line_of(text, names), line, "{names:?}");
        }
        let (file, text) = ("/etc/hextet/hextet.toml".into(), text.into());
        let place = SettingsFile { file, text }.place(&["edge", "classic", "identity"]);
        assert_eq!(place.section.as_deref(), Some("edge.classic"));
        assert_eq!(place.option.as_deref(), Some("identity"));
    }
}
