//! The rows of the live table, brought up to date from the slots they show.
//!
//! A row is rendered anew only when one of its slots was published; freshness and age are asked for
//! each picture.

use std::time::{Duration, Instant};

use tickcache::cache::{Cache, Freshness, Reasons};

use crate::ui::{Align, Cell, Column, Model, Row, State, Tone};

mod market;
mod values;

pub(crate) use market::Market;
pub(crate) use values::Values;

/// How long a value that moved stays coloured.
const COLOURED_FOR: Duration = Duration::from_secs(1);

/// Rows of a table.
pub(crate) trait Table {
    /// The first column, and those between it and the state.
    fn columns(&self) -> (Column, Vec<Column>);

    /// Brings the rows up to date. `beat` is the time since the last call that had one: then
    /// the rates are counted.
    fn refresh(&mut self, cache: &Cache, rows: &mut Vec<Row>, beat: Option<Duration>);
}

/// Brings the rows of a model up to date, and its columns.
pub(crate) fn fill<T>(table: &mut T, cache: &Cache, model: &mut Model, beat: Option<Duration>)
where
    T: Table + ?Sized,
{
    (model.key, model.columns) = table.columns();
    table.refresh(cache, &mut model.rows, beat);
}

/// Counts publications into a rate.
#[derive(Debug, Default)]
struct Rate {
    counted: u64,
    per_second: f64,
}

impl Rate {
    fn count(&mut self, epochs: u64, beat: Option<Duration>) -> f64 {
        if let Some(beat) = beat {
            let more = epochs.saturating_sub(std::mem::replace(&mut self.counted, epochs));
            self.per_second = more as f64 / beat.as_secs_f64().max(1e-3);
        }
        self.per_second
    }
}

/// A number that is coloured for a while by the way it moved.
#[derive(Debug, Default)]
struct Moving {
    value: Option<f64>,
    moved: Option<(Instant, Tone)>,
    /// Decimal places that it is shown with.
    places: usize,
}

impl Moving {
    fn set(&mut self, value: Option<f64>, now: Instant) {
        if let (Some(before), Some(value)) = (self.value, value) {
            if value > before {
                self.moved = Some((now, Tone::Up));
            } else if value < before {
                self.moved = Some((now, Tone::Down));
            }
        }
        self.value = value;
    }

    fn tone(&self, now: Instant) -> Tone {
        let recent = self
            .moved
            .filter(|(at, _)| now.saturating_duration_since(*at) < COLOURED_FOR);
        recent.map_or(Tone::Plain, |(_, tone)| tone)
    }
}

/// What several slots of one row are worth together, and the age of the newest.
#[derive(Debug, Default)]
struct Standing {
    live: bool,
    removed: bool,
    reasons: Reasons,
    age: Option<Duration>,
    epochs: u64,
}

impl Standing {
    fn add(&mut self, freshness: Freshness, age: Option<Duration>, epoch: u64) {
        match freshness {
            Freshness::Live => self.live = true,
            Freshness::Removed => self.removed = true,
            other => self.reasons = self.reasons.union(other.reasons()),
        }
        self.age = self.age.into_iter().chain(age).min();
        self.epochs += epoch;
    }

    /// A row is as good as the worst of its slots; those that never had a value say nothing.
    fn state(&self) -> State {
        if !self.reasons.is_empty() {
            State::Stale(self.reasons.to_string())
        } else if self.live {
            State::Live
        } else if self.removed {
            State::Removed
        } else {
            State::Empty
        }
    }
}

fn row(key: &str, cells: usize) -> Row {
    Row {
        key: key.to_owned(),
        cells: vec![Cell::default(); cells],
        state: State::Empty,
        age: None,
        updates_per_second: 0.0,
    }
}

fn column(title: &str, width: u16, align: Align, rank: u8) -> Column {
    Column {
        title: title.to_owned(),
        width,
        align,
        rank,
    }
}
