//! The link of an entity: whether what feeds it is connected, in one word.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::store::fault::{Fault, injected};
use crate::store::marks::{Marks, Point};
use crate::sync::{AtomicU64, Mutex, Ordering, Own};

/// One source's part in the link of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Raised by each open. Below 2^40, and never lowered.
    pub(crate) generation: u64,
    /// What is wrong with it, of the constants here. 0: it is open.
    pub(crate) bits: u8,
}

impl Link {
    /// Not connected.
    pub(crate) const DOWN: u8 = 1;
    /// Connected, and silent for too long.
    pub(crate) const SILENT: u8 = 1 << 1;
    /// Messages are missing, and nobody knows of which key.
    pub(crate) const GAP: u8 = 1 << 2;
    /// The feed has ended.
    pub(crate) const STOPPED: u8 = 1 << 3;

    /// The word of this link alone.
    pub(crate) const fn to_word(self) -> u64 {
        self.generation << 8 | self.bits as u64
    }

    pub(crate) const fn from_word(word: u64) -> Self {
        Self {
            generation: word >> 8,
            bits: word as u8,
        }
    }
}

/// The word that readers compare with a value's stamp, and the parts it is made of.
///
/// It is the sum of the sources' generations, which rises when any of them does, and all of their
/// bits. A value is as good as its connection if its stamp is the word and the word has no bits.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct LinkWord {
    word: AtomicU64,
    /// The point, among the marks, at which the generation was raised last.
    raised: AtomicU64,
    /// The word that the last gap has made, without bits.
    torn: AtomicU64,
    parts: Mutex<HashMap<u64, Link>>,
}

impl LinkWord {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            raised: AtomicU64::new(0),
            torn: AtomicU64::new(0),
            parts: Mutex::new(HashMap::new()),
        }
    }

    /// The word now. Acquires what its setter did before: pairs with [`update`](Self::update).
    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// The word as it was at a point, but for what is wrong with the link; `None` if it was raised
    /// since. What was read before that must not be stamped with it.
    #[inline]
    pub(super) fn as_of(&self, point: Point) -> Option<u64> {
        let word = self.load();
        // After the word, which acquires it.
        let raised = Point::new(self.raised.load(Ordering::Relaxed));
        (raised <= point || injected(Fault::LinkAsOfNow)).then_some(word)
    }

    /// What was confirmed by a word below this one may lack something that no connection sends again:
    /// the last gap. Asked after a word it is at least as new as that.
    #[inline]
    pub(crate) fn torn(&self) -> u64 {
        self.torn.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    /// Sets the part of a source, and the word with it.
    pub(super) fn set(&self, marks: &Marks, source: u64, link: Link) {
        self.update(marks, source, |_| link);
    }

    /// Changes the part of a source, [`Link::default`] if it has none yet, and the word with it.
    pub(super) fn update(&self, marks: &Marks, source: u64, change: impl FnOnce(Link) -> Link) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let part = parts.entry(source).or_default();
        let before = std::mem::replace(part, change(*part));
        let is_gap = part.generation > before.generation && part.bits & Link::GAP != 0;
        self.sum(marks, &parts, is_gap);
    }

    /// Changes the parts of all sources that have one, and the word with them.
    pub(super) fn update_each(&self, marks: &Marks, mut change: impl FnMut(u64, Link) -> Link) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, part) in parts.iter_mut() {
            *part = change(*source, *part);
        }
        self.sum(marks, &parts, false);
    }

    /// Under the lock of the parts: stores the word that they make. Where the generation rises it is
    /// said before at which point, and whether for a gap.
    fn sum(&self, marks: &Marks, parts: &HashMap<u64, Link>, is_gap: bool) {
        let sum = parts.values().fold(Link::default(), |sum, part| Link {
            generation: sum.generation + part.generation,
            bits: sum.bits | part.bits,
        });
        let before = Link::from_word(self.word.own());
        if before.generation == sum.generation {
            return self.word.store(sum.to_word(), Ordering::Release);
        }
        self.raised.store(marks.next().get(), Ordering::Relaxed);
        if is_gap {
            let torn = Link { bits: 0, ..sum };
            self.torn.store(torn.to_word(), Ordering::Relaxed);
        }
        self.word.store(sum.to_word(), Ordering::Release);
        marks.made();
    }
}

#[cfg(all(test, not(tickcache_model)))]
mod tests {
    use super::*;

    #[test]
    fn the_word_rises_with_any_source_and_is_bad_while_one_is() {
        let (word, marks) = (LinkWord::new(), Marks::new());
        word.set(
            &marks,
            1,
            Link {
                generation: 1,
                bits: 0,
            },
        );
        word.set(
            &marks,
            2,
            Link {
                generation: 5,
                bits: Link::DOWN,
            },
        );
        assert_eq!(
            Link::from_word(word.load()),
            Link {
                generation: 6,
                bits: Link::DOWN
            }
        );
        word.set(
            &marks,
            1,
            Link {
                generation: 1,
                bits: Link::SILENT,
            },
        );
        assert_eq!(Link::from_word(word.load()).bits, Link::DOWN | Link::SILENT);
        word.set(
            &marks,
            2,
            Link {
                generation: 6,
                bits: 0,
            },
        );
        word.set(
            &marks,
            1,
            Link {
                generation: 1,
                bits: 0,
            },
        );
        assert_eq!(
            Link::from_word(word.load()),
            Link {
                generation: 7,
                bits: 0
            }
        );
    }

    #[test]
    fn a_gap_is_the_word_that_it_has_made_until_the_next_one() {
        let (word, marks) = (LinkWord::new(), Marks::new());
        let raise = |source, bits| {
            word.update(&marks, source, |part| Link {
                generation: part.generation + 1,
                bits,
            });
        };
        let noted = |source| {
            word.update(&marks, source, |part| Link {
                bits: Link::GAP,
                ..part
            });
        };
        raise(1, 0);
        raise(2, Link::DOWN);
        assert_eq!(word.torn(), 0);
        raise(1, Link::GAP);
        assert_eq!(word.torn(), 3 << 8);
        noted(2);
        raise(1, 0);
        assert_eq!(word.torn(), 3 << 8, "no other one");
        raise(2, Link::GAP);
        assert_eq!(word.torn(), 5 << 8);
    }
}
