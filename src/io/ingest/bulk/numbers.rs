//! Holes in the numbering of a connection that a long message may still fill.
//!
//! The number of a long message is unknown until it has been taken apart. A hole that shows
//! meanwhile is a gap only if it is still open when the last of the long messages that came before
//! it has landed.

use std::collections::VecDeque;

/// Numbers that have not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hole {
    from: u64,
    /// The last of them.
    to: u64,
    /// The last long message before the number that showed it.
    after: u64,
    /// Nothing says that any of them is missing: no number came before. Or they are counted.
    silent: bool,
}

/// The holes of the present connection.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    holes: VecDeque<Hole>,
}

impl Numbers {
    /// The numbers `from..found` have not come, and long messages up to `after` may have them,
    /// `flights` in number. Whether it is clear already that some are missing: it is to be counted
    /// now, and will not be again.
    pub(super) fn open(&mut self, from: u64, found: u64, after: u64, flights: u64) -> bool {
        let Some(to) = found.checked_sub(1).filter(|to| *to >= from) else {
            return false;
        };
        // Each has one number. Some may be for other holes, which shows when they land.
        let silent = to - from >= flights;
        self.holes.push_back(Hole {
            from,
            to,
            after,
            silent,
        });
        silent
    }

    /// The first number that came is this one, and long messages up to `after` were before it.
    pub(super) fn begin(&mut self, found: u64, after: u64) {
        if let Some(to) = found.checked_sub(1) {
            self.holes.push_back(Hole {
                from: 0,
                to,
                after,
                silent: true,
            });
        }
    }

    /// The long message `order` has this number: whether it fills a hole that was found after it.
    pub(super) fn fill(&mut self, number: u64, order: u64) -> bool {
        let filled = self
            .holes
            .iter()
            .position(|hole| hole.after >= order && (hole.from..=hole.to).contains(&number));
        let Some(at) = filled else {
            return false;
        };
        let Some(hole) = self.holes.remove(at) else {
            return false;
        };
        // Of the first numbers, those before are before the beginning, those after are missing.
        let began = hole.from == 0 && hole.silent;
        if number > hole.from && !began {
            self.holes.push_back(Hole {
                to: number - 1,
                ..hole
            });
        }
        if number < hole.to {
            self.holes.push_back(Hole {
                from: number + 1,
                silent: hole.silent && !began,
                ..hole
            });
        }
        true
    }

    /// The long message `order` has landed. The first number that is missing for good, and the one
    /// after the last, if any is and was not counted.
    pub(super) fn landed(&mut self, order: u64) -> Option<(u64, u64)> {
        let due = |hole: &&Hole| hole.after <= order && !hole.silent;
        let missing = self.holes.iter().filter(due);
        let missing = missing.fold(None, |sum: Option<(u64, u64)>, hole| {
            let (from, to) = sum.unwrap_or((hole.from, hole.to + 1));
            Some((from.min(hole.from), to.max(hole.to + 1)))
        });
        self.holes.retain(|hole| hole.after > order);
        missing
    }

    /// Another connection, or nothing is awaited any more.
    pub(super) fn clear(&mut self) {
        self.holes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_a_gap_unless_the_messages_before_it_fill_it() {
        let mut numbers = Numbers::default();
        assert!(!numbers.open(6, 7, 1, 1), "the long message may be 6");
        assert!(numbers.fill(6, 1));
        assert_eq!(numbers.landed(1), None);
        assert!(!numbers.open(8, 9, 2, 1));
        assert!(!numbers.fill(7, 2), "7 has come");
        assert_eq!(numbers.landed(2), Some((8, 9)));
        assert_eq!(numbers.landed(2), None, "once");
    }

    #[test]
    fn a_hole_too_wide_is_a_gap_at_once_and_can_be_filled_all_the_same() {
        let mut numbers = Numbers::default();
        assert!(numbers.open(6, 9, 1, 1));
        assert!(numbers.fill(7, 1) && !numbers.fill(7, 1));
        assert_eq!(numbers.landed(1), None, "counted before");
    }

    #[test]
    fn only_messages_before_the_hole_fill_it() {
        let mut numbers = Numbers::default();
        assert!(!numbers.open(6, 7, 1, 1));
        assert!(!numbers.fill(6, 2));
        assert_eq!(numbers.landed(1), Some((6, 7)));
    }

    #[test]
    fn before_the_first_number_nothing_is_missing() {
        let mut numbers = Numbers::default();
        numbers.begin(10, 1);
        assert!(numbers.fill(9, 1));
        assert_eq!(numbers.landed(1), None);
        numbers.begin(10, 2);
        assert!(numbers.fill(7, 2));
        assert_eq!(numbers.landed(2), Some((8, 10)));
        numbers.begin(10, 3);
        assert_eq!(numbers.landed(3), None);
    }
}
