//! What a soak tells: a line now and then, and at the end everything, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value as Json, json};
use tickcache::feed::CounterValues;

use super::capture::Captured;
use super::drive::Outcome;
use super::fault::Kind;
use super::form::Form;
use super::memory::{Memory, Slope};
use super::problems::Problems;
use super::readers::Desk;
use super::tape::Held;
use crate::tally::Tally;
use crate::ui::{count, span};

const MIB: f64 = 1024.0 * 1024.0;

/// Upper ends of the histogram of how soon a fresh value came, in milliseconds.
const BUCKETS: [u64; 8] = [5, 20, 50, 100, 250, 500, 1000, 2000];

/// What a feed held at the end, and what it should.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) form: Form,
    pub(crate) held: Held,
    pub(crate) truth: Held,
}

/// The line every few seconds.
#[derive(Debug)]
pub(crate) struct Lines {
    to_stderr: bool,
    origin: Instant,
    last: (Instant, u64),
}

impl Lines {
    /// With `json`, standard output is for the JSON alone.
    pub(crate) fn new(json: bool, origin: Instant) -> Self {
        Self {
            to_stderr: json,
            origin,
            last: (origin, 0),
        }
    }

    pub(crate) fn tell(&mut self, desk: &Desk, outcomes: &[Outcome], memory: &Memory) {
        let sum = desk.tally().sum;
        let now = Instant::now();
        let (since, before) = self.last;
        let rate = (sum.messages - before) as f64 / (now - since).as_secs_f64().max(1e-3);
        self.last = (now, sum.messages);
        let worst = outcomes.iter().filter_map(|outcome| outcome.first).max();
        let text = format!(
            "{:>4} s  {} messages/s, {} received, {} refused; gaps {}, reconnects {}; faults {}, \
             fresh within {}; looks {}, {} of them live; resident {}; problems {}",
            self.origin.elapsed().as_secs(),
            count(rate as u64),
            count(sum.messages),
            sum.refused,
            sum.gaps,
            sum.reconnects,
            outcomes.len(),
            worst.map_or_else(|| "-".to_owned(), span),
            count(desk.looks.all()),
            count(desk.looks.live.load(Relaxed)),
            memory.last().map_or_else(|| "-".to_owned(), mib),
            desk.problems.count(),
        );
        // Nobody need be there to read it.
        let _ = if self.to_stderr {
            writeln!(std::io::stderr(), "{text}")
        } else {
            writeln!(std::io::stdout(), "{text}")
        };
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB)
}

/// The slope of the memory, and what it is held to.
pub(crate) fn slope(slope: Option<&Slope>) -> String {
    let Some(slope) = slope else {
        return "too few samples for a slope".to_owned();
    };
    format!(
        "resident {:.1} MiB in the mean, slope {:+.3} +- {:.3} MiB/min (95 %, over {:.0} s after the \
         first fifth): {}, for the bound of {:.2} MiB/min (1 MiB or 1 % a minute)",
        slope.mean / MIB,
        slope.per_minute / MIB,
        slope.error / MIB,
        slope.seconds,
        if slope.is_flat() { "flat" } else { "grows" },
        slope.bound / MIB,
    )
}

/// What each feed has counted, against what was sent to it.
#[derive(Debug)]
pub(crate) struct Feeds(Vec<Feed>);

#[derive(Debug)]
struct Feed {
    form: Form,
    made: u64,
    written: u64,
    overrun: u64,
    counters: CounterValues,
}

impl Feeds {
    /// To be asked when everything has ended. What was not received went down with a connection.
    pub(crate) fn of(desk: &Desk, problems: &Problems) -> Self {
        let feeds = desk.lines.iter().map(|line| {
            let told = &line.exchange.told;
            let feed = Feed {
                form: line.form,
                made: told.made.load(Relaxed),
                written: told.written.load(Relaxed),
                overrun: told.overrun.load(Relaxed),
                counters: line.feed.counters(),
            };
            let (received, written, losses) =
                (feed.counters.messages, feed.written, feed.counters.losses);
            if received > written || (losses == 0 && received < written) {
                problems.add("what was sent is what was received", || {
                    let name = line.form.name();
                    format!("{name}: {received} of {written}, {losses} connections lost")
                });
            }
            let ended = line.feed.wait_finished(Duration::ZERO);
            if let Some(end) = ended.filter(|end| !end.is_clean()) {
                problems.add("no feed ends by itself", || {
                    format!("{}: {end:?}", line.form.name())
                });
            }
            feed
        });
        Self(feeds.collect())
    }
}

/// A soak that is over.
pub(crate) struct Ended<'a> {
    pub(crate) soaked: Duration,
    /// The user has ended it.
    pub(crate) is_early: bool,
    pub(crate) seed: u64,
    pub(crate) desk: &'a Desk,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) states: Vec<State>,
    pub(crate) replayed: Option<State>,
    pub(crate) captured: Option<Captured>,
    pub(crate) feeds: Feeds,
    pub(crate) tally: Tally,
    pub(crate) slope: Option<Slope>,
    pub(crate) rss: Option<u64>,
    /// The most that the machine was late by within five seconds.
    pub(crate) late: Duration,
}

/// What became of the faults of one kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Summary {
    times: u64,
    first_median_ms: f64,
    first_max_ms: f64,
    all_max_ms: f64,
    bound_ms: f64,
}

impl Ended<'_> {
    fn kinds(&self) -> BTreeMap<Kind, Summary> {
        let mut kinds: BTreeMap<Kind, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &self.outcomes {
            kinds.entry(outcome.fault.kind).or_default().push(outcome);
        }
        let summary = |outcomes: Vec<&Outcome>| {
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            let mut first: Vec<_> = outcomes.iter().filter_map(|o| o.first).collect();
            first.sort_unstable();
            let all = outcomes.iter().filter_map(|outcome| outcome.all).max();
            let bounds = outcomes.iter().map(|outcome| outcome.bound - outcome.late);
            Summary {
                times: outcomes.len() as u64,
                first_median_ms: first.get(first.len() / 2).copied().map_or(f64::NAN, millis),
                first_max_ms: first.last().copied().map_or(f64::NAN, millis),
                all_max_ms: all.map_or(f64::NAN, millis),
                bound_ms: bounds.max().map_or(f64::NAN, millis),
            }
        };
        kinds
            .into_iter()
            .map(|(kind, outcomes)| (kind, summary(outcomes)))
            .collect()
    }

    /// How many first fresh values came within each bucket; the last is for what came later.
    fn histogram(&self) -> [u64; BUCKETS.len() + 1] {
        let mut histogram = [0; BUCKETS.len() + 1];
        for first in self.outcomes.iter().filter_map(|outcome| outcome.first) {
            let millis = first.as_millis();
            let bucket = BUCKETS.iter().position(|end| millis < u128::from(*end));
            histogram[bucket.unwrap_or(BUCKETS.len())] += 1;
        }
        histogram
    }

    /// The whole as a text.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let early = if self.is_early { ", ended early" } else { "" };
        let (soaked, seed) = (span(self.soaked), self.seed);
        writeln!(out, "\nsoaked for {soaked}{early}; seed {seed}\n")?;
        writeln!(
            out,
            "{:<8} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7} {:>7} {:>6} {:>6} {:>7}",
            "feed",
            "written",
            "received",
            "applied",
            "unchanged",
            "older",
            "refused",
            "gaps",
            "opens",
            "losses",
            "overrun"
        )?;
        for feed in &self.feeds.0 {
            let c = &feed.counters;
            writeln!(
                out,
                "{:<8} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7} {:>7} {:>6} {:>6} {:>7}",
                feed.form.name(),
                feed.written,
                c.messages,
                c.applied,
                c.unchanged,
                c.older + c.duplicate,
                c.refused,
                c.gaps,
                c.opens,
                c.losses,
                feed.overrun,
            )?;
        }
        self.tally
            .lines()
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(
            out,
            "\n{:<20} {:>5} {:>13} {:>13} {:>13} {:>13}",
            "fault", "times", "fresh, median", "fresh, max", "all live, max", "bound (fresh)"
        )?;
        for (kind, summary) in self.kinds() {
            writeln!(
                out,
                "{:<20} {:>5} {:>10.1} ms {:>10.1} ms {:>10.1} ms {:>10.0} ms",
                kind.name(),
                summary.times,
                summary.first_median_ms,
                summary.first_max_ms,
                summary.all_max_ms,
                summary.bound_ms,
            )?;
        }
        let ends = BUCKETS.iter().map(|end| format!("<{end} ms"));
        let ends = ends.chain(["later".to_owned()]);
        let histogram: Vec<_> = ends
            .zip(self.histogram())
            .map(|(end, times)| format!("{end}: {times}"))
            .collect();
        writeln!(
            out,
            "first fresh value after a fault: {}",
            histogram.join(", ")
        )?;
        let late = span(self.late);
        writeln!(
            out,
            "bounds are stretched by what the machine was late: at most {late} within 5 s"
        )?;
        let desk = self.desk;
        writeln!(
            out,
            "\nlooks {}, spinning {}, watchers woken {}, snapshots {}, cuts {}, changes {}, states of \
             queries {}",
            count(desk.looks.all()),
            count(desk.spun.all()),
            count(desk.woken.all()),
            count(desk.taken.load(Relaxed)),
            count(desk.cuts.load(Relaxed)),
            count(desk.changes.load(Relaxed)),
            count(desk.states.load(Relaxed)),
        )?;
        writeln!(out, "{}", slope(self.slope.as_ref()))?;
        writeln!(
            out,
            "\nstate: SHA-1 of all values, sorted, tokens as received, without epochs and freshness"
        )?;
        for State { form, held, truth } in &self.states {
            let same = if held == truth {
                "the exchange's own"
            } else {
                "NOT the exchange's own"
            };
            writeln!(
                out,
                "{:<8} {:>5} values  {}  {same}",
                form.name(),
                held.0.len(),
                held.hash()
            )?;
        }
        if let Some(State { form, held, truth }) = &self.replayed {
            let same = if held == truth {
                "the engine's"
            } else {
                "NOT the engine's"
            };
            let (name, hash) = (form.name(), held.hash());
            writeln!(
                out,
                "{name:<8} {:>5} values  {hash}  replayed, {same}",
                held.0.len()
            )?;
        }
        if let Some(Captured {
            passes,
            messages,
            hash,
        }) = &self.captured
        {
            let messages = count(*messages);
            writeln!(
                out,
                "capture  {passes} passes, {messages} messages  {hash}  each time"
            )?;
        }
        let problems = self.desk.problems.all();
        if problems.is_empty() {
            return writeln!(out, "\neverything held");
        }
        writeln!(out, "\nDID NOT HOLD")?;
        for (claim, found) in problems {
            writeln!(out, "{} times: {claim}", found.times)?;
            found
                .examples
                .iter()
                .try_for_each(|how| writeln!(out, "    {how}"))?;
        }
        Ok(())
    }

    /// The whole as one JSON object.
    pub(crate) fn json(&self) -> Json {
        let feeds: BTreeMap<_, _> = self
            .feeds
            .0
            .iter()
            .map(|feed| {
                let counters: BTreeMap<_, _> = feed.counters.iter().collect();
                let sent =
                    json!({"made": feed.made, "written": feed.written, "overrun": feed.overrun});
                (feed.form.name(), json!({"sent": sent, "counted": counters}))
            })
            .collect();
        let states: BTreeMap<_, _> = self
            .states
            .iter()
            .map(|state| {
                let (hash, truth) = (state.held.hash(), state.truth.hash());
                let values = state.held.0.len();
                (
                    state.form.name(),
                    json!({"values": values, "hash": hash, "truth": truth}),
                )
            })
            .collect();
        let problems: Vec<_> = self.desk.problems.all().into_iter().map(|(claim, found)| {
            json!({"claim": claim, "times": found.times, "examples": found.examples})
        }).collect();
        let kinds: BTreeMap<_, _> = self
            .kinds()
            .into_iter()
            .map(|(kind, summary)| (kind.name(), summary))
            .collect();
        let buckets: Vec<_> = BUCKETS
            .iter()
            .map(|end| json!(end))
            .chain([Json::Null])
            .collect();
        let desk = self.desk;
        json!({
            "held": problems.is_empty(),
            "problems": problems,
            "seconds": self.soaked.as_secs_f64(),
            "ended_early": self.is_early,
            "seed": self.seed,
            "balanced": self.tally.balanced(),
            "feeds": feeds,
            "faults": self.outcomes.len(),
            "faults_by_kind": kinds,
            "fresh_ms": {"below": buckets, "times": self.histogram()},
            "late_ms": self.late.as_secs_f64() * 1e3,
            "readers": {
                "looks": desk.looks.all(),
                "live": desk.looks.live.load(Relaxed),
                "spun": desk.spun.all(),
                "woken": desk.woken.all(),
                "snapshots": desk.taken.load(Relaxed),
                "cuts": desk.cuts.load(Relaxed),
                "changes": desk.changes.load(Relaxed),
                "states": desk.states.load(Relaxed),
            },
            "memory": {"resident": self.rss, "slope": self.slope, "flat": self.slope.map(|s| s.is_flat())},
            "states": states,
            "replayed": self.replayed.as_ref().map(|state| state.held.hash()),
            "capture": self.captured,
        })
    }
}
