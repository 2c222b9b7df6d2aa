//! Latencies measured beside each other: rivals take turns, round after round, so that all of them
//! see the same moods of the machine.
//!
//! A round counts for a row only if the thread that measures ran nearly all the time. What is
//! reported are the percentiles of the samples of all rounds that count, and the median of the
//! ratios of the medians *within* a round. The outcome is also written to `target/tmp/bench`, with a
//! hundred quantiles of each row, where the report finds it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::cpu::thread_cpu;

/// Rounds, unless `TICKCACHE_BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 15;
/// How often a turn that was disturbed is repeated, before the last one is taken.
const TRIES: usize = 4;
/// A turn is disturbed if so much of the time on the wall went elsewhere.
const DISTURBED: f64 = 0.05;

/// What one turn gives: the samples in nanoseconds, and the time on the wall and of the CPU that
/// the measuring thread took for them.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) nanos: Vec<u64>,
    wall: Duration,
    cpu: Duration,
}

impl Turn {
    /// Has `measure` collect samples on this thread, which must not sleep meanwhile.
    pub(crate) fn of(measure: impl FnOnce(&mut Vec<u64>)) -> Self {
        let mut nanos = Vec::new();
        let (wall, cpu) = (Instant::now(), thread_cpu());
        measure(&mut nanos);
        Self {
            nanos,
            wall: wall.elapsed(),
            cpu: thread_cpu() - cpu,
        }
    }

    fn is_disturbed(&self) -> bool {
        let elsewhere = self.wall.saturating_sub(self.cpu).as_secs_f64();
        elsewhere > DISTURBED * self.wall.as_secs_f64()
    }
}

struct Row<'a> {
    name: String,
    take: Box<dyn FnMut() -> Turn + 'a>,
    rounds: Vec<Vec<u64>>,
    disturbed: usize,
}

/// A question, and who answers it. The first row is what the others are compared with.
pub(crate) struct Race<'a> {
    name: String,
    rows: Vec<Row<'a>>,
}

impl<'a> Race<'a> {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(mut self, name: impl Into<String>, take: impl FnMut() -> Turn + 'a) -> Self {
        self.rows.push(Row {
            name: name.into(),
            take: Box::new(take),
            rounds: Vec::new(),
            disturbed: 0,
        });
        self
    }

    /// Measures, prints a table, and leaves the figures for the report. Does nothing if the command
    /// line names another race; does everything once if it is only tested.
    pub(crate) fn run(mut self) {
        let is_test = std::env::args().any(|argument| argument == "--test");
        let filters: Vec<_> = std::env::args()
            .skip(1)
            .filter(|argument| !argument.starts_with('-'))
            .collect();
        if !filters.is_empty() && !filters.iter().any(|filter| self.name.contains(filter)) {
            return;
        }
        let rounds = std::env::var("TICKCACHE_BENCH_ROUNDS").ok();
        let rounds = rounds.and_then(|rounds| rounds.parse().ok());
        let rounds = if is_test { 1 } else { rounds.unwrap_or(ROUNDS) };
        for _ in 0..rounds {
            self.rows.iter_mut().for_each(Row::take_turn);
        }
        if !is_test {
            self.report();
        }
    }

    fn report(&self) {
        println!("\n{}", self.name);
        println!(
            "  {:<44}{:>9}{:>9}{:>9}{:>9}{:>10}{:>9}  (ns)",
            "", "p50", "p90", "p99", "p99.9", "max", "ratio"
        );
        let first: Vec<_> = self.rows[0].medians();
        let mut json = String::from("[");
        for row in &self.rows {
            let mut all: Vec<u64> = row.rounds.iter().flatten().copied().collect();
            all.sort_unstable();
            let [p50, p90, p99, p999, max] =
                [0.5, 0.9, 0.99, 0.999, 1.0].map(|part| quantile(&all, part));
            let medians = row.medians();
            let ratios: Vec<_> = medians
                .iter()
                .zip(&first)
                .map(|(own, it)| own / it)
                .collect();
            let [low, median, high] = quartiles(&medians);
            let [ratio_low, ratio, ratio_high] = quartiles(&ratios);
            println!(
                "  {:<44}{p50:>9}{p90:>9}{p99:>9}{p999:>9}{max:>10}{ratio:>8.2}x{}",
                row.name,
                if row.disturbed > row.rounds.len() / 4 {
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
                 \"rounds\":{},\"disturbed\":{},\"samples\":{},\"p50\":{p50},\"p90\":{p90},\
                 \"p99\":{p99},\"p999\":{p999},\"max\":{max},\"quantiles\":[",
                row.name,
                row.rounds.len(),
                row.disturbed,
                all.len()
            );
            for percent in 1..=100 {
                let comma = if percent > 1 { "," } else { "" };
                let _ = write!(
                    json,
                    "{comma}{}",
                    quantile(&all, f64::from(percent) / 100.0)
                );
            }
            json.push_str("]}");
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
    fn take_turn(&mut self) {
        for left in (0..TRIES).rev() {
            let turn = (self.take)();
            if left == 0 || !turn.is_disturbed() {
                self.disturbed += usize::from(turn.is_disturbed());
                self.rounds.push(turn.nanos);
                return;
            }
        }
    }

    fn medians(&self) -> Vec<f64> {
        let median = |round: &Vec<u64>| {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            quantile(&sorted, 0.5) as f64
        };
        self.rounds.iter().map(median).collect()
    }
}

/// The value that this part of all does not exceed; 0 of nothing.
fn quantile(sorted: &[u64], part: f64) -> u64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0)
}

fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| {
        let at = (sorted.len().saturating_sub(1)) * quarter / 4;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    })
}
