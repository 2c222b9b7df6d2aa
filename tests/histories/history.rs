//! Random histories: what happens, in which order, all from one seed.

use serde_json::{Value, json};

use crate::model::Numbering;

/// What is the same during a whole history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// None: neither messages nor answers carry numbers.
    pub(crate) numbering: Option<Numbering>,
    pub(crate) keys: usize,
    /// Whether there is a query for all of them, too; its answers have some columns only.
    pub(crate) list: bool,
    /// Whether a patch may make a value.
    pub(crate) inserts: bool,
    /// Whether watched values are fetched from time to time without a reason.
    pub(crate) polls: bool,
    /// How often a failed fetch is tried again.
    pub(crate) retries: u32,
}

/// How a change at the server becomes known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// By a message that carries it.
    Stream,
    /// By an event among the messages, in order.
    Event,
    /// By an event that comes some other way: late, or before messages sent earlier.
    Aside,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Change {
        key: usize,
        patch: Value,
        told: Told,
    },
    Remove {
        key: usize,
        told: Told,
    },
    /// The stream says the whole value once more.
    Repeat {
        key: usize,
    },
    /// So many messages arrive.
    Deliver(usize),
    /// One of the events that come another way arrives.
    DeliverAside(usize),
    Disconnect,
    Reconnect,
    /// The server reads its value for one of the requests.
    Look(usize),
    /// One of the requests is answered.
    Answer(usize),
    Fail(usize),
    Advance(u64),
    Observe(usize),
    /// Waits on the slot, not on the query.
    Watch(usize),
    Leave(usize),
    ObserveList,
    LeaveList,
    Invalidate(usize),
    InvalidateAll,
    /// A change of our own is shown before the server knows of it.
    Overlay {
        key: usize,
        patch: Value,
    },
    Rollback(usize),
    /// Events in a row for one key, and then answers until nothing is asked any more.
    Storm {
        key: usize,
        events: usize,
    },
}

/// An operation, and whether the slow plane gets to run after it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) drive: bool,
}

/// Steele, Lea, Flood: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A patch of a few members: texts, numbers, a nested object, removals, and now and then an object
/// where there was none or the other way about.
fn patch(random: &mut Random) -> Value {
    let mut patch = json!({});
    for _ in 0..=random.below(2) {
        let number = random.below(1000);
        let (name, value) = match random.below(10) {
            0..3 => ("s", json!(format!("t{number}"))),
            3..6 => ("n", json!(number)),
            6 => ("s", Value::Null),
            7 => ("o", json!({ "a": number })),
            8 => ("o", json!({ "a": null, "b": { "c": number } })),
            _ if random.one_in(2) => ("o", json!(number)),
            _ => ("o", Value::Null),
        };
        patch[name] = value;
    }
    patch
}

/// The history of a seed.
pub(crate) fn generate(seed: u64, sequences: bool) -> (Setup, Vec<Step>) {
    let mut random = Random(seed);
    let numbering = match (sequences, random.one_in(2)) {
        (false, _) => None,
        (true, true) => Some(Numbering::PerKey),
        (true, false) => Some(Numbering::Global),
    };
    let setup = Setup {
        numbering,
        keys: 1 + random.below(3),
        // An answer about several keys has one number, which means nothing for numbers of each key.
        list: random.one_in(3) && numbering != Some(Numbering::PerKey),
        inserts: random.one_in(4),
        polls: random.one_in(6),
        retries: if random.one_in(4) { 0 } else { 1_000 },
    };
    let steps = 20 + random.below(80);
    let ops = (0..steps).map(|_| step(&mut random, setup)).collect();
    (setup, ops)
}

fn step(random: &mut Random, setup: Setup) -> Step {
    let key = random.below(setup.keys);
    let pick = random.below(100);
    let told = match random.below(10) {
        0..6 => Told::Stream,
        // Only where each key is numbered by itself is a message that overtook an event found out.
        6 if setup.numbering == Some(Numbering::PerKey) => Told::Aside,
        _ => Told::Event,
    };
    let op = match pick {
        0..20 => Op::Change {
            key,
            patch: patch(random),
            told,
        },
        20..22 => Op::Remove { key, told },
        22..24 => Op::Repeat { key },
        24..44 => Op::Deliver(1 + random.below(3)),
        44..46 => Op::DeliverAside(pick + key),
        46..48 => Op::Disconnect,
        48..51 => Op::Reconnect,
        51..61 => Op::Look(random.below(8)),
        61..72 => Op::Answer(random.below(8)),
        72..74 => Op::Fail(random.below(8)),
        74..80 => Op::Advance([1, 300, 1_000, 2_500, 8_000, 400_000][random.below(6)]),
        80..86 => Op::Observe(key),
        86 => Op::Watch(key),
        87 => Op::Leave(key),
        88..90 if setup.list => Op::ObserveList,
        90 if setup.list => Op::LeaveList,
        88..93 => Op::Invalidate(key),
        93 => Op::InvalidateAll,
        94..96 => Op::Overlay {
            key,
            patch: patch(random),
        },
        96..98 => Op::Rollback(random.below(4)),
        _ => Op::Storm {
            key,
            events: 2 + random.below(20),
        },
    };
    Step {
        op,
        drive: !random.one_in(4),
    }
}
