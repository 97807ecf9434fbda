//! Edits as a unified diff.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::finding::{Edit, Finding};
use crate::show::steers;
use crate::tree::Tree;

/// Lines shown before and after a change.
const CONTEXT: usize = 3;

/// A diff of all safe changes, with names below `/etc` as `a/nova/nova.conf`: it is for
/// `patch -p1` in the directory that was looked at. Lines around a change are in it as they stand,
/// passwords too.
pub(crate) fn diff(tree: &Tree, findings: &[Finding]) -> String {
    let mut edits: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
    for finding in findings {
        if let Some(edit) = &finding.edit {
            edits.entry(&finding.place.file).or_default().push(edit);
        }
    }
    let mut out = String::new();
    for (path, edits) in edits {
        let name = path.strip_prefix("/etc/");
        if let Some((name, text)) =
            name.zip(tree.bytes(path).and_then(|b| String::from_utf8(b).ok()))
        {
            let changes = changes(&text, &edits);
            write_file(&mut out, name, &text, &changes);
        }
    }
    out
}

/// What becomes of a line: other lines in its place, and lines after it. Line 0 is before the first.
#[derive(Default)]
struct Change {
    instead: Option<String>,
    after: Vec<String>,
}

fn changes(text: &str, edits: &[&Edit]) -> BTreeMap<usize, Change> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut out: BTreeMap<usize, Change> = BTreeMap::new();
    for edit in edits {
        match edit {
            Edit::Insert { after, text } => {
                let new = &mut out.entry(*after).or_default().after;
                if !new.contains(text) {
                    new.push(text.clone());
                }
            }
            Edit::Replace {
                line,
                start,
                from,
                to,
            } => {
                let change = out.entry(*line).or_default();
                let old = change
                    .instead
                    .as_deref()
                    .or(lines.get(line.wrapping_sub(1)).copied());
                // An earlier edit of the line may have taken this one's text away.
                let new = old.and_then(|old| {
                    let at = start + old.get(*start..)?.find(from.as_str())?;
                    Some(format!("{}{to}{}", &old[..at], &old[at + from.len()..]))
                });
                change.instead = new.or(change.instead.take());
            }
            // No lines of files.
            Edit::Sysctl { .. } | Edit::Mode { .. } => {}
        }
    }
    out.retain(|_, change| change.instead.is_some() || !change.after.is_empty());
    out
}

fn write_file(out: &mut String, name: &str, text: &str, changes: &BTreeMap<usize, Change>) {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let ended = lines.last() == Some(&"");
    if ended {
        lines.pop();
    }
    let mut body = String::new();
    let mut shift = 0_isize;
    for (first, last) in hunks(changes, lines.len()) {
        let shown = &lines[first - 1..last];
        // A terminal must survive the diff, and a diff without its exact lines does not apply. A
        // file without a last newline is changed only where that does not show.
        let fit = shown
            .iter()
            .all(|line| line.chars().all(|c| c == '\t' || !steers(c)));
        if fit && (ended || last < lines.len()) {
            write_hunk(&mut body, &lines, changes, (first, last), &mut shift);
        }
    }
    if !body.is_empty() {
        let _ = write!(out, "--- a/{name}\n+++ b/{name}\n{body}");
    }
}

/// Ranges of lines, from 1, each with its context; those that touch are one. There is as much
/// context before as after: `patch` takes less for the end of the file.
fn hunks(changes: &BTreeMap<usize, Change>, count: usize) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    let within = |(line, _): &(&usize, &Change)| **line <= count && count > 0;
    for (line, change) in changes.iter().filter(within) {
        // After an insertion the line before it is context itself.
        let before = CONTEXT - usize::from(change.instead.is_none());
        let first = line.saturating_sub(before).max(1);
        let last = (line + CONTEXT).min(count);
        match out.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last,
            _ => out.push((first, last)),
        }
    }
    out
}

fn write_hunk(
    out: &mut String,
    lines: &[&str],
    changes: &BTreeMap<usize, Change>,
    (first, last): (usize, usize),
    shift: &mut isize,
) {
    let mut body = String::new();
    let mut added = 0_isize;
    for number in first..=last {
        let line = lines[number - 1];
        let change = changes.get(&number);
        match change.and_then(|change| change.instead.as_deref()) {
            Some(new) => {
                let _ = write!(body, "-{line}\n+{new}\n");
            }
            None => {
                let _ = writeln!(body, " {line}");
            }
        }
        for new in change.iter().flat_map(|change| &change.after) {
            let _ = writeln!(body, "+{new}");
            added += 1;
        }
    }
    let count = last - first + 1;
    let new_first = first.saturating_add_signed(*shift);
    let new_count = count.saturating_add_signed(added);
    let _ = write!(
        out,
        "@@ -{first},{count} +{new_first},{new_count} @@\n{body}"
    );
    *shift += added;
}
