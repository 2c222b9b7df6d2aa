//! One row for each symbol, with what its channels say.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tickcache::cache::{Cache, Entity, Field, FieldsError, Slot};
use tickcache::key::Id;
use tickcache::record::Value;

use super::{Moving, Rate, Standing, Table, column, row};
use crate::ui::{Align, Cell, Column, Row, Tone, count, plain_decimal};

/// Decimal places that a price always has.
const PLACES: usize = 2;

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
    pub(crate) fn new<N: AsRef<str>>(
        cache: &Cache,
        feeds: impl IntoIterator<Item = N>,
    ) -> Result<Self, FieldsError> {
        let feeds = feeds
            .into_iter()
            .map(|name| Channels::new(cache, name.as_ref()));
        Ok(Self {
            feeds: feeds.collect::<Result<_, _>>()?,
            lines: Vec::new(),
            known: HashMap::new(),
        })
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
            let Channels {
                book,
                ticker,
                trade,
                ..
            } = channels;
            for (channel, seen) in [book, ticker, trade].into_iter().enumerate() {
                let values = seen.entity.len();
                if values == seen.values {
                    continue;
                }
                seen.values = values;
                for slot in seen.entity.iter() {
                    let line = *known.entry(slot.id().clone()).or_insert_with(|| {
                        lines.push(Line::new(&slot.id().to_string()));
                        lines.len() - 1
                    });
                    let line = &mut lines[line];
                    line.feed = feed;
                    line.slots[channel].get_or_insert(slot);
                }
            }
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
    book: Channel,
    ticker: Channel,
    trade: Channel,
    book_fields: [Field; 2],
    ticker_fields: [Field; 3],
    trade_fields: [Field; 1],
}

#[derive(Debug)]
struct Channel {
    entity: Entity,
    /// How many values it had when it was last gone through.
    values: usize,
}

impl Channels {
    fn new(cache: &Cache, feed: &str) -> Result<Self, FieldsError> {
        let channel = |name: &str| Channel {
            entity: cache.entity(&format!("{feed}.{name}")),
            values: 0,
        };
        let (book, ticker, trade) = (channel("bookTicker"), channel("ticker"), channel("trade"));
        Ok(Self {
            book_fields: book.entity.fields(["b", "a"])?,
            ticker_fields: ticker.entity.fields(["c", "P", "q"])?,
            trade_fields: trade.entity.fields(["p"])?,
            book,
            ticker,
            trade,
        })
    }
}

/// One symbol.
#[derive(Debug)]
struct Line {
    key: String,
    feed: usize,
    /// Book, ticker, trade.
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
        if let Some(slot) = book {
            let read = slot.read(of.book_fields);
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut self.shown[0], read.epoch()) != read.epoch() {
                let [bid, ask] = read.even_if_stale();
                price(&mut row.cells[BID], &mut self.moving[BID], &bid, now);
                price(&mut row.cells[ASK], &mut self.moving[ASK], &ask, now);
            }
        }
        if let Some(slot) = ticker {
            let read = slot.read(of.ticker_fields);
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut self.shown[1], read.epoch()) != read.epoch() {
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
        if let Some(slot) = trade {
            let read = slot.read(of.trade_fields);
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut self.shown[2], read.epoch()) != read.epoch() {
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
