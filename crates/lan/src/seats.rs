//! How many TCP connections each guest has open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that one guest may have open to one service; more are closed at once.
const CONNECTIONS_MAX: usize = 16;

/// How many connections each mark has open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    mark: u32,
}

impl Seats {
    /// One more; `None` when the mark has as many as it may.
    pub(crate) fn take(&self, mark: u32) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(mark).or_default();
        if *count >= CONNECTIONS_MAX {
            return None;
        }
        *count += 1;
        Some(Seat {
            seats: self.clone(),
            mark,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.mark) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.mark)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_so_many_connections_and_no_more() {
        let seats = Seats::default();
        let mut held: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| seats.take(7).unwrap())
            .collect();
        assert!(seats.take(7).is_none());
        assert!(seats.take(8).is_some(), "another guest is not concerned");
        held.pop();
        held.push(seats.take(7).unwrap());
        drop(held);
        assert!(seats.0.lock().unwrap().is_empty());
    }
}
