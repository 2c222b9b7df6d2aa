//! What the demo and `watch` show: a live table on a terminal, one line a second elsewhere, one JSON
//! object at the end.
//!
//! Everything shown is in a plain [`Model`]; the drawing is a function of it, of the scroll position
//! and of the size, and is tested on a buffer.

mod draw;
mod format;
mod lines;
mod model;
mod percentiles;
mod report;
mod slow;
mod terminal;

#[cfg(test)]
mod tests;

pub(crate) use format::{count, plain_decimal, span};
pub(crate) use lines::lines;
pub(crate) use model::{
    Align, Cell, Checked, Column, Cpu, Fetches, Latency, Link, Model, Query, Recorder, Row, Served,
    Slow, State, Tone, Totals,
};
pub(crate) use percentiles::Percentiles;
pub(crate) use report::{Report, engine_summary, slow_summary, summary};
pub(crate) use terminal::{Interrupt, live};
