//! Sets as `nft` prints them.

use std::time::Duration;

/// An element of a set.
#[derive(Debug, PartialEq)]
pub(super) struct Element<'a> {
    pub set: &'a str,
    /// The key's parts, and what is said of it: `0x0a`, `expires`, `59m59s992ms`.
    pub words: Vec<&'a str>,
}

impl<'a> Element<'a> {
    /// The word behind this one.
    pub(super) fn after(&self, word: &str) -> Option<&'a str> {
        let at = self.words.iter().position(|w| *w == word)?;
        self.words.get(at + 1).copied()
    }
}

/// All elements of the sets, not of the maps, in what was printed: `set NAME {`, later
/// `elements = { 0x0a expires 59m, ... }` over many lines.
pub(super) fn elements(text: &str) -> Vec<Element<'_>> {
    let (mut found, mut set, mut inside) = (Vec::new(), None, false);
    for line in text.lines().map(str::trim) {
        let mut rest = line;
        if let Some(first) = line.strip_prefix("elements = {") {
            (rest, inside) = (first, true);
        } else if let Some((kind, name)) = line.strip_suffix(" {").and_then(|l| l.split_once(' ')) {
            (set, inside) = ((kind == "set").then_some(name), false);
        }
        if let Some(set) = set.filter(|_| inside) {
            for element in rest.trim_end_matches('}').split(',') {
                let words: Vec<_> = element.split_whitespace().collect();
                if !words.is_empty() {
                    found.push(Element { set, words });
                }
            }
        }
        inside &= !line.ends_with('}');
    }
    found
}

/// A time: `1h2m3s4ms`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut sum, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let end = rest[digits..].find(|c: char| c.is_ascii_digit());
        let (unit, next) = rest[digits..].split_at(end.unwrap_or(rest.len() - digits));
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_sets() {
        let printed = "table bridge hextet {\n\
            \tmap mark_of {\n\t\telements = { \"t1\" : 0x1 }\n\t}\n\
            \tset seen_t1 {\n\t\ttypeof @nh,64,128\n\t\tsize 32\n\
            \t\telements = { 0x1 expires 59m59s992ms,\n\t\t\t     0xa expires 1s }\n\t}\n\
            \tset met {\n\t\telements = { \"t1\" . 0xb expires 2s }\n\t}\n\
            \tset routers {\n\t\telements = { 2:0:0:0:0:1 . fe80::1 counter packets 3 bytes 4 expires 1h }\n\t}\n\
            \tset empty {\n\t\tsize 32\n\t}\n\
            \tchain x {\n\t\t@nh,64,128 { 0x1, 0x2 } accept\n\t}\n}\n";
        let found = elements(printed);
        let texts: Vec<_> = found
            .iter()
            .map(|e| (e.set, e.words[0], e.after("expires").unwrap()))
            .collect();
        assert_eq!(
            texts,
            [
                ("seen_t1", "0x1", "59m59s992ms"),
                ("seen_t1", "0xa", "1s"),
                ("met", "\"t1\"", "2s"),
                ("routers", "2:0:0:0:0:1", "1h"),
            ]
        );
        assert_eq!(found[3].after("packets"), Some("3"));
        assert_eq!(elements("set x {\n"), []);
    }

    #[test]
    fn times_are_sums() {
        let check = |text, seconds: Option<f64>| {
            assert_eq!(
                duration(text),
                seconds.map(Duration::from_secs_f64),
                "{text}"
            );
        };
        check("59m59s992ms", Some(3599.992));
        check("1h", Some(3600.0));
        check("2d1ms", Some(172_800.001));
        for wrong in ["", "7", "x", "3y", "1h!", "99999999999999999999s"] {
            check(wrong, None);
        }
    }
}
