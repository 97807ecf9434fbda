//! What files say, made fit to be shown.

/// The text without what could steer a terminal or turn its direction around.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !steers(*c)).collect()
}

/// Whether a character could do more to a terminal than stand there.
pub(crate) fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// A value in which all between `://` and the last `@` of a word is hidden: users and passwords, and
/// hosts between them, because a password may hold any sign.
pub(crate) fn without_secrets(value: &str) -> String {
    let ends = |c: char| c.is_whitespace() || c == '"' || c == '\'';
    value.split_inclusive(ends).map(hidden).collect()
}

fn hidden(word: &str) -> String {
    match (word.find("://"), word.rfind('@')) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}***{}", &word[..begin + 3], &word[end..])
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(shown("a\x1b[31mb\r\n\u{202e}c\u{9b}d"), "a[31mbcd");
    }

    #[test]
    fn passwords_are_not_shown() {
        let check = |value: &str, expected: &str| assert_eq!(without_secrets(value), expected);
        check(
            "rabbit://u:p,/@h1:5672,u:q@h2:5672/v",
            "rabbit://***@h2:5672/v",
        );
        check("x http://a:1 http://u:p@b:2", "x http://a:1 http://***@b:2");
        check(
            "mysql+pymysql://nova:s@[::1]/nova?a=b",
            "mysql+pymysql://***@[::1]/nova?a=b",
        );
        check("plain", "plain");
    }
}
