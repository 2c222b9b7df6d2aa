//! The order in which a source's messages come: mostly that of before. Comparing the id that is
//! expected is a fraction of hashing the one that came.

/// So many more ids that come elsewhere than expected than ids that come there, and nothing is
/// expected any more until that turns.
const MOST_TRUST: u8 = 16;

/// Which slot came after which.
#[derive(Debug)]
pub(super) struct Order {
    /// The slot of the message before.
    last: u32,
    /// By number: the slot whose message came next, the last time.
    successors: Vec<u32>,
    /// How far what is expected is trusted; 0: not at all.
    trust: u8,
}

impl Order {
    pub(super) const fn new() -> Self {
        Self {
            last: 0,
            successors: Vec::new(),
            trust: MOST_TRUST,
        }
    }

    /// There are so many slots.
    pub(super) fn grow(&mut self, slots: usize) {
        self.successors.resize(slots, 0);
    }

    /// The slot of the message before.
    #[inline(always)]
    pub(super) const fn last(&self) -> u32 {
        self.last
    }

    /// The slot that came next the last time. None where that has mostly been wrong: nothing of it is
    /// to be looked at then, which would be a miss of the cache for nothing.
    #[inline(always)]
    pub(super) fn next(&self) -> Option<u32> {
        if self.trust == 0 {
            return None;
        }
        self.successors.get(self.last as usize).copied()
    }

    /// The slot that was expected has come.
    #[inline(always)]
    pub(super) const fn came(&mut self, number: u32) {
        self.last = number;
    }

    /// Another slot has come, or one of which nothing was expected.
    pub(super) fn follow(&mut self, number: u32) {
        if let Some(successor) = self.successors.get_mut(self.last as usize) {
            self.trust = match *successor == number {
                true => MOST_TRUST.min(self.trust + 1),
                false => self.trust.saturating_sub(1),
            };
            *successor = number;
        }
        self.last = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(slots: usize) -> Order {
        let mut order = Order::new();
        order.grow(slots);
        order
    }

    /// A message of a slot comes: whether it was expected.
    fn come(order: &mut Order, number: u32) -> bool {
        let expected = order.next() == Some(number);
        if expected {
            order.came(number);
        } else {
            order.follow(number);
        }
        expected
    }

    #[test]
    fn a_round_is_expected_once_it_was_seen() {
        let mut order = order(5);
        let round = |order: &mut Order| (0..5).filter(|slot| come(order, *slot)).count();
        round(&mut order);
        assert_eq!((round(&mut order), round(&mut order)), (5, 5));
    }

    #[test]
    fn nothing_is_expected_of_who_never_keeps_an_order_until_it_does() {
        let mut order = order(64);
        // Each step is longer than the one before: no slot ever follows the same one twice.
        (1..=64_u32).for_each(|step| {
            come(&mut order, step * (step + 1) / 2 % 64);
        });
        assert_eq!(order.next(), None);
        // While nothing is expected the order is followed all the same.
        for _ in 0..4 {
            (0..8).for_each(|slot| {
                come(&mut order, slot);
            });
        }
        assert_eq!(order.next(), Some(0));
    }

    #[test]
    fn nothing_is_expected_without_slots() {
        assert_eq!(order(0).next(), None);
    }
}
