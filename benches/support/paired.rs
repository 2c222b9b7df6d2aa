//! Rivals measured beside each other: in turns of about a millisecond, round after round, so that
//! all of them see the same moods of the machine.
//!
//! A round counts for a row only if its thread ran nearly all the time, by its CPU clock. What is
//! reported is the median and the quartiles over the rounds, and the median of the ratios *within*
//! a round: those hold even where the machine changes its speed every few seconds. Each contest
//! also writes its outcome to `target/tmp/bench`, where the report finds it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::cpu::thread_cpu;

/// Rounds, unless `TICKCACHE_BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 41;
/// What one turn should take.
const TURN: Duration = Duration::from_millis(1);
/// How often a turn that was disturbed is repeated, before the last one is taken.
const TRIES: usize = 5;
/// A turn is disturbed if so much of the time on the wall went elsewhere.
const DISTURBED: f64 = 0.05;

/// A question, and who answers it.
pub(crate) struct Contest<'a> {
    name: String,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    name: String,
    /// Does the work so often, and says what it took if only it knows.
    work: Box<dyn FnMut(u64) -> Option<Duration> + 'a>,
    /// What one unit of work counts for.
    per: f64,
    turn: u64,
    nanos: Vec<f64>,
    disturbed: usize,
}

impl<'a> Contest<'a> {
    /// A question with this name, like `read/hot`. The first row is what the others are compared
    /// with.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rows: Vec::new(),
        }
    }

    /// Somebody who answers it: `work(n)` does it `n` times.
    pub(crate) fn row(self, name: impl Into<String>, work: impl FnMut(u64) + 'a) -> Self {
        self.row_of(name, 1.0, work)
    }

    /// As [`row`](Self::row), where one unit of work is `per` operations.
    pub(crate) fn row_of(
        mut self,
        name: impl Into<String>,
        per: f64,
        mut work: impl FnMut(u64) + 'a,
    ) -> Self {
        self.push(name.into(), per, move |times| {
            work(times);
            None
        });
        self
    }

    /// As [`row`](Self::row), for who measures itself: in another process, say.
    pub(crate) fn told(
        mut self,
        name: impl Into<String>,
        mut work: impl FnMut(u64) -> Duration + 'a,
    ) -> Self {
        self.push(name.into(), 1.0, move |times| Some(work(times)));
        self
    }

    fn push(&mut self, name: String, per: f64, work: impl FnMut(u64) -> Option<Duration> + 'a) {
        self.rows.push(Row {
            name,
            work: Box::new(work),
            per,
            turn: 1,
            nanos: Vec::new(),
            disturbed: 0,
        });
    }

    /// Measures, prints a table, and leaves the figures for the report. Does nothing if the command
    /// line names another contest; does everything once if it is only tested.
    pub(crate) fn run(mut self) {
        let mut arguments = std::env::args().skip(1);
        if arguments.any(|argument| argument == "--test") {
            for row in &mut self.rows {
                (row.work)(1);
            }
            return;
        }
        let filters: Vec<_> = std::env::args()
            .skip(1)
            .filter(|argument| !argument.starts_with('-'))
            .collect();
        if !filters.is_empty() && !filters.iter().any(|filter| self.name.contains(filter)) {
            return;
        }
        let rounds = std::env::var("TICKCACHE_BENCH_ROUNDS")
            .ok()
            .and_then(|rounds| rounds.parse().ok())
            .unwrap_or(ROUNDS);
        self.rows.iter_mut().for_each(Row::calibrate);
        for _ in 0..rounds {
            self.rows.iter_mut().for_each(Row::take_turn);
        }
        self.report();
    }

    fn report(&self) {
        let Some(first) = self.rows.first() else {
            return;
        };
        println!("\n{}", self.name);
        println!(
            "  {:<44} {:>10} {:>21} {:>9}",
            "", "ns (median)", "quartiles", "ratio"
        );
        let mut json = String::from("[");
        for row in &self.rows {
            let [low, median, high] = quartiles(&row.nanos);
            let ratios: Vec<_> = row
                .nanos
                .iter()
                .zip(&first.nanos)
                .map(|(own, reference)| own / reference)
                .collect();
            let [ratio_low, ratio, ratio_high] = quartiles(&ratios);
            println!(
                "  {:<44} {median:>10.2} {low:>10.2} {high:>10.2} {ratio:>8.2}x{}",
                row.name,
                if row.disturbed > row.nanos.len() / 4 {
                    "  (disturbed)"
                } else {
                    ""
                }
            );
            let comma = if json.len() > 1 { ",\n " } else { "\n " };
            let _ = write!(
                json,
                "{comma}{{\"name\":{:?},\"median\":{median},\"low\":{low},\"high\":{high},\
                 \"ratio\":{ratio},\"ratio_low\":{ratio_low},\"ratio_high\":{ratio_high},\
                 \"rounds\":{},\"disturbed\":{}}}",
                row.name,
                row.nanos.len(),
                row.disturbed
            );
        }
        json.push_str("\n]\n");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
        let file = folder.join(format!("{}.json", self.name.replace(['/', ' ', ','], "-")));
        if let Err(error) = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, json)) {
            eprintln!("the figures could not be kept: {error}");
        }
    }
}

impl Row<'_> {
    /// Finds out how often the work is to be done in one turn.
    fn calibrate(&mut self) {
        loop {
            let took = self.timed().0;
            if took >= TURN / 2 {
                let factor = TURN.as_secs_f64() / took.as_secs_f64();
                self.turn = ((self.turn as f64 * factor) as u64).max(1);
                return;
            }
            self.turn *= 2;
        }
    }

    fn take_turn(&mut self) {
        for left in (0..TRIES).rev() {
            let (cpu, wall) = self.timed();
            let elsewhere = wall.saturating_sub(cpu).as_secs_f64() / wall.as_secs_f64();
            if elsewhere <= DISTURBED || left == 0 {
                self.disturbed += usize::from(elsewhere > DISTURBED);
                let nanos = cpu.as_nanos() as f64 / (self.turn as f64 * self.per);
                self.nanos.push(nanos);
                return;
            }
        }
    }

    fn timed(&mut self) -> (Duration, Duration) {
        let (wall, cpu) = (Instant::now(), thread_cpu());
        match (self.work)(self.turn) {
            Some(told) => (told, told),
            None => (thread_cpu() - cpu, wall.elapsed()),
        }
    }
}

/// Lower quartile, median, upper quartile.
fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| {
        let at = (sorted.len().saturating_sub(1)) * quarter / 4;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    })
}
