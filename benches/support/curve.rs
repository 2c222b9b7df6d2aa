//! What something costs against what it might depend on, all points measured in turns as the rows
//! of a contest are: a line that is flat is flat within the same rounds.

use super::background::Beside;
use super::outcome::{self, Line, quartiles};
use super::paired::{Plan, Row, take_turns};

/// A question whose answer may depend on a number.
pub(crate) struct Curve<'a> {
    name: String,
    x: &'static str,
    /// The line that a row is on, and where; not measured yet.
    places: Vec<(String, u64)>,
    rows: Vec<Row<'a>>,
    lines: Vec<Line>,
}

impl<'a> Curve<'a> {
    /// A question with this name, like `scaling/slots`, against `x`.
    pub(crate) fn new(name: impl Into<String>, x: &'static str) -> Self {
        Self {
            name: name.into(),
            x,
            places: Vec::new(),
            rows: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// A point: `work(n)` does it `n` times.
    pub(crate) fn point(&mut self, line: &str, x: u64, work: impl FnMut(u64) + 'a) {
        self.places.push((line.to_owned(), x));
        self.rows.push(Row::worked("", 1.0, work));
    }

    /// As [`point`](Self::point), with something beside it.
    pub(crate) fn point_beside(
        &mut self,
        line: &str,
        x: u64,
        beside: impl Beside + 'a,
        work: impl FnMut(u64) + 'a,
    ) {
        self.places.push((line.to_owned(), x));
        self.rows.push(Row::beside("", beside, work));
    }

    /// As [`point`](Self::point), with a round through a working set before each turn, which does
    /// not count: the other points have put it out of the caches.
    pub(crate) fn warm_point(&mut self, line: &str, x: u64, warm: u64, work: impl FnMut(u64) + 'a) {
        self.places.push((line.to_owned(), x));
        self.rows.push(Row::worked("", 1.0, work).warmed_by(warm));
    }

    /// Measures the points that were added since it was last called: for what cannot be there for
    /// all points at once, as threads.
    pub(crate) fn measure(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        let places = std::mem::take(&mut self.places);
        if rows.is_empty() || !take_turns(&self.name, &mut rows, Plan::default()) {
            return;
        }
        for ((line, x), row) in places.into_iter().zip(&rows) {
            let point = (x, quartiles(&row.nanos));
            match self.lines.iter_mut().find(|(name, _)| *name == line) {
                Some((_, points)) => points.push(point),
                None => self.lines.push((line, vec![point])),
            }
        }
    }

    /// Measures, prints, and leaves the figures for the report.
    pub(crate) fn run(mut self) {
        self.measure();
        if !self.lines.is_empty() {
            outcome::curve(&self.name, self.x, "ns", &self.lines);
        }
    }
}
