//! What several benches need: the messages, the values that the peers keep, and threads to disturb.

#![allow(dead_code, reason = "each bench uses a part of it")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

pub(crate) mod background;
pub(crate) mod bare;
pub(crate) mod cpu;
pub(crate) mod curve;
pub(crate) mod json;
pub(crate) mod messages;
pub(crate) mod ours;
pub(crate) mod outcome;
pub(crate) mod paired;
pub(crate) mod tickers;

use std::time::Duration;

use cpu::CpuTime;
use criterion::Criterion;

/// Our own figures, for criterion to compare with those of the run before; rivals are compared in
/// [contests](paired::Contest). Short enough that all benches together take a few minutes, on a machine whose speed changes
/// from one second to the next: what counts is the ratio to the peers in the same group. Measures
/// the CPU time of the thread that runs the bench.
pub(crate) fn quick() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .without_plots()
}

/// Runs criterion, after the contests, as its own `main` would.
pub(crate) fn own(benches: fn()) {
    benches();
    Criterion::default().configure_from_args().final_summary();
}

/// The entity that all messages are about.
pub(crate) const ENTITY: &str = "ticker";

/// The id with this number: ten bytes.
pub(crate) fn id(number: usize) -> String {
    format!("S{number:05}USDT")
}

/// A ticker as the typed peers keep it: one cache line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticker {
    pub(crate) bid: f64,
    pub(crate) bid_size: f64,
    pub(crate) ask: f64,
    pub(crate) ask_size: f64,
    pub(crate) last: f64,
    pub(crate) volume: f64,
    pub(crate) count: u64,
    pub(crate) time: u64,
}

impl Ticker {
    /// The ticker after `step` changes.
    pub(crate) fn at(step: usize) -> Self {
        let step = step as f64;
        Self {
            bid: 61837.63 + step,
            ask: 61837.64 + step,
            bid_size: 3.78826,
            ask_size: 1.54698,
            last: 61837.63,
            volume: 8913.3,
            count: 18151,
            time: 1_723_161_468_414,
        }
    }
}

/// Numbers below `len` in an order that no prefetcher guesses, the same in every run.
pub(crate) fn shuffled(len: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for at in (1..len).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order
}

/// The items in random order, but beside each other: only what they point at is far away.
pub(crate) fn in_random_order<T>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.into_iter().map(Some).collect();
    shuffled(items.len())
        .into_iter()
        .filter_map(|number| items[number as usize].take())
        .collect()
}

/// Does something with the items so many `times` together, going round. A single one is not told
/// from any other by the compiler, and there is no list to go round.
#[inline]
pub(crate) fn visit<T>(items: &mut [T], at: &mut usize, times: u64, mut with: impl FnMut(&mut T)) {
    if let [item] = items {
        for _ in 0..times {
            with(std::hint::black_box(&mut *item));
        }
        return;
    }
    let mut left = times as usize;
    while left > 0 {
        let count = left.min(items.len() - *at);
        items[*at..*at + count].iter_mut().for_each(&mut with);
        left -= count;
        *at = (*at + count) % items.len();
    }
}

/// Goes round and round through a list.
#[derive(Clone, Debug)]
pub(crate) struct Round<T> {
    items: Vec<T>,
    at: usize,
}

impl<T> Round<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self { items, at: 0 }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> &mut T {
        self.at += 1;
        if self.at >= self.items.len() {
            self.at = 0;
        }
        &mut self.items[self.at]
    }
    /// At least one and at most `count` of the next items.
    #[inline]
    pub(crate) fn some(&mut self, count: usize) -> &[T] {
        let start = if self.at < self.items.len() {
            self.at
        } else {
            0
        };
        self.at = self.items.len().min(start + count);
        &self.items[start..self.at]
    }
}
