//! The same model without a terminal: a line a second, and an object at the end.

use std::time::Duration;

use serde::Serialize;
use tickcache::{Latencies, Latency};

use super::format::{count, percent, rate, running, span};
use super::model::{Fetches, Link, Model, Served, Slow, State};
use super::percentiles::Percentiles;

/// One line that says how it stands.
pub(crate) fn summary(model: &Model) -> String {
    let totals = &model.totals;
    let live = model
        .rows
        .iter()
        .filter(|row| row.state == State::Live)
        .count();
    let link = match &model.link {
        Link::Connecting => "connecting".to_owned(),
        Link::Connected => "connected".to_owned(),
        Link::Down(why) => format!("down ({})", why.replace(char::is_control, " ")),
        Link::Stopped => "stopped".to_owned(),
    };
    let mut line = format!(
        "{} {link}  {} updates/s  received {}  applied {}  refused {}  reconnects {}  live {live}/{}",
        running(model.elapsed),
        rate(totals.updates_per_second),
        count(totals.received),
        count(totals.applied),
        count(totals.refused),
        count(totals.reconnects),
        model.rows.len(),
    );
    if let Some(latency) = &model.latency {
        let (p50, p99, p999) = (span(latency.p50), span(latency.p99), span(latency.p999));
        line += &format!("  latency p50 {p50} p99 {p99} p99.9 {p999}");
    }
    if model.cpu.engine.is_some() {
        line += &format!("  cpu engine {}", percent(model.cpu.engine));
    }
    if model.cpu.simulator.is_some() {
        line += &format!(" simulator {}", percent(model.cpu.simulator));
    }
    line
}

/// What the engine measures of itself, each with its name, where there is anything.
pub(super) fn engine_parts(engine: &Latencies) -> Vec<(&'static str, &Latency)> {
    let parts = [
        ("read→first visible", &engine.first_visible),
        ("→last", &engine.last_visible),
        ("publish→awake spinning", &engine.spinning),
        ("blocking", &engine.blocking),
        ("tasks", &engine.asynchronous),
    ];
    let is_measured = |part: &(_, &Latency)| part.1.count() > 0;
    parts.into_iter().filter(is_measured).collect()
}

/// The median, the 99th and the 99.9th percentile, in one word.
pub(super) fn three(latency: &Latency) -> String {
    let of = |quantile: Option<Duration>| span(quantile.unwrap_or_default());
    format!(
        "{}/{}/{}",
        of(latency.p50()),
        of(latency.p99()),
        of(latency.p999())
    )
}

/// One line of what the engine measures of itself, where there is anything.
pub(crate) fn engine_summary(model: &Model) -> Option<String> {
    let parts = engine_parts(model.engine.as_ref()?);
    let parts: Vec<_> = parts
        .into_iter()
        .map(|(name, latency)| format!("{name} {}", three(latency)))
        .collect();
    (!parts.is_empty()).then(|| format!("     engine (p50/p99/p99.9)  {}", parts.join("  ")))
}

/// One line that says how the slow path stands, where there is one.
pub(crate) fn slow_summary(model: &Model) -> Option<String> {
    let slow = model.slow.as_ref()?;
    let live = slow
        .queries
        .iter()
        .filter(|query| query.state == State::Live);
    let mut line = format!(
        "     slow path  wrong values shown: {} of {}  live {}/{}  {}  {}",
        slow.checked.wrong,
        count(slow.checked.values),
        live.count(),
        slow.queries.len(),
        done(&slow.fetches),
        served(&slow.served),
    );
    if let Some(first) = &slow.checked.first {
        line += &format!("  first: {}", first.replace(char::is_control, " "));
    }
    Some(line)
}

/// What the cache did, in words.
pub(super) fn done(fetches: &Fetches) -> String {
    format!(
        "fetches {} (failed {}, retried {}, by events {}, polls {})  not shown: {} old \
         answers, {} old patches",
        count(fetches.started),
        count(fetches.failed),
        count(fetches.retried),
        count(fetches.by_events),
        count(fetches.polls),
        count(fetches.older),
        count(fetches.overtaken),
    )
}

/// What the server did, in words.
pub(super) fn served(served: &Served) -> String {
    format!(
        "served {}: late {}, old {}, refused {}, cut off {}, hanging {}",
        count(served.answers),
        count(served.late),
        count(served.old),
        count(served.errors),
        count(served.broken),
        count(served.hung),
    )
}

/// The whole run in numbers, for `--json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Length of the run.
    seconds: f64,
    received: u64,
    applied: u64,
    unchanged: u64,
    refused: u64,
    unmapped: u64,
    /// Whether every message and every patch is accounted for.
    balanced: bool,
    /// Applied updates over the whole run.
    updates_per_second: f64,
    reconnects: u64,
    /// `null` where nothing was measured.
    latency_us: Option<LatencyMicros>,
    /// What the engine measures of itself, in nanoseconds.
    engine_ns: EngineReport,
    /// Per cent of one core.
    cpu_percent: CpuPercent,
    /// `null` where there is no slow path.
    slow_path: Option<SlowReport>,
}

/// Each `null` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct EngineReport {
    read_to_first_visible: Option<Percentiles>,
    read_to_last_visible: Option<Percentiles>,
    publish_to_awake: AwakeReport,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct AwakeReport {
    spinning: Option<Percentiles>,
    blocking: Option<Percentiles>,
    asynchronous: Option<Percentiles>,
}

impl EngineReport {
    fn of(engine: &Latencies) -> Self {
        Self {
            read_to_first_visible: Percentiles::of(&engine.first_visible),
            read_to_last_visible: Percentiles::of(&engine.last_visible),
            publish_to_awake: AwakeReport {
                spinning: Percentiles::of(&engine.spinning),
                blocking: Percentiles::of(&engine.blocking),
                asynchronous: Percentiles::of(&engine.asynchronous),
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct SlowReport {
    wrong_shown: u64,
    checked: u64,
    queries: usize,
    fetches: u64,
    failed: u64,
    retried: u64,
    by_events: u64,
    polls: u64,
    dropped_older: u64,
    dropped_overtaken: u64,
    served: ServedReport,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ServedReport {
    answers: u64,
    late: u64,
    old: u64,
    errors: u64,
    broken: u64,
    hung: u64,
}

impl SlowReport {
    fn of(slow: &Slow) -> Self {
        let (fetches, served) = (&slow.fetches, &slow.served);
        Self {
            wrong_shown: slow.checked.wrong,
            checked: slow.checked.values,
            queries: slow.queries.len(),
            fetches: fetches.started,
            failed: fetches.failed,
            retried: fetches.retried,
            by_events: fetches.by_events,
            polls: fetches.polls,
            dropped_older: fetches.older,
            dropped_overtaken: fetches.overtaken,
            served: ServedReport {
                answers: served.answers,
                late: served.late,
                old: served.old,
                errors: served.errors,
                broken: served.broken,
                hung: served.hung,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct LatencyMicros {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct CpuPercent {
    engine: Option<f64>,
    simulator: Option<f64>,
}

impl Report {
    /// The report of a run: the model must carry the totals, the latency and the processor use of
    /// the whole run, not of its last second.
    pub(crate) fn of(model: &Model, balanced: bool) -> Self {
        let seconds = model.elapsed.as_secs_f64();
        let totals = &model.totals;
        let micros = |time: Duration| tenths(time.as_nanos() as f64 / 1e3);
        Self {
            seconds: tenths(seconds),
            received: totals.received,
            applied: totals.applied,
            unchanged: totals.unchanged,
            refused: totals.refused,
            unmapped: totals.unmapped,
            balanced,
            updates_per_second: tenths(totals.applied as f64 / seconds.max(1e-9)),
            reconnects: totals.reconnects,
            latency_us: model.latency.map(|latency| LatencyMicros {
                p50: micros(latency.p50),
                p99: micros(latency.p99),
                p999: micros(latency.p999),
                max: micros(latency.max),
            }),
            engine_ns: model
                .engine
                .as_ref()
                .map(EngineReport::of)
                .unwrap_or_default(),
            cpu_percent: CpuPercent {
                engine: model.cpu.engine.map(tenths),
                simulator: model.cpu.simulator.map(tenths),
            },
            slow_path: model.slow.as_ref().map(SlowReport::of),
        }
    }

    /// The object on one line.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
