//! What does it cost to take one message apart, beside what the common parsers take for the same
//! bytes?
//!
//! Ours decodes each message into a patch with its tokens stored, and once more with the same numbers
//! read to `f64` afterwards, which is what a typed parse hands out. A thousand different messages of
//! each shape, with values of any width, go round. Peers reuse their buffers where they can; simd-json writes
//! into its input, so its rows contain the copy. sonic-rs' lazy `get` finds one value and looks at
//! nothing else: it is there for those who only want a key.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group};
use serde::{Deserialize, Deserializer};
use sonic_rs::JsonValueTrait as _;
use support::cpu::CpuTime;
use support::messages::{Shape, book_ticker, coinbase, kraken, seed, ticker, varied};
use support::paired::Contest;
use support::visit;
use tickcache::json::{Decoder, Value, compile};
use tickcache::record::{Limits, Mode, Patch, Schema};

mod support;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Number, E> {
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

/// Something whose numbers can be added up, so that none of them is optimised away.
trait Sum {
    fn sum(&self) -> f64;
    /// The same numbers of one of our values, added up.
    fn read(payload: Value<'_>) -> f64;
}

macro_rules! typed {
    ($name:ident { $($number:ident: $json:literal),* $(,)? }) => {
        #[derive(Deserialize)]
        struct $name {
            $(#[serde(rename = $json)] $number: Number,)*
        }
        impl Sum for $name {
            fn sum(&self) -> f64 {
                0.0 $(+ self.$number.0)*
            }
            fn read(payload: Value<'_>) -> f64 {
                const NAMES: [&str; [$($json),*].len()] = [$($json),*];
                static WANTED: [&str; NAMES.len()] = NAMES;
                let mut sum = 0.0;
                for value in payload.pick(&WANTED) {
                    sum += number(value.expect("there"));
                }
                sum
            }
        }
    };
}

typed!(BookTicker {
    update: "u",
    bid: "b",
    bids: "B",
    ask: "a",
    asks: "A",
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
    count: "n",
});
typed!(Coinbase {
    sequence: "sequence",
    price: "price",
    open: "open_24h",
    volume: "volume_24h",
    low: "low_24h",
    high: "high_24h",
    month: "volume_30d",
    bid: "best_bid",
    bids: "best_bid_size",
    ask: "best_ask",
    asks: "best_ask_size",
    trade: "trade_id",
    size: "last_size",
});
typed!(Kraken {
    bid: "bid",
    bids: "bid_qty",
    ask: "ask",
    asks: "ask_qty",
    last: "last",
    volume: "volume",
    average: "vwap",
    low: "low",
    high: "high",
    change: "change",
    percent: "change_pct",
});
typed!(Seed {
    bid: "bid",
    bids: "bidSize",
    ask: "ask",
    asks: "askSize",
    sequence: "sequence",
});

/// Messages of Binance and plain events: a name, and the value inside.
#[derive(Deserialize)]
struct Envelope<'a, T> {
    #[serde(alias = "id")]
    stream: &'a str,
    #[serde(alias = "payload")]
    data: T,
}

impl<T: Sum> Sum for Envelope<'_, T> {
    fn sum(&self) -> f64 {
        self.data.sum() + self.stream.len() as f64
    }
    fn read(payload: Value<'_>) -> f64 {
        T::read(payload)
    }
}

/// A list with one value.
#[derive(Deserialize)]
struct One<'a> {
    channel: &'a str,
    data: [Kraken; 1],
}

impl Sum for One<'_> {
    fn sum(&self) -> f64 {
        self.data[0].sum() + self.channel.len() as f64
    }
    fn read(payload: Value<'_>) -> f64 {
        Kraken::read(payload)
    }
}

/// Our decoder with everything that it keeps between messages.
struct Ours {
    decoder: Decoder,
    limits: Limits,
    schema: Schema,
    patch: Patch,
    /// Where the object is that becomes the patch.
    payload: fn(Value<'_>) -> Option<Value<'_>>,
}

impl Ours {
    fn new(payload: fn(Value<'_>) -> Option<Value<'_>>) -> Self {
        Self {
            decoder: Decoder::new(128),
            limits: Limits::default(),
            schema: Schema::new(Limits::default()),
            patch: Patch::new(),
            payload,
        }
    }

    /// Stores the tokens, and does something with the object.
    #[inline]
    fn take<R>(&mut self, text: &[u8], with: impl FnOnce(Value<'_>) -> R) -> R {
        let root = self.decoder.decode(text).expect("valid").root();
        let payload = (self.payload)(root).expect("a payload");
        let (schema, patch) = (&mut self.schema, &mut self.patch);
        compile(payload, Mode::Merge, &self.limits, schema, patch).expect("within limits");
        black_box(patch.len());
        with(payload)
    }
}

/// The one member with the name, asked for as protocols ask.
macro_rules! member {
    ($value:expr, $name:literal) => {{
        static NAME: [&str; 1] = [$name];
        let [member] = $value.pick(&NAME);
        member
    }};
}

/// A number, as a text or not, as `f64`.
#[inline]
fn number(value: Value<'_>) -> f64 {
    value.field().f64().expect("a number")
}

/// A shape, and how each takes it apart.
struct Case {
    shape: Shape,
    payload: fn(Value<'_>) -> Option<Value<'_>>,
    /// Ours, to `f64`.
    read: fn(Value<'_>) -> f64,
    serde: fn(&[u8]) -> f64,
    simd: fn(&mut [u8], &mut simd_json::Buffers) -> f64,
    sonic: fn(&[u8]) -> f64,
    /// Where its key is.
    key: &'static [&'static str],
}

fn serde_sum<'a, T: Sum + Deserialize<'a>>(text: &'a [u8]) -> f64 {
    serde_json::from_slice::<T>(text).expect("valid").sum()
}

fn simd_sum<'a, T: Sum + Deserialize<'a>>(
    text: &'a mut [u8],
    buffers: &mut simd_json::Buffers,
) -> f64 {
    simd_json::serde::from_slice_with_buffers::<T>(text, buffers)
        .expect("valid")
        .sum()
}

fn sonic_sum<'a, T: Sum + Deserialize<'a>>(text: &'a [u8]) -> f64 {
    sonic_rs::from_slice::<T>(text).expect("valid").sum()
}

macro_rules! case {
    ($shape:literal, $make:expr, $typed:ty, $payload:expr, $key:expr) => {
        Case {
            shape: ($shape, $make),
            payload: $payload,
            read: |payload| <$typed>::read(payload),
            serde: |text| serde_sum::<$typed>(text),
            simd: |text, buffers| simd_sum::<$typed>(text, buffers),
            sonic: |text| sonic_sum::<$typed>(text),
            key: $key,
        }
    };
}

fn cases() -> [Case; 5] {
    [
        case!(
            "bookTicker",
            book_ticker,
            Envelope<'_, BookTicker>,
            |m| member!(m, "data"),
            &["data", "s"]
        ),
        case!(
            "24hrTicker",
            ticker,
            Envelope<'_, Ticker>,
            |m| member!(m, "data"),
            &["data", "s"]
        ),
        case!("coinbase", coinbase, Coinbase, |m| Some(m), &["product_id"]),
        case!(
            "kraken",
            kraken,
            One<'_>,
            |m| member!(m, "data")?.elements().next(),
            &["channel"]
        ),
        case!(
            "seed",
            seed,
            Envelope<'_, Seed>,
            |m| member!(m, "payload"),
            &["id"]
        ),
    ]
}

/// What `with` does with the messages, going round.
fn each<'a>(messages: &'a [Vec<u8>], mut with: impl FnMut(&'a [u8])) -> impl FnMut(u64) {
    let mut messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut at = 0;
    move |times| {
        visit(&mut messages, &mut at, times, |message| {
            with(black_box(*message));
        });
    }
}

fn contest(case: &Case) {
    let (name, _) = case.shape;
    let messages: Vec<_> = varied(case.shape)
        .into_iter()
        .map(String::into_bytes)
        .collect();
    let (mut tokens, mut numbers) = (Ours::new(case.payload), Ours::new(case.payload));
    let mut decoder = Decoder::new(128);
    let mut room = [0; 1024];
    let mut copy = Vec::new();
    let mut copies = Vec::new();
    let mut borrowed = Vec::new();
    let mut taped = Vec::new();
    let mut buffers = simd_json::Buffers::default();
    let mut owned_buffers = simd_json::Buffers::default();
    let mut borrowed_buffers = simd_json::Buffers::default();
    let mut tape_buffers = simd_json::Buffers::default();
    let mut tape = simd_json::Tape::null();
    let refill = |copy: &mut Vec<u8>, message: &[u8]| {
        copy.clear();
        copy.extend_from_slice(message);
    };
    Contest::new(format!("decode/{name}"))
        .row(
            "tickcache, tokens stored",
            each(&messages, |message| {
                tokens.take(message, |_| ());
            }),
        )
        .row(
            "tickcache, stored and read to f64",
            each(&messages, |message| {
                black_box(numbers.take(message, case.read));
            }),
        )
        .numbers()
        .row(
            "tickcache, taken apart only",
            each(&messages, |message| {
                black_box(decoder.decode(message).expect("valid").root().kind());
            }),
        )
        .row(
            "bound: UTF-8 check",
            each(&messages, |message| {
                black_box(std::str::from_utf8(message).expect("valid").len());
            }),
        )
        .row(
            "bound: memcpy",
            each(&messages, |message| {
                room[..message.len()].copy_from_slice(message);
                black_box(&room);
            }),
        )
        .row(
            "serde_json typed",
            each(&messages, |message| {
                black_box((case.serde)(message));
            }),
        )
        .row(
            "simd-json typed, reused Buffers",
            each(&messages, |message| {
                refill(&mut copy, message);
                black_box((case.simd)(&mut copy, &mut buffers));
            }),
        )
        .row(
            "sonic-rs typed",
            each(&messages, |message| {
                black_box((case.sonic)(message));
            }),
        )
        .row(
            "serde_json Value",
            each(&messages, |message| {
                drop(black_box(
                    serde_json::from_slice::<serde_json::Value>(message).expect("valid"),
                ));
            }),
        )
        .row(
            "simd-json OwnedValue, reused Buffers",
            each(&messages, |message| {
                refill(&mut copies, message);
                let value = simd_json::to_owned_value_with_buffers(&mut copies, &mut owned_buffers);
                drop(black_box(value.expect("valid")));
            }),
        )
        .row(
            "simd-json BorrowedValue, reused Buffers",
            each(&messages, |message| {
                refill(&mut borrowed, message);
                let value =
                    simd_json::to_borrowed_value_with_buffers(&mut borrowed, &mut borrowed_buffers);
                drop(black_box(value.expect("valid")));
            }),
        )
        .row(
            "simd-json tape, all reused",
            each(&messages, |message| {
                refill(&mut taped, message);
                let mut filled = std::mem::replace(&mut tape, simd_json::Tape(Vec::new())).reset();
                simd_json::fill_tape(&mut taped, &mut tape_buffers, &mut filled).expect("valid");
                tape = filled.reset();
            }),
        )
        .row(
            "sonic-rs Value",
            each(&messages, |message| {
                drop(black_box(
                    sonic_rs::from_slice::<sonic_rs::Value>(message).expect("valid"),
                ));
            }),
        )
        .row(
            "sonic-rs get of the key only",
            each(&messages, |message| {
                let key = sonic_rs::get(message, case.key.iter()).expect("there");
                black_box(key.as_str().map(str::len));
            }),
        )
        .run();
}

/// Our own figures, to be compared with those of the run before.
fn own(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("own/decode");
    for case in cases() {
        let messages: Vec<_> = varied(case.shape)
            .into_iter()
            .map(String::into_bytes)
            .collect();
        let bytes: usize = messages.iter().map(Vec::len).sum();
        group.throughput(Throughput::Bytes((bytes / messages.len()) as u64));
        let mut messages = support::Round::new(messages);
        let mut ours = Ours::new(case.payload);
        group.bench_function(case.shape.0, |b| {
            b.iter(|| ours.take(black_box(messages.next()), |_| ()));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = own
}

fn main() {
    cases().iter().for_each(contest);
    support::own(benches);
}
