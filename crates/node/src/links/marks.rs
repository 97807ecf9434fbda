//! The number by which filters and services know a port.

use std::collections::{BTreeMap, BTreeSet};

use model::PortId;

/// Gives each port a mark: unique on the node, never 0, and the one it had before.
///
/// A mark is made of the port's id, which is random, so it is the same after a restart unless two
/// of some thousand ports agree in 32 bits; then the later one takes the next number.
pub(super) fn assign(
    ports: impl Iterator<Item = PortId>,
    before: &BTreeMap<PortId, u32>,
) -> BTreeMap<PortId, u32> {
    let (old, new): (Vec<_>, Vec<_>) = ports.partition(|p| before.contains_key(p));
    let mut marks: BTreeMap<_, _> = old.into_iter().map(|p| (p, before[&p])).collect();
    let mut used: BTreeSet<u32> = marks.values().copied().collect();
    for port in new {
        let [a, b, c, d, ..] = *port.0.as_bytes();
        let mut mark = u32::from_be_bytes([a, b, c, d]);
        while mark == 0 || !used.insert(mark) {
            mark = mark.wrapping_add(1);
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
        let one = port("00000001-0000-4000-8000-000000000001");
        let twin = port("00000001-0000-4000-8000-000000000002");
        let first = assign([zero, one].into_iter(), &BTreeMap::new());
        assert_eq!(first, [(zero, 1), (one, 2)].into());
        let second = assign([one, twin].into_iter(), &first);
        assert_eq!(second, [(one, 2), (twin, 1)].into());
    }
}
