//! The number by which filters and services know a port.

use std::collections::{BTreeMap, BTreeSet};

use model::PortId;

/// How many marks there are.
const MOST: usize = 0xffff;

/// Gives each port a mark: unique on the node, from 1 to 65535, and the one it had before.
///
/// A packet bears two marks in its 32 bits, its sender's and its receiver's (`crate::filter`). A mark is
/// made of the port's id, which is random: where two agree the later one takes the next number. A port for
/// which none is left has none, and its filters let nothing pass.
pub(super) fn assign(
    ports: impl Iterator<Item = PortId>,
    before: &BTreeMap<PortId, u32>,
) -> BTreeMap<PortId, u32> {
    let (old, new): (Vec<_>, Vec<_>) = ports.partition(|p| before.contains_key(p));
    let mut marks: BTreeMap<_, _> = old.into_iter().map(|p| (p, before[&p])).collect();
    let mut used: BTreeSet<u32> = marks.values().copied().collect();
    for port in new {
        if used.len() == MOST {
            break;
        }
        let [a, b, ..] = *port.0.as_bytes();
        let mut mark = u32::from_be_bytes([0, 0, a, b]);
        while mark == 0 || !used.insert(mark) {
            mark = (mark + 1) & 0xffff;
        }
        marks.insert(port, mark);
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> PortId {
        text.parse().unwrap()
    }

    #[test]
    fn marks_stay_and_never_meet() {
        let zero = port("00000000-0000-4000-8000-000000000001");
        let one = port("00010001-0000-4000-8000-000000000001");
        let twin = port("00010002-0000-4000-8000-000000000002");
        let first = assign([zero, one].into_iter(), &BTreeMap::new());
        assert_eq!(first, [(zero, 1), (one, 2)].into());
        let second = assign([one, twin].into_iter(), &first);
        assert_eq!(second, [(one, 2), (twin, 1)].into());
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let ports: Vec<_> = (0..MOST + 9).map(|_| PortId::random()).collect();
        let marks = assign(ports.iter().copied(), &BTreeMap::new());
        let numbers: BTreeSet<_> = marks.values().collect();
        assert_eq!((marks.len(), numbers.len()), (MOST, MOST));
        assert!(numbers.iter().all(|mark| (1..=0xffff).contains(*mark)));
    }
}
