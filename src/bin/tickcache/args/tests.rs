//! Command lines and what becomes of them.

use std::num::NonZeroU64;

use super::*;

fn line(text: &str) -> Result<Command, Halt> {
    parse(std::iter::once("tickcache").chain(text.split_whitespace()))
}

fn command(text: &str) -> Command {
    line(text).unwrap_or_else(|halt| panic!("{text}: {halt:?}"))
}

fn wrong(text: &str) -> String {
    match line(text) {
        Err(Halt::Usage(usage)) => usage.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_definition_holds_together() {
    use clap::CommandFactory;
    CommandLine::command().debug_assert();
}

#[test]
fn no_command_is_the_demo() {
    assert_eq!(command(""), command("demo"));
    let Command::Demo(demo) = command("") else {
        panic!("the demo")
    };
    assert_eq!(demo.symbols, 200);
    assert_eq!(
        demo.rate,
        Rate::PerSecond(NonZeroU64::new(50_000).expect("not zero"))
    );
    assert_eq!((demo.seconds, demo.json), (None, false));
}

#[test]
fn demo_takes_its_options() {
    let Command::Demo(demo) = command("demo --symbols 7 --rate max --seconds 2.5 --json") else {
        panic!("the demo")
    };
    assert_eq!((demo.symbols, demo.rate, demo.json), (7, Rate::Max, true));
    assert_eq!(demo.seconds, Some(Duration::from_millis(2500)));
    let Command::Demo(demo) = command("demo --rate 1_500_000") else {
        panic!("the demo")
    };
    assert_eq!(
        demo.rate,
        Rate::PerSecond(NonZeroU64::new(1_500_000).expect("not zero"))
    );
}

#[test]
fn the_mode_of_the_demo_is_that_of_a_feed() {
    let mode = |text: &str| match command(text) {
        Command::Demo(demo) => demo.mode.waiting(),
        other => panic!("{other:?}"),
    };
    assert_eq!(mode("demo"), tickcache::Waiting::default());
    assert_eq!(mode("demo --mode spin"), tickcache::Waiting::SPIN_THEN_PARK);
    assert_eq!(mode("demo --mode busy"), tickcache::Waiting::BusyPoll);
}

#[test]
fn bench_takes_its_options() {
    let bench = |text: &str| match command(text) {
        Command::Bench(bench) => bench,
        other => panic!("{other:?}"),
    };
    let usual = bench("bench");
    assert_eq!(usual.modes, [Mode::Block, Mode::Spin, Mode::Busy]);
    assert_eq!((usual.ids, usual.json), (100, false));
    assert_eq!(usual.seconds, Duration::from_secs(5));
    let one_of_each = [(Wait::Spin, 1), (Wait::Block, 1), (Wait::Task, 1)];
    assert_eq!(usual.readers, one_of_each);
    let text = "bench --mode busy --ids 7 --rate max --seconds 0.5 --readers spin=2,task=0 --json";
    let other = bench(text);
    assert_eq!((other.modes, other.ids), (vec![Mode::Busy], 7));
    assert_eq!((other.rate, other.json), (Rate::Max, true));
    assert_eq!(other.readers, [(Wait::Spin, 2), (Wait::Task, 0)]);
    assert_eq!(bench("bench --readers block").readers, [(Wait::Block, 1)]);
    for (text, word) in [
        ("bench --ids 0", "1 to 1000"),
        ("bench --ids 1001", "1 to 1000"),
        ("bench --mode sleep", "busy"),
        ("bench --readers nap=1", "spin=1"),
        ("bench --readers spin=x", "spin=1"),
        ("bench --readers spin=1000", "256"),
        ("bench --seconds 0", "above 0"),
        ("bench --rate 0", "max"),
    ] {
        let told = wrong(text);
        assert!(
            told.contains(word) && told.contains("bench --help"),
            "{told}"
        );
    }
}

#[test]
fn replay_takes_its_options() {
    let text = "replay a.jsonl b.jsonl.gz --preset events --through websocket --speed recorded \
                --merge shallow --missing insert --print";
    let Command::Replay(replay) = command(text) else {
        panic!("a replay")
    };
    let files = ["a.jsonl", "b.jsonl.gz"].map(PathBuf::from).to_vec();
    assert_eq!(replay.files, files);
    assert_eq!(
        (replay.format.preset, replay.through),
        (Some(Preset::Events), Through::Websocket)
    );
    assert_eq!((replay.speed, replay.print), (Speed::Recorded, true));
    assert_eq!(
        (replay.format.merge, replay.format.missing),
        (Some(Merge::Shallow), Some(Missing::Insert))
    );
    let Command::Replay(replay) = command("replay a --preset binance-spot") else {
        panic!("a replay")
    };
    assert_eq!(
        (replay.format.preset, replay.through),
        (Some(Preset::BinanceSpot), Through::Memory)
    );
    assert_eq!(
        (replay.speed, replay.format.merge, replay.format.missing),
        (Speed::Max, None, None)
    );
    assert!(matches!(
        command("replay a --preset events --merge rfc7396"),
        Command::Replay(_)
    ));
    assert!(matches!(
        command("replay a --preset events --missing ignore"),
        Command::Replay(_)
    ));
}

#[test]
fn watch_takes_its_options() {
    let text = "watch wss://host:9443/ws --preset binance-spot --subscribe one --subscribe two \
                --idle 3 --for 10 --ca roots.pem --print";
    let Command::Watch(watch) = command(text) else {
        panic!("a watch")
    };
    assert_eq!(watch.url.as_deref(), Some("wss://host:9443/ws"));
    assert_eq!(watch.live.subscribe, ["one", "two"]);
    assert_eq!(watch.idle, Some(Duration::from_secs(3)));
    assert_eq!(watch.length, Some(Duration::from_secs(10)));
    assert_eq!(
        (watch.live.ca, watch.print),
        (Some(PathBuf::from("roots.pem")), true)
    );
    assert_eq!((watch.format.merge, watch.format.missing), (None, None));
    let text = "watch ws://host --preset events --merge shallow --missing insert";
    let Command::Watch(watch) = command(text) else {
        panic!("a watch")
    };
    assert_eq!(
        (watch.format.merge, watch.format.missing),
        (Some(Merge::Shallow), Some(Missing::Insert))
    );
}

#[test]
fn watch_goes_where_the_preset_says_and_asks_for_streams() {
    let text = "watch --preset kraken-v2 --stream ticker:AAA/USD,BBB/USD --stream status \
                --header Origin:x --redundant";
    let Command::Watch(watch) = command(text) else {
        panic!("a watch")
    };
    assert_eq!((watch.url, watch.redundant), (None, true));
    assert_eq!(watch.format.preset, Some(Preset::KrakenV2));
    let stream = |channel: &str, ids: &[&str]| Stream {
        channel: channel.to_owned(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let streams = [
        stream("ticker", &["AAA/USD", "BBB/USD"]),
        stream("status", &[]),
    ];
    assert_eq!(watch.live.streams, streams);
    assert_eq!(watch.live.headers, [("Origin".to_owned(), "x".to_owned())]);
}

#[test]
fn record_takes_its_options() {
    let text = "record wss://one wss://two --out d/a.jsonl.gz --envelope venue.toml --for 2 \
                --messages 1_000 --force --subscribe s --ca roots.pem";
    let Command::Record(record) = command(text) else {
        panic!("a recording")
    };
    assert_eq!(record.urls, ["wss://one", "wss://two"]);
    assert_eq!(record.out, PathBuf::from("d/a.jsonl.gz"));
    assert_eq!(record.format.envelope, Some(PathBuf::from("venue.toml")));
    assert_eq!(
        (record.length, record.messages),
        (Some(Duration::from_secs(2)), Some(1000))
    );
    assert_eq!(
        (record.force, record.live.subscribe),
        (true, vec!["s".to_owned()])
    );
    let Command::Record(record) =
        command("record --out a.jsonl.gz --preset okx --stream tickers:A")
    else {
        panic!("a recording")
    };
    assert_eq!(
        (record.urls.len(), record.format.preset),
        (0, Some(Preset::Okx))
    );
}

#[test]
fn help_and_version_are_no_errors() {
    for text in ["--help", "--version", "help", "demo --help", "replay -h"] {
        assert!(matches!(line(text), Err(Halt::Told(_))), "{text}");
    }
}

/// Each answer is one line, names what is wrong and says where to look.
#[test]
fn a_wrong_line_is_answered_in_one_line() {
    for (text, expected) in [
        ("dmo", "`tickcache --help`"),
        ("demo --symbls 3", "did you mean --symbols?"),
        (
            "demo --symbols 0",
            "whole number from 1 to 100000 (see `tickcache ",
        ),
        (
            "demo --rate 0",
            "messages a second from 1 to 100000000, or `max` (see `tickcache ",
        ),
        ("demo --rate fast", "or `max`"),
        ("demo --seconds 0", "a number of seconds above 0"),
        ("demo --seconds nan", "a number of seconds above 0"),
        ("demo --seconds -1", "--"),
        ("demo extra", "extra"),
        (
            "replay",
            "not provided: <FILE>... (see `tickcache replay --help`)",
        ),
        (
            "replay f --preset events --envelope e.toml",
            "cannot be used with",
        ),
        (
            "replay f --preset events --connection one",
            "invalid value 'one'",
        ),
        (
            "replay f --envelope e.toml --missing insert",
            "--missing is for `--preset events` only",
        ),
        ("watch --preset events", "say where to connect"),
        ("watch --preset okx", "say what to subscribe to"),
        (
            "watch ws://host --preset events --stream a:b",
            "--stream needs a preset of an exchange",
        ),
        (
            "watch --preset okx --stream tickers:A,,B",
            "give a channel and its ids",
        ),
        ("replay f", "--preset PRESET or --envelope FILE"),
        (
            "replay f --preset kraken",
            "possible values: events, binance-spot",
        ),
        (
            "replay f --preset events --speed slow",
            "possible values: max, recorded",
        ),
        (
            "replay f --preset events --through air",
            "possible values: memory, websocket",
        ),
        (
            "replay f --preset events --merge deep",
            "possible values: rfc7396, shallow",
        ),
        (
            "replay f --preset binance-spot --merge shallow",
            "--merge is for `--preset events` only",
        ),
        (
            "replay f --preset binance-spot --missing insert",
            "--missing is for `--preset events`",
        ),
        (
            "watch http://host --preset events",
            "begins with ws:// or wss://",
        ),
        (
            "watch ws:///x --preset events",
            "begins with ws:// or wss://",
        ),
        (
            "watch ws://host --preset events --ca f",
            "--ca needs an address that begins with wss://",
        ),
        (
            "watch ws://host --preset binance-spot --missing insert",
            "--missing is for `--preset events` only",
        ),
        ("watch ws://host", "--preset PRESET or --envelope FILE"),
    ] {
        let answer = wrong(text);
        assert!(answer.contains(expected), "{text}\n  {answer}");
        assert!(answer.contains("(see `tickcache "), "{text}\n  {answer}");
        assert!(
            !answer.contains('\n') && !answer.starts_with("error"),
            "{text}\n  {answer}"
        );
    }
}
