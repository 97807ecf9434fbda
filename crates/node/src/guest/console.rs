//! A guest's console, kept in a file that stays small.
//!
//! QEMU holds the newest 1 MiB in memory until it is read; reading takes it out, and what was taken
//! is added here. What QEMU holds survives us; it is lost only with a QEMU that crashes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "console.log";

/// How much is kept when the file has grown to twice that.
const KEPT: usize = 1 << 20;

/// Adds what the guest wrote.
pub(super) fn append(dir: &Path, text: &[u8]) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let path = dir.join(FILE);
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(text)?;
    if file.metadata()?.len() > 2 * KEPT as u64 {
        let all = fs::read(&path)?;
        let new = dir.join(".console.log");
        fs::write(&new, &all[all.len() - KEPT..])?;
        fs::rename(&new, &path)?;
    }
    Ok(())
}

/// The newest lines, or all that is kept. Nothing, when the guest never wrote.
pub(super) fn read(dir: &Path, lines: Option<usize>) -> io::Result<String> {
    let all = match fs::read(dir.join(FILE)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        all => all?,
    };
    let all = &all[all.len().saturating_sub(KEPT)..];
    Ok(String::from_utf8_lossy(tail(all, lines)).into_owned())
}

fn tail(text: &[u8], lines: Option<usize>) -> &[u8] {
    let Some(lines) = lines else { return text };
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, octet)| **octet == b'\n');
    match (
        lines,
        ends.map(|(at, _)| at + 1).nth(lines.saturating_sub(1)),
    ) {
        (0, _) => b"",
        (_, Some(start)) => &text[start..],
        (_, None) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::scratch::Scratch;

    #[test]
    fn the_newest_lines() {
        let check = |text: &str, lines, expected: &str| {
            assert_eq!(
                tail(text.as_bytes(), lines),
                expected.as_bytes(),
                "{text:?} {lines:?}"
            );
        };
        check("a\nb\nc\n", None, "a\nb\nc\n");
        check("a\nb\nc\n", Some(0), "");
        check("a\nb\nc\n", Some(1), "c\n");
        check("a\nb\nc", Some(1), "c");
        check("a\nb\nc\n", Some(2), "b\nc\n");
        check("a\nb\nc\n", Some(9), "a\nb\nc\n");
        check("", Some(3), "");
        check("\n", Some(1), "\n");
    }

    #[test]
    fn the_file_stays_small() {
        let scratch = Scratch::new();
        for _ in 0..5 {
            append(&scratch.0, &vec![b'x'; KEPT - 1]).unwrap();
        }
        append(&scratch.0, b"end\n").unwrap();
        assert!(fs::metadata(scratch.0.join(FILE)).unwrap().len() <= 2 * KEPT as u64);
        let text = read(&scratch.0, None).unwrap();
        assert!(text.len() == KEPT && text.ends_with("end\n"));
    }
}
