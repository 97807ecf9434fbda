//! `$name`, `${name}`, `$section.name` and `$$` in values.

use super::Config;

/// oslo.config goes on until Python's stack ends; a daemon with such a loop does not start.
const DEEPEST: usize = 16;
/// A value that names others many times over would grow without end.
const MOST: usize = 1000;

impl Config {
    /// The value with what `$` names put in. What is not set in any file stays as it stands: its
    /// default is the daemon's to know.
    pub(super) fn substituted(&self, value: &str, section: &str) -> String {
        self.expanded(value, section, DEEPEST, &mut { MOST })
    }

    fn expanded(&self, value: &str, section: &str, depth: usize, left: &mut usize) -> String {
        // A backslash before `$` is the same as a second `$`.
        let value = value.replace("\\$", "$$");
        let mut out = String::new();
        let mut rest = value.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            if let Some(after) = tail.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let Some((name, length)) = name(tail) else {
                out.push('$');
                rest = tail;
                continue;
            };
            match self
                .lookup(section, name)
                .filter(|_| depth > 0 && *left > 0)
            {
                Some((found_in, raw)) => {
                    *left -= 1;
                    out.push_str(&self.expanded(raw, found_in, depth - 1, left));
                }
                None => out.push_str(&rest[at..at + 1 + length]),
            }
            rest = &tail[length..];
        }
        out + rest
    }
}

/// The name after a `$`, and how many octets it takes with its braces.
fn name(tail: &str) -> Option<(&str, usize)> {
    let (text, braces) = match tail.strip_prefix('{') {
        Some(inside) => (inside.split_once('}')?.0, 2),
        None => (tail, 0),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = text.find(|c: char| !legal(c)).unwrap_or(text.len());
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (begins && (braces == 0 || end == text.len())).then(|| (&text[..end], end + braces))
}

#[cfg(test)]
mod tests {
    use crate::oslo::Config;
    use crate::parse::oslo;

    #[test]
    fn names_are_looked_up_in_their_section_then_in_default() {
        let text = "[DEFAULT]\nmy_ip = fd00::1\na = $b\nb = $a\n[s]\nhost = h\nx = http://$my_ip:${host}/$$5/\\$6\ny = $s.host-$S.nothing-$ -$1\n[t]\nz = ${s.host}$other.my_ip\n";
        let mut config = Config::default();
        config.add("f", &oslo(text).unwrap());
        let check = |section: &str, name: &str, expected: &str| {
            assert_eq!(
                config.get(section, name).as_deref(),
                Some(expected),
                "{section} {name}"
            );
        };
        check("s", "x", "http://fd00::1:h/$5/$6");
        check("s", "y", "h-$S.nothing-$ -$1");
        check("T", "z", "h$other.my_ip");
        // Loops end, wide ones too.
        assert!(config.get("DEFAULT", "a").is_some());
        let wide = format!("[DEFAULT]\na = {}\n", "$a".repeat(1000));
        config.add("g", &oslo(&wide).unwrap());
        assert!(
            config
                .get("DEFAULT", "a")
                .is_some_and(|value| value.len() < 10_000_000)
        );
    }
}
