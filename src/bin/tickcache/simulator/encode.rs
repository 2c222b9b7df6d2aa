//! Writes market data as the exchange does: every decimal with eight places, in a string.

use super::market::{Book, Symbol, Ticker};

/// Decimals are integers in units of 10^-8.
pub(crate) const UNIT: u64 = 100_000_000;

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends an integer.
pub(crate) fn integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number given in units of 10^-8, with all eight places.
pub(crate) fn decimal(out: &mut Vec<u8>, value: u64) {
    integer(out, value / UNIT);
    places(out, value % UNIT);
}

fn places(out: &mut Vec<u8>, mut fraction: u64) {
    let mut text = *b".00000000";
    for at in [7, 5, 3, 1] {
        let pair = (fraction % 100) as usize * 2;
        fraction /= 100;
        text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    out.extend_from_slice(&text);
}

fn wide_decimal(out: &mut Vec<u8>, value: u128) {
    let unit = u128::from(UNIT);
    integer(out, u64::try_from(value / unit).unwrap_or(u64::MAX));
    places(out, (value % unit) as u64);
}

/// Whether a message says which stream it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"stream":"..","data":{..}}`
    Combined,
    /// The data alone.
    Raw,
}

/// Appends one `bookTicker` message.
pub(crate) fn book(out: &mut Vec<u8>, form: Form, symbol: &Symbol, book: &Book) {
    if form == Form::Combined {
        out.extend_from_slice(symbol.book_wrap());
    }
    out.extend_from_slice(b"{\"u\":");
    integer(out, book.u);
    out.extend_from_slice(symbol.book_name());
    decimal(out, book.bid);
    out.extend_from_slice(b"\",\"B\":\"");
    decimal(out, book.bid_qty);
    out.extend_from_slice(b"\",\"a\":\"");
    decimal(out, book.ask);
    out.extend_from_slice(b"\",\"A\":\"");
    decimal(out, book.ask_qty);
    out.extend_from_slice(b"\"}");
    if form == Form::Combined {
        out.push(b'}');
    }
}

/// Appends one 24-hour `ticker` message.
pub(crate) fn ticker(out: &mut Vec<u8>, form: Form, symbol: &Symbol, t: &Ticker) {
    if form == Form::Combined {
        out.extend_from_slice(symbol.ticker_wrap());
    }
    out.extend_from_slice(b"{\"e\":\"24hrTicker\",\"E\":");
    integer(out, t.event_millis);
    out.extend_from_slice(symbol.ticker_name());
    change(out, t);
    for (name, value) in [
        (&b"\",\"w\":\""[..], t.average()),
        (b"\",\"x\":\"", t.previous_close),
        (b"\",\"c\":\"", t.last),
        (b"\",\"Q\":\"", t.last_qty),
        (b"\",\"b\":\"", t.bid),
        (b"\",\"B\":\"", t.bid_qty),
        (b"\",\"a\":\"", t.ask),
        (b"\",\"A\":\"", t.ask_qty),
        (b"\",\"o\":\"", t.open),
        (b"\",\"h\":\"", t.high),
        (b"\",\"l\":\"", t.low),
        (b"\",\"v\":\"", t.volume),
    ] {
        out.extend_from_slice(name);
        decimal(out, value);
    }
    out.extend_from_slice(b"\",\"q\":\"");
    wide_decimal(out, t.turnover);
    for (name, value) in [
        (&b"\",\"O\":"[..], t.event_millis.saturating_sub(86_400_000)),
        (b",\"C\":", t.event_millis),
        (b",\"F\":", t.last_trade + 1 - t.trades),
        (b",\"L\":", t.last_trade),
        (b",\"n\":", t.trades),
    ] {
        out.extend_from_slice(name);
        integer(out, value);
    }
    out.push(b'}');
    if form == Form::Combined {
        out.push(b'}');
    }
}

/// The price change and the same in per cent, with three places.
fn change(out: &mut Vec<u8>, t: &Ticker) {
    let sign: &[u8] = if t.last < t.open { b"-" } else { b"" };
    let change = t.last.abs_diff(t.open);
    out.extend_from_slice(sign);
    decimal(out, change);
    out.extend_from_slice(b"\",\"P\":\"");
    out.extend_from_slice(sign);
    let thousandths = u128::from(change) * 100_000 / u128::from(t.open.max(1));
    let thousandths = u64::try_from(thousandths).unwrap_or(u64::MAX);
    integer(out, thousandths / 1000);
    let rest = thousandths % 1000;
    out.push(b'.');
    out.push(b'0' + (rest / 100) as u8);
    out.extend_from_slice(&PAIRS[(rest % 100) as usize * 2..][..2]);
}
