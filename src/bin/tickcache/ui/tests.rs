//! Pictures on a buffer.

use std::time::Duration;

use ratatui::crossterm::event::KeyCode;
use ratatui::style::{Color, Modifier};

use super::draw::View;
use super::format::percent;
use super::*;

mod kit;

use kit::{model, picture, slow, terminal};

#[test]
fn eighty_by_twenty_four() {
    let picture = picture(&model(200), &mut View::new(true), 80, 24);
    let expected = r#"
  tickcache  demo  200 symbols on ws://127.0.0.1:40113/stre…  ● connected  1:23

 UPDATES/S    RECEIVED     APPLIED      REFUSED      RECONNECTS   BYTES/S
 49,812       4,123,456    4,120,001    0            2            8.3 MB

 LATENCY P50  P99          P99.9        MAX          CPU ENGINE   SIMULATOR
 31 µs        210 µs       1.2 ms       18 ms        21 %         12 %
 █████████████████████▓▓░  179 live   20 stale   1 empty   0 removed

 SYMBOL                BID          ASK      24H   UPD/S    AGE STATE
 BTCUSDT          61837.63     61837.64  +1.23 %     912  0.0 s ● live
 ETHUSDT          61837.63     61837.64  +1.23 %     456  0.1 s ● live
 SOLUSDT          61837.63     61837.64  +1.23 %     304  0.1 s ● live
 BNBUSDT          61837.63     61837.64  +1.23 %     228  0.2 s ◐ disconnected…
"#;
    let expected: Vec<_> = expected.lines().skip(1).collect();
    assert_eq!(
        picture[..expected.len()],
        expected,
        "\n{}",
        picture.join("\n")
    );
    let last = " q quit   ↑↓ scroll   PgUp PgDn page   Home End ends                1–13 of 200";
    assert_eq!(picture[23], last);
}

#[test]
fn what_the_engine_measures_has_a_line_of_its_own() {
    let mut model = model(20);
    let before = picture(&model, &mut View::new(true), 120, 24);
    // Nothing was measured: nothing is shown.
    model.engine = Some(tickcache::Latencies::default());
    assert_eq!(picture(&model, &mut View::new(true), 120, 24), before);
    assert_eq!(engine_summary(&model), None);
}

/// Columns line up: in no line does a value begin or end elsewhere than in the others.
#[test]
fn columns_line_up_at_every_width() {
    let model = model(12);
    for width in 40..=200 {
        let picture = picture(&model, &mut View::new(true), width, 24);
        let head = picture
            .iter()
            .position(|line| line.starts_with(" SYMBOL "))
            .expect("a head");
        let state = picture[head].find("STATE").expect("a state column");
        for line in &picture[head + 1..head + 13] {
            let sign = line.char_indices().find(|(_, c)| "●◐○".contains(*c));
            assert_eq!(sign.map(|(at, _)| at), Some(state), "{width}: {line}");
        }
        for title in ["BID", "ASK", "LAST", "24H", "VOLUME"] {
            let Some(at) = picture[head].find(title) else {
                continue;
            };
            let end = at + title.len();
            let line = &picture[head + 1];
            assert!(
                line.as_bytes()[end - 1] != b' ' && line.as_bytes()[end] == b' ',
                "{width}: {title}"
            );
        }
    }
}

#[test]
fn wide_terminals_show_more() {
    let narrow = picture(&model(20), &mut View::new(true), 80, 30).join("\n");
    let wide = picture(&model(20), &mut View::new(true), 140, 30).join("\n");
    for title in ["LAST", "VOLUME", "▁", "stale: disconnected, gap"] {
        assert!(!narrow.contains(title), "{title}");
        assert!(wide.contains(title), "{title}\n{wide}");
    }
    assert!(narrow.contains("24H") && wide.contains("24H"));
}

#[test]
fn low_and_narrow_terminals_show_what_fits() {
    let low = picture(&model(20), &mut View::new(true), 60, 10);
    assert!(
        low[1].starts_with(" upd/s 49,812   p50 31 µs   p99 210 µs"),
        "{}",
        low.join("\n")
    );
    assert!(low[3].starts_with(" BTCUSDT"), "{}", low.join("\n"));
    let small = picture(&model(20), &mut View::new(true), 30, 5);
    assert_eq!(small[0], "needs 40x6; q quits");
    for (width, height) in (1..60).flat_map(|width| (1..30).map(move |height| (width, height))) {
        picture(&model(3), &mut View::new(true), width, height);
    }
}

#[test]
fn keys_scroll_and_stop_at_both_ends() {
    let model = model(200);
    let mut view = View::new(true);
    let mut first = |key| {
        assert!(view.key(key), "{key:?}");
        let picture = picture(&model, &mut view, 80, 24);
        let place = picture[23]
            .rsplit("  ")
            .next()
            .map(str::trim)
            .map(str::to_owned);
        (
            picture[10].split_whitespace().next().map(str::to_owned),
            place,
        )
    };
    let mut check = |key, symbol: &str, place: &str| {
        assert_eq!(
            first(key),
            (Some(symbol.to_owned()), Some(place.to_owned())),
            "{key:?}"
        );
    };
    check(KeyCode::Up, "BTCUSDT", "1–13 of 200");
    check(KeyCode::Down, "ETHUSDT", "2–14 of 200");
    check(KeyCode::PageDown, "NEARUSDT", "15–27 of 200");
    check(KeyCode::End, "S0187USDT", "188–200 of 200");
    check(KeyCode::Down, "S0187USDT", "188–200 of 200");
    check(KeyCode::Up, "S0186USDT", "187–199 of 200");
    check(KeyCode::Home, "BTCUSDT", "1–13 of 200");
    assert!(!View::new(true).key(KeyCode::Char('x')));
}

#[test]
fn a_stale_value_does_not_look_live() {
    let terminal = terminal(&model(20), &mut View::new(true), 80, 24);
    let buffer = terminal.backend().buffer();
    let style = |line: u16, text: &str| {
        let row: Vec<_> = (0..80)
            .map(|x| buffer[(x, line)].symbol().to_owned())
            .collect();
        let at = (0..80)
            .find(|at| row[*at..].concat().starts_with(text))
            .expect(text);
        buffer[(at as u16, line)].style()
    };
    assert_eq!(style(10, "61837.63").fg, Some(Color::Green));
    assert_eq!(style(10, "●").fg, Some(Color::Green));
    assert_ne!(style(13, "61837.63").fg, Some(Color::Green));
    assert!(style(13, "61837.63").add_modifier.contains(Modifier::DIM));
    assert_eq!(style(13, "◐").fg, Some(Color::Yellow));
}

#[test]
fn one_stale_value_of_a_thousand_is_seen() {
    let mut model = model(1000);
    model
        .rows
        .iter_mut()
        .for_each(|row| row.state = State::Live);
    model.rows[500].state = State::Stale("gap".to_owned());
    model.rows[501].state = State::Empty;
    let picture = picture(&model, &mut View::new(true), 80, 24);
    assert!(
        picture[7].contains("█▓░  998 live   1 stale   1 empty"),
        "{}",
        picture[7]
    );
}

#[test]
fn without_colour_nothing_is_coloured_and_all_is_said() {
    let terminal = terminal(&model(20), &mut View::new(false), 80, 24);
    let cells = &terminal.backend().buffer().content;
    assert!(
        cells
            .iter()
            .all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset))
    );
}

#[test]
fn text_of_a_stranger_stays_in_its_place() {
    let mut model = model(3);
    model.rows[0].key = "a\x1b[2Jb\nc".to_owned();
    model.rows[1].key = "币安人生币安人生USDT".to_owned();
    model.rows[2].cells.clear();
    model.link =
        Link::Down("refused\r\nby \x07 the peer with a very long reason indeed".to_owned());
    let picture = picture(&model, &mut View::new(true), 80, 24);
    let text = picture.join("\n");
    assert!(text.contains("a·[2Jb·c"), "{text}");
    assert!(
        picture[0].contains("○ down: refused··by · the peer"),
        "{text}"
    );
    assert!(picture[0].ends_with("1:23"), "{text}");
    assert!(picture[11].contains('…'), "{text}");
}

#[test]
fn no_rows_and_no_numbers_draw_as_well() {
    let picture = picture(&Model::default(), &mut View::new(true), 80, 24);
    let text = picture.join("\n");
    assert!(
        text.contains("◌ connecting") && text.contains("0–0 of 0"),
        "{text}"
    );
    assert!(text.contains('–'), "{text}");
}

#[test]
fn a_summary_is_one_line_with_the_same_numbers() {
    assert_eq!(
        summary(&model(20)),
        "1:23 connected  49,812 updates/s  received 4,123,456  applied 4,120,001  refused 0  \
         reconnects 2  live 17/20  latency p50 31 µs p99 210 µs p99.9 1.2 ms  cpu engine 21 % \
         simulator 12 %"
    );
    assert!(summary(&Model::default()).starts_with("0:00 connecting  0 updates/s"));
}

#[test]
fn the_report_is_one_json_object() {
    let text = Report::of(&model(20), true).to_json().expect("JSON");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["received"], 4_123_456);
    assert_eq!(report["applied"], 4_120_001);
    assert_eq!(report["updates_per_second"], 49_638.6);
    assert_eq!(report["reconnects"], 2);
    assert_eq!(report["balanced"], true);
    assert_eq!(report["latency_us"]["p50"], 31.2);
    assert_eq!(report["latency_us"]["p99"], 210.0);
    assert_eq!(report["latency_us"]["p999"], 1240.0);
    assert_eq!(report["cpu_percent"]["engine"], 21.4);
    assert!(!text.contains('\n'));
}

#[test]
fn a_recorder_names_its_percentiles_truly() {
    let mut recorder = Recorder::new();
    assert_eq!(recorder.latency(), None);
    let mut other = Recorder::new();
    (1..=1000).for_each(|at| recorder.record(Duration::from_micros(at)));
    other.record(Duration::from_secs(1000));
    recorder.add(&other);
    let latency = recorder.latency().expect("recorded");
    let near = |a: Duration, micros: f64| (a.as_secs_f64() * 1e6 / micros - 1.0).abs() < 0.002;
    assert!(near(latency.p50, 501.0), "{latency:?}");
    assert!(near(latency.p99, 991.0), "{latency:?}");
    assert!(near(latency.p999, 1000.0), "{latency:?}");
    assert!(near(latency.max, 1e8), "{latency:?}");
    recorder.reset();
    assert_eq!(recorder.latency(), None);
}

#[test]
fn numbers_are_short_and_right() {
    let spans = [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.0 µs"),
        (9_949, "9.9 µs"),
        (31_499, "31 µs"),
        (999_499, "999 µs"),
        (999_500, "1.0 ms"),
        (12_345_678, "12 ms"),
        (3_400_000_000, "3.4 s"),
    ];
    for (nanos, text) in spans {
        assert_eq!(span(Duration::from_nanos(nanos)), text);
    }
    let ages = [
        (0, "0.0 s"),
        (9_940, "9.9 s"),
        (9_960, "10 s"),
        (99_400, "99 s"),
        (150_000, "2 min"),
        (7_200_000, "2 h"),
        (864_000_000, "10 d"),
    ];
    for (millis, text) in ages {
        assert_eq!(format::age(Duration::from_millis(millis)), text);
    }
    for (value, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
        (9_999_999_999, "9,999,999,999"),
        (12_345_678_901, "12.3 G"),
    ] {
        assert_eq!(count(value), text);
    }
    for (value, text) in [
        (0.0, "0"),
        (0.44, "0.4"),
        (9.94, "9.9"),
        (9.96, "10"),
        (49_812.2, "49,812"),
    ] {
        assert_eq!(format::rate(value), text);
    }
    for (text, places, plain) in [
        ("61685.99000000", 2, "61685.99"),
        ("61685.90000000", 2, "61685.90"),
        ("5.00000000", 0, "5"),
        ("0.00010000", 2, "0.0001"),
        ("100", 2, "100"),
        ("1.0e10", 2, "1.0e10"),
        ("", 2, ""),
    ] {
        assert_eq!(plain_decimal(text, places), plain);
    }
    assert_eq!(
        (percent(None), percent(Some(12.5))),
        ("–".to_owned(), "12 %".to_owned())
    );
    assert_eq!(format::bytes(8.31e6), "8.3 MB");
    assert_eq!(format::running(Duration::from_secs(3723)), "1:02:03");
}

#[test]
fn the_slow_path_has_a_panel_below_the_table() {
    let mut model = model(200);
    model.slow = Some(slow(4, 0));
    let shown = picture(&model, &mut View::new(true), 120, 40);
    let expected = r#"
 SLOW PATH   WRONG VALUES SHOWN: 0  of 12,345 looked at   online focused polling
 fetches 321 (failed 45, retried 40, by events 120, polls 17)  not shown: 22 old answers, 3 old patches
 served 321: late 200, old 90, refused 30, cut off 10, hanging 5
 QUERY              STATUS   FETCH     FRESHNESS                 AGE    OBS  TRIED FAILED VALUE
 [job, 1]           success  idle      ● live                  0.4 s      1  1,234      0 version 1, running
 [job, 2]           success  fetching  ◐ stale: invalidated    0.8 s      1  2,468      1 version 2, running
 [job, 3]           error    paused    ◐ disconnected+partial  1.2 s      1  3,702      2 version 3, running
 [job, 4]           pending  fetching  ○ empty                 1.6 s      1  4,936      3 version 4, running"#;
    let expected: Vec<_> = expected.lines().skip(1).collect();
    assert_eq!(shown[31..39], expected[..], "{}", shown.join("\n"));
    assert!(shown[39].contains("o go offline   f look away   p pause polls   Tab slow path"));
    assert!(
        shown[30].contains("live"),
        "the table is above: {}",
        shown.join("\n")
    );
}

#[test]
fn the_slow_path_alone_after_a_key() {
    let mut model = model(200);
    model.slow = Some(slow(30, 0));
    let mut view = View::new(true);
    assert!(view.key(KeyCode::Tab));
    let shown = picture(&model, &mut view, 100, 40);
    assert!(
        shown[10].contains("WRONG VALUES SHOWN: 0"),
        "{}",
        shown.join("\n")
    );
    assert!(shown[38].starts_with(" [job, 25]"), "{}", shown.join("\n"));
    assert!(view.key(KeyCode::Tab));
    let shown = picture(&model, &mut view, 100, 40);
    assert!(shown[10].contains("SYMBOL"), "{}", shown.join("\n"));
}

/// The verdict is on every terminal that has room for a line of it.
#[test]
fn low_terminals_keep_the_verdict() {
    let mut model = model(9);
    model.slow = Some(slow(4, 0));
    for (width, height) in [(40, 6), (40, 8), (80, 12), (60, 24), (300, 100)] {
        let shown = picture(&model, &mut View::new(true), width, height).join("\n");
        assert!(
            shown.contains("WRONG VALUES SHOWN: 0"),
            "{width}x{height}\n{shown}"
        );
    }
}

#[test]
fn a_wrong_value_is_red_and_named_in_the_line() {
    let mut model = model(3);
    model.slow = Some(slow(2, 7));
    let terminal = terminal(&model, &mut View::new(true), 140, 30);
    let cells = &terminal.backend().buffer().content;
    let red = cells.iter().filter(|cell| cell.fg == Color::Red).count();
    assert!(red > 10, "{red}");
    let line = slow_summary(&model).expect("a slow path");
    assert!(
        line.contains("wrong values shown: 7 of 12,345") && line.contains("[job, 2] went back"),
        "{line}"
    );
    assert!(!line.contains('\u{1b}'), "{line:?}");
    let report = Report::of(&model, true).to_json().expect("JSON");
    assert!(
        report.contains(r#""wrong_shown":7,"checked":12345"#),
        "{report}"
    );
    model.slow = None;
    assert_eq!(slow_summary(&model), None);
}
