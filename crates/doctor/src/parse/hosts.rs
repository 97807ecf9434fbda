//! hosts(5).

use super::Setting;

/// Each line's address as key, its names as value.
pub fn parse(text: &str) -> Vec<Setting> {
    let lines = text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (address, names) = line.split_once(char::is_whitespace)?;
        Some(Setting::new(at + 1, "", address, names.trim()))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_follow_addresses() {
        let found = super::parse("# c\n::1\tlocalhost ip6-localhost # x\n127.0.0.1\n");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (
                found[0].line,
                found[0].key.as_str(),
                found[0].value.as_str()
            ),
            (2, "::1", "localhost ip6-localhost")
        );
    }
}
