//! What a bench has found, as lines and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tickcache::Latencies;
use tickcache::feed::CounterValues;

use super::readers::Seen;
use crate::args::{BenchArgs, Mode};
use crate::simulator::Rate;
use crate::ui::{Percentiles, count, span};

/// The whole bench, for `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ids: usize,
    /// `null`: as many as the socket takes.
    rate: Option<u64>,
    cores: usize,
    pub(super) runs: Vec<Run>,
}

impl Report {
    pub(super) fn of(args: &BenchArgs) -> Self {
        Self {
            ids: args.ids,
            rate: match args.rate {
                Rate::Max => None,
                Rate::PerSecond(rate) => Some(rate.get()),
            },
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            runs: Vec::new(),
        }
    }
}

/// One mode.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    mode: &'static str,
    seconds: f64,
    messages: u64,
    messages_per_second: f64,
    /// CPU time of the feed's thread; `null` where the system does not tell.
    feed_cpu_seconds: Option<f64>,
    messages_per_core_second: Option<f64>,
    /// Messages that were sent and did not arrive.
    dropped: u64,
    gaps: u64,
    refused: u64,
    reconnects: u64,
    /// Whether every message and every patch is accounted for.
    balanced: bool,
    latency_ns: Figures,
}

/// `null`: nothing was measured.
#[derive(Debug, Serialize)]
struct Figures {
    write_to_seen: ByWait,
    read_to_first_visible: Option<Percentiles>,
    read_to_last_visible: Option<Percentiles>,
    publish_to_awake: ByWait,
}

#[derive(Debug, Serialize)]
struct ByWait {
    spinning: Option<Percentiles>,
    blocking: Option<Percentiles>,
    asynchronous: Option<Percentiles>,
}

impl Run {
    pub(super) fn new(
        mode: Mode,
        time: Duration,
        messages: u64,
        cpu: Option<Duration>,
        (dropped, end): (u64, &CounterValues),
        own: &Latencies,
        seen: Seen,
    ) -> Self {
        let seconds = time.as_secs_f64();
        let per = |seconds: f64| messages as f64 / seconds.max(f64::MIN_POSITIVE);
        let cpu = cpu.map(|cpu| cpu.as_secs_f64()).filter(|cpu| *cpu > 0.0);
        Self {
            mode: mode.name(),
            seconds,
            messages,
            messages_per_second: per(seconds).round(),
            feed_cpu_seconds: cpu,
            messages_per_core_second: cpu.map(|cpu| per(cpu).round()),
            dropped,
            gaps: end.gaps,
            refused: end.refused + end.patches_refused,
            reconnects: end.reconnects,
            balanced: end.balanced(),
            latency_ns: Figures {
                write_to_seen: ByWait {
                    spinning: Percentiles::seen(&seen.spinning),
                    blocking: Percentiles::seen(&seen.blocking),
                    asynchronous: Percentiles::seen(&seen.asynchronous),
                },
                read_to_first_visible: Percentiles::of(&own.first_visible),
                read_to_last_visible: Percentiles::of(&own.last_visible),
                publish_to_awake: ByWait {
                    spinning: Percentiles::of(&own.spinning),
                    blocking: Percentiles::of(&own.blocking),
                    asynchronous: Percentiles::of(&own.asynchronous),
                },
            },
        }
    }

    /// What must not be, if it was.
    pub(super) fn problem(&self) -> Option<String> {
        let counts = [
            ("messages were dropped", self.dropped),
            ("gaps were found", self.gaps),
            ("messages were refused", self.refused),
            ("connections were lost", self.reconnects),
            ("ledgers do not balance", u64::from(!self.balanced)),
        ];
        let (what, count) = counts.into_iter().find(|(_, count)| *count > 0)?;
        Some(format!(
            "mode {}: {count} {what}: this is a bug, please report it",
            self.mode
        ))
    }

    fn figures(&self) -> [(&'static str, Option<Percentiles>); 8] {
        let latency = &self.latency_ns;
        let (seen, awake) = (&latency.write_to_seen, &latency.publish_to_awake);
        [
            ("write -> seen, spinning", seen.spinning),
            ("write -> seen, blocking", seen.blocking),
            ("write -> seen, task", seen.asynchronous),
            ("read -> first visible", latency.read_to_first_visible),
            ("read -> last visible", latency.read_to_last_visible),
            ("publish -> awake, spinning", awake.spinning),
            ("publish -> awake, blocking", awake.blocking),
            ("publish -> awake, task", awake.asynchronous),
        ]
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<5}  {} messages in {:.1} s, {}/s",
            self.mode,
            count(self.messages),
            self.seconds,
            count(self.messages_per_second as u64),
        )?;
        if let Some(rate) = self.messages_per_core_second {
            write!(f, ", {} per core-second of the feed", count(rate as u64))?;
        }
        writeln!(f, "; dropped {}, gaps {}", self.dropped, self.gaps)?;
        write!(f, "  {:<28}{:>10}", "", "samples")?;
        for title in ["p50", "p90", "p99", "p99.9", "max"] {
            write!(f, "{title:>10}")?;
        }
        for (name, figures) in self.figures() {
            let Some(it) = figures else { continue };
            write!(f, "\n  {name:<28}{:>10}", count(it.samples))?;
            for nanos in [it.p50, it.p90, it.p99, it.p999, it.max] {
                write!(f, "{:>10}", span(Duration::from_nanos(nanos)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Recorder;

    fn run(change: impl FnOnce(&mut CounterValues), dropped: u64) -> Run {
        let mut end = CounterValues::default();
        (end.messages, end.data) = (10, 10);
        change(&mut end);
        let mut spinning = Recorder::new();
        spinning.record(Duration::from_micros(7));
        let seen = Seen {
            spinning,
            blocking: Recorder::new(),
            asynchronous: Recorder::new(),
        };
        let (time, cpu) = (Duration::from_secs(2), Some(Duration::from_millis(5)));
        let own = Latencies::default();
        Run::new(Mode::Busy, time, 10_000, cpu, (dropped, &end), &own, seen)
    }

    #[test]
    fn lines_have_what_was_measured_and_nothing_else() {
        let text = run(|_| {}, 0).to_string();
        let expected = "\
busy   10,000 messages in 2.0 s, 5,000/s, 2,000,000 per core-second of the feed; dropped 0, gaps 0
                                 samples       p50       p90       p99     p99.9       max
  write -> seen, spinning              1    7.0 µs    7.0 µs    7.0 µs    7.0 µs    7.0 µs";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn whatever_was_lost_is_told() {
        assert_eq!(run(|_| {}, 0).problem(), None);
        let told = |run: Run| run.problem().expect("a problem");
        assert!(told(run(|_| {}, 3)).contains("busy: 3 messages were dropped"));
        assert!(told(run(|end| end.gaps = 1, 0)).contains("1 gaps"));
        assert!(told(run(|end| end.reconnects = 1, 0)).contains("lost"));
        assert!(told(run(|end| end.messages = 11, 0)).contains("balance"));
    }
}
