//! Several slots of one owner as of one turn, without making the owner wait.

use crossbeam_utils::CachePadded;

use crate::record::Record;
use crate::store::block::Block;
use crate::store::epoch::Epoch;
use crate::store::fault::{Fault, injected};
use crate::store::head::{Head, Header};
use crate::store::reader::copy_all;
use crate::store::slot::Slot;
use crate::sync::{AtomicU64, Ordering, spin_loop};

/// The turns that an owner has finished: frames, and what it takes from its inbox.
#[derive(Debug)]
pub(crate) struct TurnCounter(CachePadded<AtomicU64>);

impl TurnCounter {
    pub(crate) fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Owner: all publications of this turn are out. Turns count from 1 and only rise. Releases
    /// them: pairs with [`last`](Self::last).
    #[inline]
    pub(crate) fn finish(&self, turn: u64) {
        self.0.store(turn, Ordering::Release);
    }

    /// The last finished turn. Acquires its publications: pairs with [`finish`](Self::finish).
    pub(crate) fn last(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// How often a cut is tried.
const TRIES: u32 = 64;

/// The slots move too fast, or one was updated in a turn that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the values moved while they were read, {TRIES} times over")]
pub(crate) struct Busy;

/// The slots as they were when one turn had ended.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) turn: u64,
    /// In the order asked for. Absent where there was no value.
    pub(crate) values: Vec<(Head, Record)>,
}

/// The slots, all of the owner of `counter`, as of the end of one turn. It may be older than what
/// the same thread has just read of one of them.
///
/// # Errors
/// Some slot was published in every try after the turn that the others were taken as of.
pub(crate) fn cut<const K: usize>(counter: &TurnCounter, slots: &[&Slot<K>]) -> Result<Cut, Busy> {
    let mut words = Vec::new();
    for _ in 0..TRIES {
        let turn = counter.last();
        let values: Option<_> = slots
            .iter()
            .map(|slot| slot.as_of(turn, &mut words))
            .collect();
        if let Some(values) = values {
            return Ok(Cut { turn, values });
        }
        spin_loop();
    }
    Err(Busy)
}

impl<const K: usize> Slot<K> {
    /// The newest version of a turn not above `turn`, which has ended; `None` if the ring does not
    /// reach back so far.
    fn as_of(&self, turn: u64, words: &mut Vec<u64>) -> Option<(Head, Record)> {
        // The publications of the turn are out, and acquired with it: this sees the last of them,
        // or later ones.
        let (block, epoch) = self.newest();
        let Some(body) = block
            .body()
            .filter(|_| !epoch.is_empty() && !epoch.is_dead())
        else {
            let head = Head::without_value(epoch, &Header::BLANK);
            return Some((head, Record::absent(self.shared().schema().layout())));
        };
        let reach = (K as u64 - 2).min(epoch.number());
        let epoch = (0..=reach).map(|back| epoch.before(back)).find(|epoch| {
            injected(Fault::CutNewest) || turn_of(block, *epoch).is_some_and(|own| own <= turn)
        })?;
        let (header, document) = copy_all(block, epoch, words)?;
        let head = Head::without_value(epoch, &header);
        let layout = body.layout.clone();
        let record = if head.has_value() {
            Record::new(layout, words.as_slice().into(), document)
        } else {
            Record::absent(layout)
        };
        Some((head, record))
    }
}

/// The turn of a publication; `None` if it was lapped.
fn turn_of<const K: usize>(block: &Block<K>, epoch: Epoch) -> Option<u64> {
    block.attempt(epoch, |version| {
        version.header.turn().load(Ordering::Relaxed)
    })
}
