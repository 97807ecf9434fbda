//! radvd.conf: `interface NAME { option value; prefix P { ... }; };`.

use super::Setting;

/// All options; `section` is the blocks around them, `interface eth0 / prefix 2001:db8::/64`. Each
/// block is itself a setting: `interface` with the name, `prefix` with the prefix.
pub fn parse(text: &str) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut words: Vec<(usize, String)> = Vec::new();
    for (number, token) in tokens(text) {
        match token {
            "{" => {
                let name = joined(&words);
                emit(&mut out, &open, &words);
                open.push(name);
                words.clear();
            }
            "}" => {
                emit(&mut out, &open, &words);
                words.clear();
                open.pop();
            }
            ";" => {
                emit(&mut out, &open, &words);
                words.clear();
            }
            word => words.push((number, word.to_owned())),
        }
    }
    out
}

fn emit(out: &mut Vec<Setting>, open: &[String], words: &[(usize, String)]) {
    if let Some((line, key)) = words.first() {
        out.push(Setting::new(
            *line,
            &open.join(" / "),
            key,
            &joined(&words[1..]),
        ));
    }
}

fn joined(words: &[(usize, String)]) -> String {
    words
        .iter()
        .map(|(_, word)| word.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(at, line)| {
        let line = line.split('#').next().unwrap_or_default();
        let punctuated = line.split_inclusive(['{', '}', ';']);
        punctuated.flat_map(move |part| {
            let ended = part.ends_with(['{', '}', ';']);
            let (word, mark) = part.split_at(part.len() - usize::from(ended));
            let mark = Some(mark).filter(|mark| !mark.is_empty());
            word.split_whitespace()
                .chain(mark)
                .map(move |token| (at + 1, token))
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocks_enclose_options() {
        let text = "interface eth0 {\n AdvSendAdvert on; # c\n prefix 2001:db8::/64\n { AdvAutonomous off; };\n};\n";
        let found = super::parse(text);
        let seen: Vec<_> = found
            .iter()
            .map(|s| (s.line, s.section.as_str(), s.key.as_str(), s.value.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (1, "", "interface", "eth0"),
                (2, "interface eth0", "AdvSendAdvert", "on"),
                (3, "interface eth0", "prefix", "2001:db8::/64"),
                (
                    4,
                    "interface eth0 / prefix 2001:db8::/64",
                    "AdvAutonomous",
                    "off"
                ),
            ]
        );
        assert!(super::parse("} ; { { }").is_empty());
    }
}
