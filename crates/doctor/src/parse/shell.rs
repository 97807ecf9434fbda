//! Assignments of shell files: /etc/default, rabbitmq-env.conf, heads of init scripts.

use super::Setting;

/// `NAME=value`, `export NAME=value`, `NAME="$NAME more"`. What a shell would do beside that is not
/// done: only plain assignments are seen, each with its quotes taken off.
pub fn parse(text: &str) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || !name.chars().all(plain)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            continue;
        }
        let (value, more) = quoted(value, &mut lines);
        let mut setting = Setting::new(at + 1, "", name, &value);
        setting.last += more;
        out.push(setting);
    }
    out
}

/// The value without quotes, and how many lines more it took.
fn quoted<'a>(value: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> (String, usize) {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return (
            value
                .split(char::is_whitespace)
                .next()
                .unwrap_or_default()
                .to_owned(),
            0,
        );
    };
    let (mut out, mut rest, mut more) = (String::new(), value[1..].to_owned(), 0);
    loop {
        if let Some(end) = rest.find(quote) {
            out.push_str(&rest[..end]);
            return (out, more);
        }
        out.push_str(rest.trim_end_matches('\\'));
        out.push(' ');
        let Some((_, next)) = lines.next() else {
            return (out.trim().to_owned(), more);
        };
        rest = next.to_owned();
        more += 1;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn assignments_are_seen_and_code_is_not() {
        let found =
            super::parse("A=b c\nexport B=\"x y\"\nif [ x = y ]; then\nC='one \\\n two'\n# D=1\n");
        let seen: Vec<_> = found
            .iter()
            .map(|s| (s.line, s.last, s.key.as_str(), s.value.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (1, 1, "A", "b"),
                (2, 2, "B", "x y"),
                (4, 5, "C", "one   two")
            ]
        );
    }
}
