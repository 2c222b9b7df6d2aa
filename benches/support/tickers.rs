//! A list of tickers behind left-right.

use left_right::{Absorb, ReadHandle, WriteHandle};

use super::Ticker;

/// The values of all slots, by number.
#[derive(Clone, Debug)]
pub(crate) struct Tickers(pub(crate) Vec<Ticker>);

/// The slot with this number has this value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetTicker(pub(crate) usize, pub(crate) Ticker);

impl Absorb<SetTicker> for Tickers {
    fn absorb_first(&mut self, operation: &mut SetTicker, _: &Self) {
        self.0[operation.0] = operation.1;
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

impl Tickers {
    /// A writer, and a reader that others are cloned from.
    pub(crate) fn shared(
        tickers: impl IntoIterator<Item = Ticker>,
    ) -> (WriteHandle<Self, SetTicker>, ReadHandle<Self>) {
        left_right::new_from_empty(Self(tickers.into_iter().collect()))
    }
}
