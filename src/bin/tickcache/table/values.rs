//! One row for each value of any entity, shown as JSON.

use std::collections::HashMap;
use std::time::Duration;

use ratatui::crossterm::terminal;
use tickcache::cache::{Cache, Slot};

use super::{Rate, Standing, Table, column, row};
use crate::ui::{Align, Column, Row};

/// Most rows shown: nobody scrolls further, and each costs a look at its slot for each picture.
const MAX_ROWS: usize = 10_000;

/// Longest part of a value that is shown, in bytes.
const MAX_SHOWN: usize = 400;

const ENTITY: usize = 0;
const VALUE: usize = 1;
const CELLS: usize = 2;

/// Everything that the other columns of the table need.
const OTHERS: u16 = 72;

/// The first values of all entities, by entity and id.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// How many values each entity had when it was last gone through.
    seen: HashMap<String, usize>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    slot: Slot,
    shown: u64,
    rate: Rate,
}

impl Values {
    fn discover(&mut self, cache: &Cache, rows: &mut Vec<Row>) {
        let before = self.lines.len();
        for entity in cache.entities() {
            let values = entity.len();
            let seen = self.seen.entry(entity.name().to_owned()).or_default();
            if std::mem::replace(seen, values) == values || self.lines.len() >= MAX_ROWS {
                continue;
            }
            let known: std::collections::HashSet<_> = self
                .lines
                .iter()
                .filter(|line| line.slot.entity().name() == entity.name())
                .map(|line| line.slot.id().clone())
                .collect();
            let room = MAX_ROWS - self.lines.len();
            let fresh = entity
                .iter()
                .filter(|slot| !known.contains(slot.id()))
                .take(room);
            self.lines.extend(fresh.map(|slot| Line {
                slot,
                shown: u64::MAX,
                rate: Rate::default(),
            }));
        }
        if self.lines.len() != before {
            self.lines.sort_by(|a, b| {
                let key =
                    |line: &Line| (line.slot.entity().name().to_owned(), line.slot.id().clone());
                key(a).cmp(&key(b))
            });
            self.lines.iter_mut().for_each(|line| line.shown = u64::MAX);
            rows.clear();
        }
        let missing = self.lines[rows.len()..].iter();
        rows.extend(missing.map(|line| {
            let mut row = row(&line.slot.id().to_string(), CELLS);
            line.slot
                .entity()
                .name()
                .clone_into(&mut row.cells[ENTITY].text);
            row
        }));
    }
}

impl Table for Values {
    fn columns(&self) -> (Column, Vec<Column>) {
        let width = terminal::size().map_or(80, |(width, _)| width);
        let value = width.saturating_sub(OTHERS).max(20);
        let columns = vec![
            column("ENTITY", 16, Align::Left, 1),
            column("VALUE", value, Align::Left, 0),
        ];
        (column("ID", 16, Align::Left, 0), columns)
    }

    fn refresh(&mut self, cache: &Cache, rows: &mut Vec<Row>, beat: Option<Duration>) {
        self.discover(cache, rows);
        for (line, row) in self.lines.iter_mut().zip(rows) {
            let read = line.slot.read([]);
            let mut standing = Standing::default();
            standing.add(read.freshness(), read.age(), read.epoch());
            if std::mem::replace(&mut line.shown, read.epoch()) != read.epoch() {
                row.cells[VALUE].text = shown(&line.slot);
            }
            row.state = standing.state();
            row.age = standing.age;
            row.updates_per_second = line.rate.count(standing.epochs, beat);
        }
    }
}

/// The beginning of a value as JSON.
fn shown(slot: &Slot) -> String {
    let mut text = slot.read_all(|view| view.record().to_json());
    let end = text.floor_char_boundary(MAX_SHOWN);
    text.truncate(end);
    text
}
