//! A sequence of messages taken by both intakes: what the fuzz target runs, and a test over its
//! seeds.

use tickcache::feed::Protocol;
use tickcache::feed::presets::{
    Binance, BinanceMarket, Bybit, BybitCategory, Deribit, Events, Exchange, KrakenV1, KrakenV2,
    Okx,
};

use crate::twins::Twins;

/// The first byte of `input` chooses who the messages come from; they are the lines after it. How
/// many were taken apart with what was learned.
///
/// # Panics
///
/// If learning makes a difference.
pub(crate) fn replay(input: &[u8]) -> u64 {
    let Some((&choice, lines)) = input.split_first() else {
        return 0;
    };
    match choice % 8 {
        0 => take(lines, || Exchange::of(Binance::of(BinanceMarket::Spot))),
        1 => take(lines, || Exchange::of(Bybit::of(BybitCategory::Linear))),
        2 => take(lines, || Exchange::of(KrakenV1::default())),
        3 => take(lines, || Exchange::of(KrakenV2::default())),
        4 => take(lines, || Exchange::of(Deribit::default())),
        5 => take(lines, || Exchange::of(Okx)),
        _ => take(lines, Events::default),
    }
}

/// Takes every line twice, so that its layout is learned, and all of them once more.
fn take<P: Protocol>(lines: &[u8], protocol: impl Fn() -> P) -> u64 {
    let mut twins = Twins::new("a sequence", protocol);
    let lines = || lines.split(|byte| *byte == b'\n');
    for line in lines() {
        twins.take(line);
        twins.take(line);
    }
    for line in lines() {
        twins.take(line);
    }
    twins.finish(0).hits
}
