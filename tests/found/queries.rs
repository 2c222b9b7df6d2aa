//! Histories of queries that bytes choose.
//!
//! Half of them are those of `tests/histories`: a stream, fetches, events and lost connections, held
//! against a model of the server at every step and when everything has healed. There a seed chooses;
//! here each byte does, so that a fuzzer can change one step and keep the others. The other half has no
//! stream: [`documents`](crate::documents).

use serde_json::{Value, json};

use crate::bytes::Bytes;
use crate::history::{Op, Setup, Step, Told};
use crate::model::Numbering;
use crate::{documents, run};

/// More steps than a history needs to go wrong.
const STEPS: usize = 100;

/// Runs the history that the bytes stand for.
///
/// # Panics
/// If the cache and the model differ.
pub(crate) fn replay(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    if bytes.flag() {
        return documents::replay(bytes);
    }
    let setup = setup(bytes.byte(), &mut bytes);
    let mut steps = Vec::new();
    while !bytes.is_empty() && steps.len() < STEPS {
        steps.push(step(setup, &mut bytes));
    }
    if let Err(error) = run::run(setup, &steps) {
        let listing: String = steps.iter().map(|step| format!("  {step:?}\n")).collect();
        panic!("{error}\n{setup:?}\n{listing}");
    }
}

fn setup(choice: u8, bytes: &mut Bytes<'_>) -> Setup {
    let numbering = match choice % 4 {
        0 => Some(Numbering::PerKey),
        1 => Some(Numbering::Global),
        _ => None,
    };
    Setup {
        numbering,
        keys: 1 + bytes.below(3),
        // An answer about several keys has one number, which means nothing for numbers of each key.
        list: choice & 4 != 0 && numbering != Some(Numbering::PerKey),
        inserts: choice & 8 != 0,
        polls: choice & 16 != 0,
        retries: if choice & 32 == 0 { 1_000 } else { 0 },
    }
}

/// A patch of the members that the model's lists and items have.
fn patch(bytes: &mut Bytes<'_>) -> Value {
    let mut patch = json!({});
    for _ in 0..1 + bytes.below(2) {
        let number = bytes.byte();
        let (name, value) = match bytes.below(6) {
            0 => ("s", json!(format!("t{number}"))),
            1 => ("n", json!(number)),
            2 => ("s", Value::Null),
            3 => ("o", json!({ "a": number })),
            4 => ("o", json!({ "a": null, "b": { "c": number } })),
            _ => ("o", json!(number)),
        };
        patch[name] = value;
    }
    patch
}

fn step(setup: Setup, bytes: &mut Bytes<'_>) -> Step {
    let choice = bytes.byte();
    let key = bytes.below(setup.keys);
    let told = match choice >> 6 {
        0 | 1 => Told::Stream,
        // Only where each key is numbered by itself is a message that overtook an event found out.
        2 if setup.numbering == Some(Numbering::PerKey) => Told::Aside,
        _ => Told::Event,
    };
    let op = match choice & 31 {
        0..5 => Op::Change {
            key,
            patch: patch(bytes),
            told,
        },
        5 => Op::Remove { key, told },
        6 => Op::Repeat { key },
        7..11 => Op::Deliver(1 + bytes.below(3)),
        11 => Op::DeliverAside(bytes.below(8)),
        12 => Op::Disconnect,
        13 => Op::Reconnect,
        14 | 15 => Op::Look(bytes.below(8)),
        16..19 => Op::Answer(bytes.below(8)),
        19 => Op::Fail(bytes.below(8)),
        20 => Op::Advance([1, 300, 1_000, 2_500, 8_000, 400_000][bytes.below(6)]),
        21 | 22 => Op::Observe(key),
        23 => Op::Watch(key),
        24 => Op::Leave(key),
        25 if setup.list => Op::ObserveList,
        26 if setup.list => Op::LeaveList,
        25 | 26 => Op::Invalidate(key),
        27 => Op::InvalidateAll,
        28 => Op::Overlay {
            key,
            patch: patch(bytes),
        },
        29 => Op::Rollback(bytes.below(4)),
        _ => Op::Storm {
            key,
            events: 2 + bytes.below(20),
        },
    };
    Step {
        op,
        drive: choice & 32 == 0,
    }
}
