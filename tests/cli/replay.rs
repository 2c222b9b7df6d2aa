//! Both ways through the engine against the reference reducer, which has nothing of the engine.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Dir, Ran, data, run};
use crate::reference::{Merge, Missing, Preset, Reference, differences, printed};

const WAYS: [&str; 2] = ["memory", "websocket"];

fn replay(files: &[&Path], options: &[&str]) -> Ran {
    let mut args: Vec<OsString> = vec!["replay".into()];
    args.extend(files.iter().map(|file| file.into()));
    args.extend(options.iter().map(Into::into));
    run(args).ok()
}

/// Replays through memory and through a WebSocket; both must print the same bytes, hold what the
/// reference holds, and account for every message as it does.
#[track_caller]
fn check(files: &[&Path], options: &[&str], reference: &Reference) -> [Ran; 2] {
    let runs = WAYS.map(|way| replay(files, &[options, &["--print", "--through", way]].concat()));
    assert_eq!(
        runs[0].out, runs[1].out,
        "memory and websocket print the same"
    );
    let counts = reference.counts();
    assert!(counts.balanced());
    for run in &runs {
        let found = printed(&run.out).expect("one object a line, in order");
        assert_eq!(differences(reference.values(), &found), [""; 0]);
        let ledger = [
            "messages",
            "data",
            "invalidation",
            "control",
            "unmapped",
            "refused",
        ];
        let expected = [
            counts.messages,
            counts.data,
            counts.invalidation,
            counts.control,
            counts.unmapped,
            counts.refused,
        ];
        assert_eq!(
            ledger.map(|word| run.counted("messages", word)),
            expected,
            "{}",
            run.err
        );
        let patches = |word| run.counted("patches", word);
        let found = [
            "patches",
            "missing",
            "older",
            "duplicate",
            "foreign",
            "forwarded",
            "held",
            "refused",
        ];
        let expected = [
            counts.patches,
            counts.missing,
            counts.older,
            counts.duplicate,
            0,
            0,
            0,
            0,
        ];
        assert_eq!(found.map(patches), expected, "{}", run.err);
        // What is unchanged but fresher than before counts as applied.
        let taken = patches("applied") + patches("unchanged");
        assert_eq!(taken, counts.applied + counts.unchanged, "{}", run.err);
    }
    runs
}

fn reference(preset: Preset, files: &[&Path]) -> Reference {
    let mut reference = Reference::new(preset);
    for file in files {
        let bytes = std::fs::read(file).expect("the file is there");
        let mut text = String::new();
        if file.extension().is_some_and(|extension| extension == "gz") {
            MultiGzDecoder::new(&*bytes)
                .read_to_string(&mut text)
                .expect("gzip and UTF-8");
        } else {
            text = String::from_utf8(bytes).expect("UTF-8");
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.for_each(|line| reference.message(line));
    }
    reference
}

fn events(merge: Merge, missing: Missing) -> Preset {
    Preset::Events {
        merge,
        missing,
        text_ids: false,
    }
}

#[test]
fn the_binance_sample() {
    let file = data("binance-spot-sample.jsonl");
    let reference = reference(Preset::BinanceSpot, &[&file]);
    check(&[&file], &["--preset", "binance-spot"], &reference);
}

#[test]
fn the_events_sample_in_every_mode() {
    let file = data("events-sample.jsonl");
    for (merge, merging) in [(Merge::Rfc7396, "rfc7396"), (Merge::Shallow, "shallow")] {
        for (missing, unknown) in [(Missing::Insert, "insert"), (Missing::Ignore, "ignore")] {
            let reference = reference(events(merge, missing), &[&file]);
            let options = [
                "--preset",
                "events",
                "--merge",
                merging,
                "--missing",
                unknown,
            ];
            check(&[&file], &options, &reference);
        }
    }
    // The defaults are those of the seed.
    let reference = reference(events(Merge::Rfc7396, Missing::Ignore), &[&file]);
    check(&[&file], &["--preset", "events"], &reference);
}

#[test]
fn several_files_go_on_with_the_same_state() {
    let dir = Dir::new("several");
    let text = std::fs::read_to_string(data("events-sample.jsonl")).expect("the sample");
    let lines: Vec<_> = text.lines().collect();
    let (first, second) = lines.split_at(lines.len() / 3);
    let first = dir.file("first.jsonl", first.join("\n").as_bytes());
    let second = dir.file("second.jsonl", second.join("\r\n").as_bytes());
    let whole = reference(
        events(Merge::Rfc7396, Missing::Insert),
        &[&data("events-sample.jsonl")],
    );
    check(
        &[&first, &second],
        &["--preset", "events", "--missing", "insert"],
        &whole,
    );
}

#[test]
fn recorded_times_change_nothing_but_the_pace() {
    let dir = Dir::new("recorded");
    let text = std::fs::read(data("binance-spot-sample.jsonl")).expect("the sample");
    let file = dir.file("a.jsonl", &text);
    let millis = (0..text.split(|byte| *byte == b'\n').count()).map(|at| at as u64 * 2);
    let times: String = millis
        .map(|at| format!("{}\t0\n", 1_700_000_000_000_000_000 + at * 1_000_000))
        .collect();
    dir.file("a.recv.tsv", times.as_bytes());
    let reference = reference(Preset::BinanceSpot, &[&file]);
    check(
        &[&file],
        &["--preset", "binance-spot", "--speed", "recorded"],
        &reference,
    );
}

#[test]
fn unreadable_lines_are_counted_and_told_by_number() {
    let dir = Dir::new("unreadable");
    let event = |id: u8| format!(r#"{{"entity":"e","id":{id},"payload":{{"v":{id}}}}}"#);
    let mut bytes = [event(1).as_bytes(), b"\n\n\xFF\xFE\n", event(2).as_bytes()].concat();
    bytes.extend_from_slice(b"\n{\"entity\":\nnot json\n");
    let file = dir.file("a.jsonl", &bytes);
    for way in WAYS {
        let options = [
            "--preset",
            "events",
            "--missing",
            "insert",
            "--print",
            "--through",
            way,
        ];
        let run = replay(&[&file], &options);
        assert_eq!(run.out.lines().count(), 2, "{}", run.out);
        for (line, why) in [
            (2, "blank"),
            (3, "not UTF-8 from byte 1 on"),
            (5, "refused: not a JSON text"),
            (6, "refused: not a JSON text"),
        ] {
            let told = format!("{}:{line}: {why}", file.display());
            assert!(
                run.err.lines().any(|line| line == told),
                "{told}\nin {}",
                run.err
            );
        }
        assert!(run.err.contains("unreadable lines 2"), "{}", run.err);
        assert_eq!(run.counted("messages", "refused"), 2);
    }
}

/// Without `--print` standard output stays empty; a reader that leaves early is no failure.
#[test]
fn standard_output_is_for_the_state_alone() {
    let file = data("binance-spot-sample.jsonl");
    let run = replay(&[&file], &["--preset", "binance-spot"]);
    assert_eq!(run.out, "");
    assert!(run.err.contains("messages/s"), "{}", run.err);
}

/// The folder of recordings, if there is one.
fn captures() -> Option<PathBuf> {
    let folder = std::env::var_os("TICKCACHE_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

#[test]
fn the_binance_spot_capture() {
    let name = "binance-spot-btcusdt-20240808.jsonl.gz";
    let Some(file) = captures()
        .map(|folder| folder.join(name))
        .filter(|file| file.is_file())
    else {
        eprintln!("skipped: set TICKCACHE_CAPTURES to a folder that has {name}");
        return;
    };
    let reference = reference(Preset::BinanceSpot, &[&file]);
    let runs = check(&[&file], &["--preset", "binance-spot"], &reference);
    for run in runs {
        assert_eq!(run.counted("messages", "messages"), 10_000);
        assert_eq!(run.counted("messages", "refused"), 0);
    }
}
