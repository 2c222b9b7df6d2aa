//! The counters, handed to whatever recorder the `metrics` facade has.

use super::handle::Cache;

/// Counters that go up and down.
const GAUGES: [&str; 1] = ["queue_depth"];

/// What is told of a latency, as labels and as parts of all.
const QUANTILES: [(&str, f64); 5] = [
    ("0.5", 0.5),
    ("0.9", 0.9),
    ("0.99", 0.99),
    ("0.999", 0.999),
    ("1", 1.0),
];

impl Cache {
    /// Hands the counters of every feed to the recorder of the `metrics` facade: each as
    /// `tickcache_<name>_total`, and those that go up and down as gauges `tickcache_<name>`, with the
    /// label `feed`; refused messages also by `reason`, unmapped ones by `channel`.
    ///
    /// Latencies ([`Cache::latencies`]) are summaries: gauges `tickcache_latency_nanoseconds` with the
    /// labels `feed`, `of` (`first_visible`, `last_visible`, `spinning`, `blocking`, `asynchronous`)
    /// and `quantile` (`0.5`, `0.9`, `0.99`, `0.999`, and `1` for the longest), over all the time that
    /// the feed has run, and the number of samples as `tickcache_latency_samples_total`.
    ///
    /// Call it before each scrape, or every few seconds: the hot path knows nothing of recorders.
    /// Allocates.
    pub fn record_metrics(&self) {
        self.record_counters();
        self.record_latencies();
    }

    fn record_latencies(&self) {
        for (feed, latencies) in self.latencies() {
            for (of, latency) in latencies.iter() {
                let labels = [("feed", feed.clone()), ("of", of.to_owned())];
                metrics::counter!("tickcache_latency_samples_total", &labels)
                    .absolute(latency.count());
                for (name, part) in QUANTILES {
                    let Some(duration) = latency.quantile(part) else {
                        continue;
                    };
                    let [feed, of] = labels.clone();
                    let labels = [feed, of, ("quantile", name.to_owned())];
                    metrics::gauge!("tickcache_latency_nanoseconds", &labels)
                        .set(duration.as_nanos() as f64);
                }
            }
        }
    }

    fn record_counters(&self) {
        for (feed, values) in self.counters() {
            for (name, value) in values.iter() {
                let label = [metrics::Label::new("feed", feed.clone())];
                if GAUGES.contains(&name) {
                    // Beyond 2^53 a gauge is not exact; no queue is so long.
                    metrics::gauge!(format!("tickcache_{name}"), label.iter()).set(value as f64);
                } else {
                    let counter =
                        metrics::counter!(format!("tickcache_{name}_total"), label.iter());
                    counter.absolute(value);
                }
            }
            for (reason, count) in &values.refused_by {
                let labels = [("feed", feed.clone()), ("reason", reason.to_string())];
                metrics::counter!("tickcache_refused_by_total", &labels).absolute(*count);
            }
            for (channel, count) in &values.unmapped_by {
                let labels = [("feed", feed.clone()), ("channel", channel.to_string())];
                metrics::counter!("tickcache_unmapped_by_total", &labels).absolute(*count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder,
        SharedString, Unit,
    };

    use crate::{Cache, Feed};

    type Seen = Arc<Mutex<BTreeMap<String, f64>>>;

    struct Cell(String, Seen);

    impl Cell {
        fn put(&self, value: f64) {
            self.1
                .lock()
                .expect("not poisoned")
                .insert(self.0.clone(), value);
        }
    }

    impl CounterFn for Cell {
        fn increment(&self, _: u64) {
            panic!("totals are absolute");
        }
        fn absolute(&self, value: u64) {
            self.put(value as f64);
        }
    }

    impl GaugeFn for Cell {
        fn increment(&self, _: f64) {
            panic!("gauges are set");
        }
        fn decrement(&self, _: f64) {
            panic!("gauges are set");
        }
        fn set(&self, value: f64) {
            self.put(value);
        }
    }

    struct Recording(Seen);

    impl Recording {
        fn cell(&self, key: &Key) -> Arc<Cell> {
            let labels: Vec<_> = key
                .labels()
                .map(|l| format!("{}={}", l.key(), l.value()))
                .collect();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            Arc::new(Cell(name, Arc::clone(&self.0)))
        }
    }

    impl Recorder for Recording {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.cell(key))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.cell(key))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_counter_of_every_feed_is_recorded() {
        let cache = Cache::builder().build().expect("a cache");
        let mut feed = cache.local(Feed::events().whole()).expect("a feed");
        feed.open();
        feed.message_text(r#"{"entity":"e","id":1,"payload":{"a":1}}"#)
            .expect("taken");
        feed.message_text("nonsense").expect_err("refused");
        let counters = cache.shared().owners().counters_of("events");
        let latency = std::time::Duration::from_nanos(40);
        let counters = counters.expect("the feed is known");
        counters.measure().last_visible.add(latency);
        let seen = Seen::default();
        metrics::with_local_recorder(&Recording(Arc::clone(&seen)), || cache.record_metrics());
        let seen = seen.lock().expect("not poisoned");
        assert_eq!(seen["tickcache_messages_total{feed=events}"], 2.0);
        assert_eq!(seen["tickcache_applied_total{feed=events}"], 1.0);
        assert_eq!(seen["tickcache_queue_depth{feed=events}"], 0.0);
        let samples = |of| format!("tickcache_latency_samples_total{{feed=events,of={of}}}");
        assert_eq!(seen[&samples("last_visible")], 1.0);
        assert_eq!(seen[&samples("spinning")], 0.0);
        for quantile in ["0.5", "0.9", "0.99", "0.999", "1"] {
            let labels = format!("feed=events,of=last_visible,quantile={quantile}");
            assert_eq!(
                seen[&format!("tickcache_latency_nanoseconds{{{labels}}}")],
                40.0
            );
        }
        // What was not measured has no quantiles.
        let measured = seen
            .keys()
            .filter(|name| name.contains("latency_nanoseconds"));
        assert_eq!(measured.count(), 5);
        let refused = "tickcache_refused_by_total{feed=events,reason=not a JSON text}";
        assert_eq!(seen[refused], 1.0);
    }
}
