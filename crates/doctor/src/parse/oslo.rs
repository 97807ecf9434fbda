//! Files of oslo.config, by the rules of its `iniparser`.

use super::{Malformed, Setting};

/// All assignments in order, repeated ones too.
///
/// A line that begins with a blank goes on with the assignment before it; an empty line or a
/// comment ends that. Of `:` and `=` the first one splits. One pair of quotes around a value goes.
///
/// # Errors
/// What oslo.config refuses, and with it the daemon: it does not start.
pub fn parse(text: &str) -> Result<Vec<Setting>, Malformed> {
    let mut out: Vec<Setting> = Vec::new();
    let mut section: Option<&str> = None;
    let mut open = false;
    for (at, raw) in text.split('\n').enumerate() {
        let wrong = |why| Malformed { line: at + 1, why };
        let line = raw.trim_end();
        if line.is_empty() {
            open = false;
        } else if line.starts_with([' ', '\t']) {
            let last = out.last_mut().filter(|_| open);
            let last = last.ok_or(wrong("a continuation of nothing"))?;
            last.value.push('\n');
            last.value.push_str(line.trim_start());
            last.last = at + 1;
        } else {
            open = false;
            if let Some(rest) = line.strip_prefix('[') {
                section = Some(header(rest).map_err(wrong)?);
            } else if !line.starts_with(['#', ';']) {
                let (key, value) = split(line).map_err(wrong)?;
                let section = section.ok_or(wrong("an assignment before any section"))?;
                out.push(Setting::new(at + 1, section, key, value));
                open = true;
            }
        }
    }
    Ok(out)
}

fn header(rest: &str) -> Result<&str, &'static str> {
    match rest.strip_suffix(']') {
        None => Err("a section without its closing bracket"),
        Some("") => Err("a section without a name"),
        Some(name) => Ok(name),
    }
}

fn split(line: &str) -> Result<(&str, &str), &'static str> {
    let at = line.find([':', '=']).ok_or("neither ':' nor '='")?;
    let (key, value) = (line[..at].trim(), line[at + 1..].trim());
    match key {
        "" => Err("an assignment without a name"),
        key => Ok((key, unquoted(value))),
    }
}

fn unquoted(value: &str) -> &str {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) if value.ends_with(quote) => {
            // A lone quote is its own end, and leaves nothing.
            value.get(1..value.len() - 1).unwrap_or("")
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let found = parse(text).unwrap();
        let seen: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|s| (s.section.as_str(), s.key.as_str(), s.value.as_str()))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn values_are_read_as_oslo_reads_them() {
        check(
            "[DEFAULT]\na = 1\nb: x=y\nc = 'q'\nd=\"\n\n[s]\nl = 1,\n  2,\n\t3\na=1\na=2\n",
            &[
                ("DEFAULT", "a", "1"),
                ("DEFAULT", "b", "x=y"),
                ("DEFAULT", "c", "q"),
                ("DEFAULT", "d", ""),
                ("s", "l", "1,\n2,\n3"),
                ("s", "a", "1"),
                ("s", "a", "2"),
            ],
        );
    }

    #[test]
    fn what_oslo_refuses_is_refused() {
        let check =
            |text: &str, line: usize| assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
        check("a = 1\n", 1);
        check("[s]\nword\n", 2);
        check("[s\n", 1);
        check("[]\n", 1);
        check("[s]\n= 1\n", 2);
        check("[s]\n  a\n", 2);
        check("[s]\na = 1\n# end\n  b\n", 4);
    }
}
