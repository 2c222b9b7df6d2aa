//! The bench, short.

use super::run;

fn report(args: &str) -> serde_json::Value {
    let run = run(args.split_whitespace()).ok();
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    serde_json::from_str(&run.out).expect("one JSON object")
}

#[track_caller]
fn check_percentiles(figures: &serde_json::Value, report: &serde_json::Value) {
    let at = ["p50", "p90", "p99", "p999", "max"].map(|name| figures[name].as_u64());
    let at = at.map(|nanos| nanos.unwrap_or_else(|| panic!("{figures} in {report}")));
    assert!(at.is_sorted(), "{figures}");
    assert!(figures["samples"].as_u64() > Some(0), "{figures}");
}

/// Every mode, every way of waiting; nothing is lost, and every histogram has samples.
#[test]
fn every_mode_is_measured_and_loses_nothing() {
    let args = "bench --ids 2 --rate 2000 --seconds 2 --readers block=1,task=1 --json";
    let report = report(args);
    let runs = report["runs"].as_array().expect("runs");
    let modes: Vec<_> = runs.iter().map(|run| run["mode"].as_str()).collect();
    assert_eq!(modes, [Some("block"), Some("spin"), Some("busy")]);
    for run in runs {
        for count in ["dropped", "gaps", "refused", "reconnects"] {
            assert_eq!(run[count], 0, "{count}: {run}");
        }
        assert_eq!(run["balanced"], true, "{run}");
        assert!(run["messages"].as_u64() > Some(0), "{run}");
        #[cfg(target_os = "linux")]
        assert!(
            run["messages_per_core_second"].as_f64() > Some(0.0),
            "{run}"
        );
        let latency = &run["latency_ns"];
        let of = [
            &latency["write_to_seen"]["blocking"],
            &latency["write_to_seen"]["asynchronous"],
            &latency["read_to_first_visible"],
            &latency["read_to_last_visible"],
            &latency["publish_to_awake"]["blocking"],
            &latency["publish_to_awake"]["asynchronous"],
        ];
        of.iter()
            .for_each(|figures| check_percentiles(figures, run));
        // Nobody spins.
        assert!(latency["publish_to_awake"]["spinning"].is_null(), "{run}");
    }
}

/// As much as the socket takes, with a reader that spins; and the table is for people.
#[test]
fn flat_out_nothing_is_lost_either() {
    let args = "bench --mode block --ids 50 --rate max --seconds 1 --readers spin=1";
    let run = run(args.split_whitespace()).ok();
    for words in [
        "50 ids",
        "dropped 0, gaps 0",
        "write -> seen, spinning",
        "read -> last visible",
        "p99.9",
    ] {
        assert!(run.out.contains(words), "no {words:?} in {}", run.out);
    }
    assert!(!run.out.contains("blocking  "), "{}", run.out);
}
