//! What it costs to turn one message into a patch, beside what the common parsers take for the same
//! bytes.
//!
//! Each message is decoded into a patch with its tokens stored (`tickcache`), and once more with
//! the same numbers read to `f64` afterwards, which is what a typed parse hands out. The rivals
//! reuse their buffers where they can; simd-json writes into its input, so its row contains the
//! copy.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Deserializer};
use tickcache::{
    json::{Decoder, compile},
    record::{Limits, Mode, Patch, Schema},
};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 160 bytes, five of its values to be read as numbers.
const BOOK_TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":400900217,"s":"BTCUSDT","b":"61837.63000000","B":"3.7882600","a":"61837.64000000","A":"1.54698000"}}"#;

/// 456 bytes.
const TICKER: &str = r#"{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1723161468414,"s":"BTCUSDT","p":"-94.99999800","P":"-95.960","w":"61500.29628482","x":"61932.10002000","c":"61837.63000000","Q":"10.0000000","b":"61837.62000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000","o":"61932.63000000","h":"62100.00000000","l":"60900.10000000","v":"8913.300000","q":"551205310.15310000","O":1723075068414,"C":1723161468414,"F":3700000000,"L":3700018150,"n":18151}}"#;

/// 169 bytes, the shape of the project's seed.
const SEED: &str = r#"{"entity":"ticker","id":"BTCUSDT","payload":{"bid":"61837.63000000","bidSize":"3.788260","ask":"61837.64000000","askSize":"1.546980","sequence":400900217,"active":true}}"#;

/// A number, sent as one or as a text.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A struct whose numbers can be added up, so that none of them is optimised away.
macro_rules! typed {
    ($name:ident { $($number:ident: $json:literal),* }) => {
        #[derive(Deserialize)]
        struct $name {
            $(#[serde(rename = $json)] $number: Number,)*
        }
        impl Sum for $name {
            fn sum(&self) -> f64 {
                0.0 $(+ self.$number.0)*
            }
        }
    };
}

trait Sum {
    fn sum(&self) -> f64;
}

typed!(BookTicker {
    u: "u",
    bid: "b",
    bids: "B",
    ask: "a",
    asks: "A"
});
typed!(Ticker {
    time: "E",
    change: "p",
    percent: "P",
    average: "w",
    before: "x",
    last: "c",
    size: "Q",
    bid: "b",
    bids: "B",
    ask: "a",
    asks: "A",
    open: "o",
    high: "h",
    low: "l",
    volume: "v",
    quote: "q",
    opened: "O",
    closed: "C",
    first: "F",
    newest: "L",
    count: "n"
});
typed!(Seed {
    bid: "bid",
    bids: "bidSize",
    ask: "ask",
    asks: "askSize",
    sequence: "sequence"
});

#[derive(Deserialize)]
struct Envelope<'a, T> {
    #[serde(alias = "id")]
    stream: &'a str,
    #[serde(alias = "payload")]
    data: T,
}

fn typed_sum<'a, T: Sum + Deserialize<'a>>(text: &'a str) -> f64 {
    let message: Envelope<'a, T> = serde_json::from_str(text).expect("valid");
    message.data.sum() + message.stream.len() as f64
}

/// Our decoder with everything that it keeps between messages.
struct Ours {
    decoder: Decoder,
    payload: &'static str,
    limits: Limits,
    schema: Schema,
    patch: Patch,
}

impl Ours {
    fn new(payload: &'static str) -> Self {
        Self {
            decoder: Decoder::new(128),
            payload,
            limits: Limits::default(),
            schema: Schema::new(Limits::default()),
            patch: Patch::new(),
        }
    }

    fn compile(&mut self, text: &[u8]) -> usize {
        let root = self.decoder.decode(text).expect("valid").root();
        let payload = root.get(self.payload).expect("a payload");
        self.patch.clear();
        compile(
            payload,
            Mode::Merge,
            &self.limits,
            &mut self.schema,
            &mut self.patch,
        )
        .expect("within limits");
        self.patch.len()
    }

    fn compile_and_read(&mut self, text: &[u8]) -> f64 {
        let root = self.decoder.decode(text).expect("valid").root();
        let payload = root.get(self.payload).expect("a payload");
        self.patch.clear();
        compile(
            payload,
            Mode::Merge,
            &self.limits,
            &mut self.schema,
            &mut self.patch,
        )
        .expect("within limits");
        payload
            .members()
            .map(|(_, value)| read(value.token().text))
            .sum()
    }
}

/// The number that a token is; 0 for the two or three that are none.
fn read(token: &[u8]) -> f64 {
    match token.first() {
        Some(b'0'..=b'9' | b'-') => {
            std::str::from_utf8(token).map_or(0.0, |text| text.parse().unwrap_or(0.0))
        }
        _ => 0.0,
    }
}

fn decode(criterion: &mut Criterion) {
    type Typed = fn(&'static str) -> f64;
    let cases: [(&str, &'static str, &'static str, Typed); 3] = [
        ("bookTicker", BOOK_TICKER, "data", typed_sum::<BookTicker>),
        ("24hrTicker", TICKER, "data", typed_sum::<Ticker>),
        ("seed", SEED, "payload", typed_sum::<Seed>),
    ];
    let mut group = criterion.benchmark_group("decode");
    for (name, text, payload, typed) in cases {
        group.throughput(Throughput::Bytes(text.len() as u64));
        let bytes = text.as_bytes();
        let mut decoder = Decoder::new(128);
        group.bench_function(BenchmarkId::new("tickcache, items only", name), |b| {
            b.iter(|| {
                decoder
                    .decode(black_box(bytes))
                    .expect("valid")
                    .root()
                    .kind()
            });
        });
        let mut ours = Ours::new(payload);
        group.bench_function(BenchmarkId::new("tickcache, tokens stored", name), |b| {
            b.iter(|| ours.compile(black_box(bytes)));
        });
        group.bench_function(
            BenchmarkId::new("tickcache, stored and read to f64", name),
            |b| {
                b.iter(|| ours.compile_and_read(black_box(bytes)));
            },
        );
        group.bench_function(
            BenchmarkId::new("serde_json typed, read to f64", name),
            |b| {
                b.iter(|| typed(black_box(text)));
            },
        );
        group.bench_function(BenchmarkId::new("serde_json::Value", name), |b| {
            b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(text)).expect("valid"));
        });
        let (mut buffers, mut copy) = (simd_json::Buffers::default(), Vec::new());
        group.bench_function(BenchmarkId::new("simd-json OwnedValue", name), |b| {
            b.iter(|| {
                copy.clear();
                copy.extend_from_slice(black_box(bytes));
                simd_json::to_owned_value_with_buffers(&mut copy, &mut buffers).expect("valid")
            });
        });
        group.bench_function(BenchmarkId::new("simd-json tape", name), |b| {
            let mut tape = simd_json::Tape::null();
            b.iter(|| {
                copy.clear();
                copy.extend_from_slice(black_box(bytes));
                let mut filled = std::mem::replace(&mut tape, simd_json::Tape(Vec::new())).reset();
                simd_json::fill_tape(&mut copy, &mut buffers, &mut filled).expect("valid");
                tape = filled.reset();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
