//! One row for each symbol, with what its channels say.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tickcache::cache::{Cache, Entity, Field, Slot};
use tickcache::key::Id;
use tickcache::record::Value;

use super::{Moving, Rate, Standing, Table, column, row};
use crate::ui::{Align, Cell, Column, Row, Tone, count, plain_decimal};

/// Decimal places that a price always has.
const PLACES: usize = 2;

// The channels of a line.
const BOOK: usize = 0;
const TICKER: usize = 1;
const TRADE: usize = 2;

// The cells of a row; the first three move.
const BID: usize = 0;
const ASK: usize = 1;
const LAST: usize = 2;
const CHANGE: usize = 3;
const VOLUME: usize = 4;
const CELLS: usize = 5;

/// The symbols of one or more feeds of the preset `binance-spot`.
#[derive(Debug)]
pub(crate) struct Market {
    feeds: Vec<Channels>,
    lines: Vec<Line>,
    known: HashMap<Id, usize>,
}

impl Market {
    /// The symbols of feeds with these names, in alphabetical order as they come.
    pub(crate) fn new<N: AsRef<str>>(cache: &Cache, feeds: impl IntoIterator<Item = N>) -> Self {
        let feeds = feeds.into_iter();
        Self {
            feeds: feeds
                .map(|name| Channels::new(cache, name.as_ref()))
                .collect(),
            lines: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Gives a symbol of a feed, by its number, the next row, with or without values.
    pub(crate) fn expect(&mut self, symbol: &str) {
        let id = Id::from(symbol);
        self.known.insert(id, self.lines.len());
        self.lines.push(Line::new(symbol));
    }

    /// Looks for symbols and channels that have their first value.
    fn discover(&mut self, rows: &mut Vec<Row>) {
        let Self {
            feeds,
            lines,
            known,
        } = self;
        let before = lines.len();
        for (feed, channels) in feeds.iter_mut().enumerate() {
            let mut place = |channel: usize, slot: Slot| {
                let line = *known.entry(slot.id().clone()).or_insert_with(|| {
                    lines.push(Line::new(&slot.id().to_string()));
                    lines.len() - 1
                });
                let line = &mut lines[line];
                line.feed = feed;
                line.slots[channel].get_or_insert(slot);
            };
            channels.book.look(|slot| place(BOOK, slot));
            channels.ticker.look(|slot| place(TICKER, slot));
            channels.trade.look(|slot| place(TRADE, slot));
        }
        if lines.len() != before {
            lines.sort_by(|a, b| a.key.cmp(&b.key));
            known.clear();
            known.extend(
                lines
                    .iter()
                    .enumerate()
                    .map(|(at, line)| (Id::from(&*line.key), at)),
            );
            lines.iter_mut().for_each(|line| line.shown = [u64::MAX; 3]);
            rows.clear();
        }
        rows.extend(lines[rows.len()..].iter().map(|line| row(&line.key, CELLS)));
    }
}

impl Table for Market {
    fn columns(&self) -> (Column, Vec<Column>) {
        let right = Align::Right;
        let columns = vec![
            column("BID", 12, right, 0),
            column("ASK", 12, right, 0),
            column("LAST", 12, right, 2),
            column("24H", 8, right, 1),
            column("VOLUME", 14, right, 3),
        ];
        (column("SYMBOL", 12, Align::Left, 0), columns)
    }

    fn refresh(&mut self, _cache: &Cache, rows: &mut Vec<Row>, beat: Option<Duration>) {
        self.discover(rows);
        let now = Instant::now();
        for (line, row) in self.lines.iter_mut().zip(rows) {
            if let Some(channels) = self.feeds.get(line.feed) {
                line.refresh(channels, row, now, beat);
            }
        }
    }
}

/// The entities of one feed.
#[derive(Debug)]
struct Channels {
    book: Channel<2>,
    ticker: Channel<3>,
    trade: Channel<1>,
}

impl Channels {
    fn new(cache: &Cache, feed: &str) -> Self {
        let entity = |channel| cache.entity(&format!("{feed}.{channel}"));
        Self {
            book: Channel::new(entity("bookTicker"), ["b", "a"]),
            ticker: Channel::new(entity("ticker"), ["c", "P", "q"]),
            trade: Channel::new(entity("trade"), ["p"]),
        }
    }
}

/// One entity, and the fields of it that are shown.
#[derive(Debug)]
struct Channel<const N: usize> {
    entity: Entity,
    names: [&'static str; N],
    /// Resolved with the first value: the order of fields in the final state is the source's.
    fields: Option<[Field; N]>,
    /// How many values it had when it was last gone through.
    values: usize,
}

impl<const N: usize> Channel<N> {
    fn new(entity: Entity, names: [&'static str; N]) -> Self {
        Self {
            entity,
            names,
            fields: None,
            values: 0,
        }
    }

    /// Shows every slot to `each` if there are others than last time.
    fn look(&mut self, each: impl FnMut(Slot)) {
        let values = self.entity.len();
        if std::mem::replace(&mut self.values, values) == values {
            return;
        }
        if self.fields.is_none() {
            // A schema without room for them has none of them: their cells stay empty.
            self.fields = self.entity.fields(self.names).ok();
        }
        self.entity.iter().for_each(each);
    }
}

/// One symbol.
#[derive(Debug)]
struct Line {
    key: String,
    feed: usize,
    /// By channel.
    slots: [Option<Slot>; 3],
    /// The epochs that are in the row.
    shown: [u64; 3],
    moving: [Moving; 3],
    rate: Rate,
}

impl Line {
    fn new(symbol: &str) -> Self {
        Self {
            key: symbol.to_owned(),
            feed: 0,
            slots: Default::default(),
            shown: [u64::MAX; 3],
            moving: Default::default(),
            rate: Rate::default(),
        }
    }

    fn refresh(&mut self, of: &Channels, row: &mut Row, now: Instant, beat: Option<Duration>) {
        let mut standing = Standing::default();
        let [book, ticker, trade] = &self.slots;
        if let (Some(slot), Some(fields)) = (book, of.book.fields) {
            let read = slot.read(fields);
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut self.shown[BOOK], read.epoch()) != read.epoch() {
                let [bid, ask] = read.even_if_stale();
                price(&mut row.cells[BID], &mut self.moving[BID], &bid, now);
                price(&mut row.cells[ASK], &mut self.moving[ASK], &ask, now);
            }
        }
        if let (Some(slot), Some(fields)) = (ticker, of.ticker.fields) {
            let read = slot.read(fields);
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut self.shown[TICKER], read.epoch()) != read.epoch() {
                let [last, change, volume] = read.even_if_stale();
                if trade.is_none() {
                    price(&mut row.cells[LAST], &mut self.moving[LAST], &last, now);
                }
                percent(&mut row.cells[CHANGE], &change);
                let whole = volume
                    .f64()
                    .map_or_else(|_| String::new(), |v| count(v as u64));
                row.cells[VOLUME].text = whole;
            }
        }
        if let (Some(slot), Some(fields)) = (trade, of.trade.fields) {
            let read = slot.read(fields);
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut self.shown[TRADE], read.epoch()) != read.epoch() {
                let [last] = read.even_if_stale();
                price(&mut row.cells[LAST], &mut self.moving[LAST], &last, now);
            }
        }
        for (cell, moving) in row.cells.iter_mut().zip(&self.moving) {
            cell.tone = moving.tone(now);
        }
        row.state = standing.state();
        row.age = standing.age;
        row.updates_per_second = self.rate.count(standing.epochs, beat);
    }
}

/// A price as it came, without the zeros that only pad it: as many places as it ever needed, so
/// that it does not jump.
fn price(cell: &mut Cell, moving: &mut Moving, value: &Value, now: Instant) {
    moving.set(value.f64().ok(), now);
    cell.text.clear();
    if let Ok(text) = value.str() {
        let plain = plain_decimal(&text, moving.places.max(PLACES));
        moving.places = plain.find('.').map_or(0, |point| plain.len() - point - 1);
        cell.text.push_str(plain);
    } else if let Ok(token) = value.json() {
        cell.text.push_str(&token);
    }
}

fn percent(cell: &mut Cell, value: &Value) {
    let Ok(change) = value.f64() else {
        *cell = Cell::default();
        return;
    };
    cell.text = format!("{change:+.2} %");
    cell.tone = if change > 0.0 {
        Tone::Up
    } else if change < 0.0 {
        Tone::Down
    } else {
        Tone::Plain
    };
}
