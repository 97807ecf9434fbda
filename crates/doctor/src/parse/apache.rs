//! Apache's directives, with the container they stand in.

use super::Setting;

/// All directives. `section` is the innermost container's opening line without its brackets,
/// `VirtualHost *:443`; the opening line is itself a setting with the key `<VirtualHost`.
pub fn parse(text: &str) -> Vec<Setting> {
    let mut open: Vec<String> = Vec::new();
    let mut out: Vec<Setting> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let (line, last) = joined(first, at, &mut lines);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let section = open.last().cloned().unwrap_or_default();
        if line.starts_with("</") {
            open.pop();
        } else if let Some(rest) = line.strip_prefix('<') {
            let inside = rest.trim_end_matches('>').trim();
            let (name, arguments) = inside
                .split_once(char::is_whitespace)
                .unwrap_or((inside, ""));
            out.push(Setting::new(
                at + 1,
                &section,
                &format!("<{name}"),
                arguments.trim(),
            ));
            open.push(inside.to_owned());
        } else {
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim().trim_matches('"');
            out.push(Setting {
                last,
                ..Setting::new(at + 1, &section, key, value)
            });
        }
    }
    out
}

/// A line with those that a backslash at its end joins to it, and the number of the last.
fn joined<'a>(
    first: &str,
    at: usize,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> (String, usize) {
    let (mut line, mut last) = (first.to_owned(), at + 1);
    while line.ends_with('\\') {
        line.pop();
        let Some((at, next)) = lines.next() else {
            break;
        };
        line.push_str(next);
        last = at + 1;
    }
    (line, last)
}

#[cfg(test)]
mod tests {
    #[test]
    fn directives_know_their_container() {
        let found = super::parse(
            "Listen 80\n<VirtualHost *:443>\n  ServerName a \\\n b\n</VirtualHost>\nListen 1\n",
        );
        let seen: Vec<_> = found
            .iter()
            .map(|s| (s.line, s.section.as_str(), s.key.as_str(), s.value.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (1, "", "Listen", "80"),
                (2, "", "<VirtualHost", "*:443"),
                (3, "VirtualHost *:443", "ServerName", "a  b"),
                (6, "", "Listen", "1"),
            ]
        );
    }
}
