//! Files whose settings are lines: none of these is refused, strange lines are passed over.

use super::Setting;

/// `key = value` below `[section]`: MariaDB, uWSGI, units of systemd. A lone word is a key without
/// value, `!includedir DIR` a key `!includedir`. A backslash at the end goes on in the next line
/// (systemd), which harms no other.
pub fn ini(text: &str) -> Vec<Setting> {
    let mut out: Vec<Setting> = Vec::new();
    let mut section = String::new();
    let mut goes_on = false;
    for (number, line) in numbered(text) {
        let line = line.trim();
        let open = std::mem::replace(&mut goes_on, line.ends_with('\\'));
        let body = line.trim_end_matches('\\').trim_end();
        if open {
            if let Some(last) = out.last_mut() {
                last.value.push(' ');
                last.value.push_str(body);
                last.last = number;
            }
        } else if line.is_empty() || line.starts_with(['#', ';']) {
            goes_on = false;
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default().to_owned();
            goes_on = false;
        } else if let Some(rest) = body.strip_prefix('!') {
            let (key, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            out.push(Setting::new(
                number,
                &section,
                &format!("!{key}"),
                value.trim(),
            ));
        } else {
            let (key, value) = body.split_once('=').unwrap_or((body, ""));
            out.push(Setting::new(number, &section, key.trim(), value.trim()));
        }
    }
    out
}

/// `key = value` without sections: sysctl.d, rabbitmq.conf. `#` and `;` begin comments; a leading
/// `-` (sysctl: no error when it fails) is no part of the key.
pub fn pairs(text: &str) -> Vec<Setting> {
    let lines = numbered(text).filter_map(|(number, line)| {
        let line = line.trim();
        let (key, value) = line
            .split_once('=')
            .filter(|_| !line.starts_with(['#', ';']))?;
        let key = key.trim().trim_start_matches('-');
        Some(Setting::new(
            number,
            "",
            key,
            value.trim().trim_matches('\''),
        ))
    });
    lines.collect()
}

/// `key=value` or a lone `key`: dnsmasq. A comment begins with `#`, at the start or after a blank.
pub fn dnsmasq(text: &str) -> Vec<Setting> {
    let lines = numbered(text).filter_map(|(number, line)| {
        let line = uncommented(line);
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        (!key.is_empty()).then(|| Setting::new(number, "", key.trim(), value.trim()))
    });
    lines.collect()
}

/// A word and what follows it: chrony. Comments begin with `#`, `!`, `;` or `%`.
pub fn words(text: &str) -> Vec<Setting> {
    let lines = numbered(text).filter_map(|(number, line)| {
        let line = line.trim();
        let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let comment = key.is_empty() || key.starts_with(['#', '!', ';', '%']);
        (!comment).then(|| Setting::new(number, "", key, rest.trim()))
    });
    lines.collect()
}

/// Options of a command, one or more a line: memcached.conf. `-l ADDRESS`, `-l=ADDRESS`,
/// `--listen=ADDRESS`.
pub fn options(text: &str) -> Vec<Setting> {
    let mut out = Vec::new();
    for (number, line) in numbered(text) {
        let mut words = uncommented(line).split_whitespace().peekable();
        while let Some(word) = words.next() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let next = words.next_if(|next| value.is_empty() && !next.starts_with('-'));
            out.push(Setting::new(number, "", key, next.unwrap_or(value)));
        }
    }
    out
}

/// HAProxy: keywords below sections, `section` being the section's own line. Quotes do not matter
/// for what is looked for here; a comment begins with `#`.
pub fn haproxy(text: &str) -> Vec<Setting> {
    const SECTIONS: [&str; 14] = [
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "peers",
        "mailers",
        "resolvers",
        "userlist",
        "program",
        "cache",
        "ring",
        "http-errors",
        "log-forward",
    ];
    let mut section = String::new();
    let mut out = Vec::new();
    for (number, line) in numbered(text) {
        let line = uncommented(line);
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if SECTIONS.contains(&key) {
            section = line.split_whitespace().collect::<Vec<_>>().join(" ");
        } else if !key.is_empty() {
            out.push(Setting::new(number, &section, key, value.trim()));
        }
    }
    out
}

/// Erlang terms, as far as addresses go: RabbitMQ's advanced.config. Each string in quotes is a
/// setting whose key is the last atom before it.
pub fn erlang(text: &str) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut atom = String::new();
    for (number, line) in numbered(text) {
        // A comment begins with `%`; strings with that sign hold no address.
        let line = line.split('%').next().unwrap_or_default();
        for (at, part) in line.split('"').enumerate() {
            if at % 2 == 1 {
                out.push(Setting::new(number, "", &atom, part));
                continue;
            }
            let mut words = part.split(|c: char| !(c.is_alphanumeric() || "_@.".contains(c)));
            if let Some(last) = words.rfind(|w| w.starts_with(|c: char| c.is_lowercase())) {
                atom = last.to_owned();
            }
        }
    }
    out
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

/// The line without blanks around it and without its comment.
fn uncommented(line: &str) -> &str {
    let line = line.trim();
    let at = line
        .match_indices('#')
        .find(|(at, _)| *at == 0 || line[..*at].ends_with(char::is_whitespace));
    at.map_or(line, |(at, _)| line[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[Setting], expected: &[(usize, &str, &str, &str)]) {
        let seen: Vec<(usize, &str, &str, &str)> = found
            .iter()
            .map(|s| (s.line, s.section.as_str(), s.key.as_str(), s.value.as_str()))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn ini_files() {
        check(
            &ini(
                "!includedir /a/\n[mysqld]\nbind-address = ::\nskip-name-resolve\n# c\n[Service]\nExecStart=/a \\\n  --b\n",
            ),
            &[
                (1, "", "!includedir", "/a/"),
                (3, "mysqld", "bind-address", "::"),
                (4, "mysqld", "skip-name-resolve", ""),
                (7, "Service", "ExecStart", "/a --b"),
            ],
        );
    }

    #[test]
    fn lines_of_all_kinds() {
        check(
            &pairs("a.b = 1\n-c=2\n#d=1\n"),
            &[(1, "", "a.b", "1"), (2, "", "c", "2")],
        );
        check(
            &dnsmasq("bind-interfaces # x\nserver=::1#53\n"),
            &[(1, "", "bind-interfaces", ""), (2, "", "server", "::1#53")],
        );
        check(
            &words("! c\nserver a iburst\n"),
            &[(2, "", "server", "a iburst")],
        );
        check(
            &options("# c\n-l 127.0.0.1\n-d\n--listen=::1 -p 1\n"),
            &[
                (2, "", "-l", "127.0.0.1"),
                (3, "", "-d", ""),
                (4, "", "--listen", "::1"),
                (4, "", "-p", "1"),
            ],
        );
        check(
            &haproxy("global\n maxconn 1\nfrontend  a\n bind *:1 ssl # c\n"),
            &[
                (2, "global", "maxconn", "1"),
                (4, "frontend a", "bind", "*:1 ssl"),
            ],
        );
        check(
            &erlang("[{rabbit, [{tcp_listeners, [{\"0.0.0.0\", 5672}]}]}]. % \"x\"\n"),
            &[(1, "", "tcp_listeners", "0.0.0.0")],
        );
    }
}
