//! A thousand different messages of each shape, with values of any width, as a feed brings them: a
//! reader that sees the same bytes again and again is told the branches by the processor.

/// Different messages of a shape.
pub(crate) const VARIED: usize = 1000;

/// The same numbers in every run.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// A decimal like a price or a size: one to five digits, and two to eight behind the point.
    fn decimal(&mut self) -> String {
        let widest = [10, 100, 1000, 10_000, 100_000][self.below(5) as usize];
        let whole = self.below(widest);
        let places = [2, 4, 8][self.below(3) as usize];
        let fraction = self.below(10_u64.pow(places));
        format!("{whole}.{fraction:0width$}", width = places as usize)
    }

    fn time(&mut self) -> u64 {
        1_723_161_468_414 + self.below(10_000_000)
    }
}

/// A shape: its name, and what makes its messages.
pub(crate) type Shape = (&'static str, fn(&mut Random) -> String);

/// 160 bytes or so, five numbers.
pub(crate) fn book_ticker(random: &mut Random) -> String {
    format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{},"s":"BTCUSDT","b":"{}","B":"{}","a":"{}","A":"{}"}}}}"#,
        400_900_217 + random.below(1_000_000),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
    )
}

/// 456 bytes or so, 21 numbers.
pub(crate) fn ticker(random: &mut Random) -> String {
    let mut message = format!(
        r#"{{"stream":"btcusdt@ticker","data":{{"e":"24hrTicker","E":{},"s":"BTCUSDT","p":"-{}""#,
        random.time(),
        random.decimal()
    );
    for name in "PwxcQbBaAohlvq".chars() {
        message.push_str(&format!(r#","{name}":"{}""#, random.decimal()));
    }
    message.push_str(&format!(
        r#","O":{},"C":{},"F":{},"L":{},"n":{}}}}}"#,
        random.time(),
        random.time(),
        3_700_000_000 + random.below(1_000_000),
        3_700_018_150 + random.below(1_000_000),
        random.below(1_000_000)
    ));
    message
}

/// 401 bytes or so: a ticker of Coinbase Exchange.
pub(crate) fn coinbase(random: &mut Random) -> String {
    format!(
        r#"{{"type":"ticker","sequence":{},"product_id":"BTC-USD","price":"{}","open_24h":"{}","volume_24h":"{}","low_24h":"{}","high_24h":"{}","volume_30d":"{}","best_bid":"{}","best_bid_size":"{}","best_ask":"{}","best_ask_size":"{}","side":"{}","time":"2024-08-09T00:57:48.{:06}Z","trade_id":{},"last_size":"{}"}}"#,
        37_475_248_783 + random.below(1_000_000),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        ["buy", "sell"][random.below(2) as usize],
        random.below(1_000_000),
        682_743_990 + random.below(1_000_000),
        random.decimal(),
    )
}

/// 278 bytes or so: a ticker of Kraken, with plain numbers.
pub(crate) fn kraken(random: &mut Random) -> String {
    format!(
        r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"BTC/USD","bid":{},"bid_qty":{},"ask":{},"ask_qty":{},"last":{},"volume":{},"vwap":{},"low":{},"high":{},"change":-{},"change_pct":{}}}]}}"#,
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
    )
}

/// 169 bytes or so: the shape of the project's seed.
pub(crate) fn seed(random: &mut Random) -> String {
    format!(
        r#"{{"entity":"ticker","id":"BTCUSDT","payload":{{"bid":"{}","bidSize":"{}","ask":"{}","askSize":"{}","sequence":{},"active":{}}}}}"#,
        random.decimal(),
        random.decimal(),
        random.decimal(),
        random.decimal(),
        400_900_217 + random.below(1_000_000),
        ["true", "false"][random.below(2) as usize],
    )
}

/// A thousand messages of a shape.
pub(crate) fn varied((name, make): Shape) -> Vec<String> {
    let mut random = Random::new(name.len() as u64);
    (0..VARIED).map(|_| make(&mut random)).collect()
}
