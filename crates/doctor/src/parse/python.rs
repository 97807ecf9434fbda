//! Assignments of a Python settings file (horizon's local_settings.py), read by lines, never run.

use super::Setting;

/// `NAME = value` at any depth, and `'KEY': value` in dictionaries, whose `section` is the name the
/// dictionary is assigned to. The value is the text as it stands, brackets open in it followed to
/// their end.
pub fn parse(text: &str) -> Vec<Setting> {
    let mut out: Vec<Setting> = Vec::new();
    let mut name = String::new();
    let mut depth = 0_usize;
    let mut quoted = None;
    for (at, raw) in text.lines().enumerate() {
        let was = (depth, quoted);
        let line = code(raw, &mut depth, &mut quoted);
        let line = line.trim();
        if line.is_empty() || was.1.is_some() {
            continue;
        }
        if was.0 == 0 {
            if let Some((key, value)) = assignment(line) {
                name = key.to_owned();
                out.push(Setting::new(at + 1, "", key, value));
            }
        } else {
            if let Some((key, value)) = entry(line) {
                out.push(Setting::new(at + 1, &name, key, value));
            }
            if let Some(top) = out.iter_mut().rev().find(|s| s.section.is_empty()) {
                top.value.push('\n');
                top.value.push_str(line);
                top.last = at + 1;
            }
        }
    }
    out
}

/// The line without its comment; keeps count of brackets and of strings in three quotes.
fn code<'a>(line: &'a str, depth: &mut usize, long: &mut Option<&'static str>) -> &'a str {
    let (mut at, mut short) = (0, None);
    while let Some(c) = line[at..].chars().next() {
        let rest = &line[at..];
        let three = ["\"\"\"", "'''"].into_iter().find(|q| rest.starts_with(q));
        match (*long, short, c) {
            (Some(open), ..) if three == Some(open) => (*long, at) = (None, at + 2),
            (Some(_), ..) => {}
            (None, Some(_), '\\') => at += line[at + 1..].chars().next().map_or(0, char::len_utf8),
            (None, Some(open), c) if c == open => short = None,
            (None, Some(_), _) => {}
            (None, None, _) if three.is_some() => (*long, at) = (three, at + 2),
            (None, None, '"' | '\'') => short = Some(c),
            (None, None, '#') => return &line[..at],
            (None, None, '(' | '[' | '{') => *depth += 1,
            (None, None, ')' | ']' | '}') => *depth = depth.saturating_sub(1),
            (None, None, _) => {}
        }
        at += c.len_utf8();
    }
    line
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!key.is_empty() && key.chars().all(plain) && !value.starts_with('='))
        .then(|| (key, value.trim()))
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(['{', '(', '[', ' ']);
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (key, rest) = line[1..].split_once(quote)?;
    let value = rest.trim_start().strip_prefix(':')?;
    Some((key, value.trim().trim_end_matches(',')))
}

#[cfg(test)]
mod tests {
    #[test]
    fn assignments_and_entries_are_seen() {
        let text = "# A = 1\nOPENSTACK_HOST = \"127.0.0.1\" # c\nX = '''\nB = 1\n'''\nCACHES = {\n    'default': {\n        'LOCATION': '127.0.0.1:11211',\n    },\n}\nALLOWED_HOSTS = ['a#b',\n 'c']\nif x == 1:\n    D = 2\n";
        let found = super::parse(text);
        let seen: Vec<_> = found
            .iter()
            .filter(|s| s.key != "X" && s.key != "CACHES")
            .map(|s| {
                (
                    s.line,
                    s.last,
                    s.section.as_str(),
                    s.key.as_str(),
                    s.value.as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (2, 2, "", "OPENSTACK_HOST", "\"127.0.0.1\""),
                (7, 7, "CACHES", "default", "{"),
                (8, 8, "CACHES", "LOCATION", "'127.0.0.1:11211'"),
                (11, 12, "", "ALLOWED_HOSTS", "['a#b',\n'c']"),
                (14, 14, "", "D", "2"),
            ]
        );
        for strange in ["'''", "\\", "'\\", "((((", "é = 'é\\é"] {
            super::parse(strange);
        }
    }
}
