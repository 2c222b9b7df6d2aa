//! Symbols and their prices: a seeded random walk.

use std::collections::HashMap;
use std::time::Instant;

use fastrand::Rng;

use super::clock::Clock;
use super::encode::{self, Form, UNIT};

/// Bases that exist, with a price in USDT from which the walk begins and its number of places.
const KNOWN: [(&str, f64, u32); 48] = [
    ("BTC", 61_842.17, 2),
    ("ETH", 2_631.44, 2),
    ("SOL", 158.62, 2),
    ("BNB", 512.9, 1),
    ("XRP", 0.6119, 4),
    ("DOGE", 0.10431, 5),
    ("ADA", 0.3442, 4),
    ("TRX", 0.1279, 4),
    ("AVAX", 22.81, 2),
    ("LINK", 10.62, 2),
    ("DOT", 4.719, 3),
    ("LTC", 60.12, 2),
    ("BCH", 348.1, 1),
    ("UNI", 6.118, 3),
    ("NEAR", 4.061, 3),
    ("APT", 6.02, 2),
    ("ETC", 18.94, 2),
    ("XLM", 0.0998, 4),
    ("FIL", 3.744, 3),
    ("ATOM", 4.918, 3),
    ("ARB", 0.5621, 4),
    ("OP", 1.392, 3),
    ("INJ", 18.66, 2),
    ("SUI", 0.8714, 4),
    ("HBAR", 0.0548, 4),
    ("VET", 0.0223, 5),
    ("AAVE", 103.4, 2),
    ("MKR", 1_982.0, 0),
    ("GRT", 0.1504, 4),
    ("ALGO", 0.1263, 4),
    ("SAND", 0.2619, 4),
    ("MANA", 0.2738, 4),
    ("AXS", 4.83, 2),
    ("XTZ", 0.687, 3),
    ("EOS", 0.481, 3),
    ("CRV", 0.2751, 4),
    ("SNX", 1.301, 3),
    ("LDO", 1.042, 3),
    ("IMX", 1.188, 3),
    ("RUNE", 3.551, 3),
    ("FET", 0.8823, 4),
    ("SEI", 0.2861, 4),
    ("TIA", 5.21, 2),
    ("KAVA", 0.3317, 4),
    ("ZEC", 36.41, 2),
    ("DASH", 22.07, 2),
    ("COMP", 43.6, 2),
    ("ENJ", 0.1427, 4),
];

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Best bid and ask.
    Book,
    /// The rolling 24-hour statistics.
    Ticker,
}

/// One stream: a symbol by its number, and a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) symbol: usize,
    pub(crate) channel: Channel,
}

/// Best bid and ask as last sent, in units of 10^-8.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Book {
    /// Update id: the stamp of the time at which the message was due.
    pub(crate) u: u64,
    pub(crate) bid: u64,
    pub(crate) bid_qty: u64,
    pub(crate) ask: u64,
    pub(crate) ask_qty: u64,
}

/// 24-hour statistics as last sent, in units of 10^-8.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticker {
    pub(crate) event_millis: u64,
    pub(crate) previous_close: u64,
    pub(crate) last: u64,
    pub(crate) last_qty: u64,
    pub(crate) bid: u64,
    pub(crate) bid_qty: u64,
    pub(crate) ask: u64,
    pub(crate) ask_qty: u64,
    pub(crate) open: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) volume: u64,
    pub(crate) turnover: u128,
    /// Last trade id: the stamp of the time at which the message was due.
    pub(crate) last_trade: u64,
    pub(crate) trades: u64,
}

impl Ticker {
    /// Volume-weighted average price.
    pub(crate) fn average(&self) -> u64 {
        let units = self.turnover * u128::from(UNIT) / u128::from(self.volume.max(1));
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

/// One symbol: its walk, what was last sent of it, and the constant parts of its messages.
#[derive(Debug)]
pub(crate) struct Symbol {
    name: String,
    /// Smallest price step and smallest quantity step.
    tick: u64,
    lot: u64,
    /// The walk stays between these.
    floor: u64,
    ceiling: u64,
    /// The best prices now; `book` and `ticker` are what was sent.
    now: Book,
    book: Book,
    ticker: Ticker,
    /// `{"stream":"btcusdt@bookTicker","data":` and `,"s":"BTCUSDT","b":"`, joined with its length.
    book_text: (Box<[u8]>, usize),
    ticker_text: (Box<[u8]>, usize),
}

impl Symbol {
    fn new(name: String, price: f64, places: u32, rng: &mut Rng) -> Self {
        let tick = UNIT / 10u64.pow(places);
        let mid = ((price * UNIT as f64) as u64 / tick).max(40) * tick;
        // A thousand lots are worth 200 to 2,000 USDT, whatever the price.
        let lot = 10u64.pow((200_000_000 * UNIT / mid).max(1).ilog10());
        let now = Book {
            u: 0,
            bid: mid,
            bid_qty: lot * rng.u64(1..5000),
            ask: mid + tick,
            ask_qty: lot * rng.u64(1..5000),
        };
        let open = mid / 1000 * rng.u64(960..1040) / tick * tick;
        let volume = lot * rng.u64(200_000_000..1_500_000_000);
        let ticker = Ticker {
            previous_close: open,
            last: mid,
            open,
            high: mid.max(open),
            low: mid.min(open),
            volume,
            turnover: u128::from(volume) * u128::from(mid / 2 + open / 2) / u128::from(UNIT),
            trades: rng.u64(10_000..900_000),
            ..Ticker::default()
        };
        let lower = name.to_lowercase();
        let text = |channel: &str, head: &str, tail: &str| {
            let wrap = format!("{{\"stream\":\"{lower}@{channel}\",\"data\":");
            let at = wrap.len();
            (
                format!("{wrap}{head}{name}{tail}")
                    .into_bytes()
                    .into_boxed_slice(),
                at,
            )
        };
        Self {
            tick,
            lot,
            floor: (mid / 2).max(20 * tick),
            ceiling: mid.saturating_mul(2),
            now,
            book: Book::default(),
            ticker,
            book_text: text("bookTicker", ",\"s\":\"", "\",\"b\":\""),
            ticker_text: text("ticker", ",\"s\":\"", "\",\"p\":\""),
            name,
        }
    }

    pub(crate) fn book_wrap(&self) -> &[u8] {
        &self.book_text.0[..self.book_text.1]
    }

    pub(crate) fn book_name(&self) -> &[u8] {
        &self.book_text.0[self.book_text.1..]
    }

    pub(crate) fn ticker_wrap(&self) -> &[u8] {
        &self.ticker_text.0[..self.ticker_text.1]
    }

    pub(crate) fn ticker_name(&self) -> &[u8] {
        &self.ticker_text.0[self.ticker_text.1..]
    }

    /// One step of the walk. Two of eight steps move the price; the rest change one quantity, so
    /// that most fields repeat from one message to the next, as they do on the exchange.
    fn step(&mut self, rng: &mut Rng) {
        let random = rng.u64(..);
        let qty = self.lot * (1 + (random >> 32) % 5000);
        match random % 8 {
            0 if self.now.ask < self.ceiling => {
                self.now.bid += self.tick;
                self.now.ask += self.tick;
                self.now.bid_qty = qty;
                self.now.ask_qty = self.lot * (1 + (random >> 16) % 5000);
            }
            1 if self.now.bid > self.floor => {
                self.now.bid -= self.tick;
                self.now.ask -= self.tick;
                self.now.ask_qty = qty;
                self.now.bid_qty = self.lot * (1 + (random >> 16) % 5000);
            }
            2..=4 => self.now.bid_qty = qty,
            _ => self.now.ask_qty = qty,
        }
    }

    fn trade(&mut self, stamp: u64, event_millis: u64, rng: &mut Rng) {
        let (now, lot, t) = (self.now, self.lot, &mut self.ticker);
        t.event_millis = event_millis;
        t.last = if rng.bool() { now.bid } else { now.ask };
        t.last_qty = lot * rng.u64(1..2000);
        (t.bid, t.bid_qty, t.ask, t.ask_qty) = (now.bid, now.bid_qty, now.ask, now.ask_qty);
        t.high = t.high.max(t.last);
        t.low = t.low.min(t.last);
        t.volume = t.volume.saturating_add(t.last_qty);
        t.turnover += u128::from(t.last_qty) * u128::from(t.last) / u128::from(UNIT);
        t.trades += 1;
        t.last_trade = stamp.max(t.last_trade + 1);
    }
}

/// All symbols on offer. One market serves every connection, so ids go on rising over a reconnect.
#[derive(Debug)]
pub(crate) struct Market {
    symbols: Vec<Symbol>,
    by_name: HashMap<String, usize>,
    rng: Rng,
    clock: Clock,
}

impl Market {
    /// A market with that many symbols (at least one); the same seed makes the same walk.
    pub(crate) fn new(symbols: usize, seed: u64, clock: Clock) -> Self {
        let mut rng = Rng::with_seed(seed);
        let symbols: Vec<_> = symbol_names(symbols)
            .enumerate()
            .map(|(number, name)| {
                let (price, places) = match KNOWN.get(number) {
                    Some((_, price, places)) => (*price, *places),
                    None => (0.5 + rng.f64() * 80.0, 3),
                };
                Symbol::new(name, price, places, &mut rng)
            })
            .collect();
        let by_name = symbols
            .iter()
            .enumerate()
            .map(|(at, s)| (s.name.to_lowercase(), at))
            .collect();
        Self {
            symbols,
            by_name,
            rng,
            clock,
        }
    }

    /// The stream of a name such as `btcusdt@bookTicker`. Names are case-sensitive, as they are there.
    pub(crate) fn stream(&self, name: &str) -> Option<Stream> {
        let (symbol, channel) = name.split_once('@')?;
        let channel = match channel {
            "bookTicker" => Channel::Book,
            "ticker" => Channel::Ticker,
            _ => return None,
        };
        Some(Stream {
            symbol: *self.by_name.get(symbol)?,
            channel,
        })
    }

    /// The name of a stream.
    pub(crate) fn name(&self, stream: Stream) -> String {
        let channel = match stream.channel {
            Channel::Book => "bookTicker",
            Channel::Ticker => "ticker",
        };
        format!(
            "{}@{channel}",
            self.symbols[stream.symbol].name.to_lowercase()
        )
    }

    /// Moves the stream's symbol one step and appends the message that tells of it.
    pub(crate) fn next(&mut self, stream: Stream, form: Form, due: Instant, out: &mut Vec<u8>) {
        let stamp = self.clock.stamp(due);
        let symbol = &mut self.symbols[stream.symbol];
        symbol.step(&mut self.rng);
        match stream.channel {
            Channel::Book => {
                symbol.now.u = stamp.max(symbol.now.u + 1);
                symbol.book = symbol.now;
                encode::book(out, form, symbol, &symbol.book);
            }
            Channel::Ticker => {
                symbol.trade(stamp, self.clock.unix_millis(due), &mut self.rng);
                encode::ticker(out, form, symbol, &symbol.ticker);
            }
        }
    }

    /// The `data` object last made for a stream, or `None` before the first.
    pub(crate) fn last(&self, stream: Stream) -> Option<String> {
        let symbol = &self.symbols[stream.symbol];
        let mut out = Vec::new();
        match stream.channel {
            Channel::Book if symbol.book.u > 0 => {
                encode::book(&mut out, Form::Raw, symbol, &symbol.book);
            }
            Channel::Ticker if symbol.ticker.last_trade > 0 => {
                encode::ticker(&mut out, Form::Raw, symbol, &symbol.ticker);
            }
            _ => return None,
        }
        String::from_utf8(out).ok()
    }

    /// A number below `bound` from the market's own sequence.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.rng.usize(..bound)
    }
}

/// The names of the first `count` symbols on offer, at least one: known ones, then `S0048USDT`, ..
pub(crate) fn symbol_names(count: usize) -> impl Iterator<Item = String> {
    (0..count.max(1)).map(|number| match KNOWN.get(number) {
        Some((base, ..)) => format!("{base}USDT"),
        None => format!("S{number:04}USDT"),
    })
}
