//! Models to be drawn, and terminals to draw them in.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::ui::draw::{View, draw};
use crate::ui::*;

pub(super) fn column(title: &str, width: u16, rank: u8) -> Column {
    Column {
        title: title.to_owned(),
        width,
        align: Align::Right,
        rank,
    }
}

pub(super) fn cell(text: &str, tone: Tone) -> Cell {
    Cell {
        text: text.to_owned(),
        tone,
    }
}

/// A demo with that many symbols: every tenth is stale, the last one is empty.
pub(super) fn model(symbols: usize) -> Model {
    let names = crate::simulator::symbol_names(symbols)
        .take(symbols)
        .enumerate();
    let rows = names.map(|(at, key)| Row {
        key,
        cells: vec![
            cell("61837.63", Tone::Up),
            cell("61837.64", Tone::Down),
            cell("61837.63", Tone::Plain),
            cell("+1.23 %", Tone::Up),
            cell("1,234,567,890", Tone::Plain),
        ],
        state: match at {
            _ if at + 1 == symbols => State::Empty,
            _ if at % 10 == 3 => State::Stale("disconnected, gap".to_owned()),
            _ => State::Live,
        },
        age: Some(Duration::from_millis(70 * at as u64)),
        updates_per_second: 912.4 / (at + 1) as f64,
    });
    Model {
        title: "demo".to_owned(),
        source: format!("{symbols} symbols on ws://127.0.0.1:40113/stream"),
        elapsed: Duration::from_secs(83),
        link: Link::Connected,
        totals: Totals {
            received: 4_123_456,
            applied: 4_120_001,
            reconnects: 2,
            updates_per_second: 49_812.2,
            bytes_per_second: 8.31e6,
            ..Totals::default()
        },
        latency: Some(Latency {
            p50: Duration::from_nanos(31_200),
            p99: Duration::from_micros(210),
            p999: Duration::from_micros(1240),
            max: Duration::from_millis(18),
        }),
        cpu: Cpu {
            engine: Some(21.4),
            simulator: Some(11.6),
        },
        history: (0..60).map(|at| 40_000 + at * at % 17 * 1000).collect(),
        key: Column {
            title: "SYMBOL".to_owned(),
            width: 12,
            ..Column::default()
        },
        columns: vec![
            column("BID", 12, 0),
            column("ASK", 12, 0),
            column("LAST", 12, 2),
            column("24H", 8, 1),
            column("VOLUME", 14, 3),
        ],
        rows: rows.collect(),
        engine: None,
        slow: None,
    }
}

/// The slow path of a demo, with that many queries and wrong values.
pub(super) fn slow(queries: u64, wrong: u64) -> Slow {
    let states = [
        (State::Live, "success", "idle"),
        (
            State::Stale("invalidated".to_owned()),
            "success",
            "fetching",
        ),
        (
            State::Stale("disconnected+partial".to_owned()),
            "error",
            "paused",
        ),
        (State::Empty, "pending", "fetching"),
    ];
    let queries = (1..=queries).map(|id| {
        let (state, status, fetch) = states[(id - 1) as usize % states.len()].clone();
        Query {
            key: format!("[job, {id}]"),
            status,
            fetch,
            state,
            age: Some(Duration::from_millis(400 * id)),
            observers: 1,
            fetches: 1234 * id,
            failed: id - 1,
            value: format!("version {id}, running"),
        }
    });
    Slow {
        online: true,
        focused: true,
        polling: wrong == 0,
        fetches: Fetches {
            started: 321,
            failed: 45,
            retried: 40,
            by_events: 120,
            polls: 17,
            older: 22,
            overtaken: 3,
        },
        served: Served {
            answers: 321,
            late: 200,
            old: 90,
            errors: 30,
            broken: 10,
            hung: 5,
        },
        checked: Checked {
            values: 12_345,
            wrong,
            first: (wrong > 0).then(|| "[job, 2] went back\u{1b}".to_owned()),
        },
        queries: queries.collect(),
    }
}

pub(super) fn terminal(
    model: &Model,
    view: &mut View,
    width: u16,
    height: u16,
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
    terminal
        .draw(|frame| draw(frame, model, view))
        .expect("in memory");
    terminal
}

pub(super) fn picture(model: &Model, view: &mut View, width: u16, height: u16) -> Vec<String> {
    let terminal = terminal(model, view, width, height);
    let buffer = terminal.backend().buffer();
    let cells: Vec<_> = buffer
        .content
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect();
    cells
        .chunks(width.into())
        .map(|line| line.concat().trim_end().to_owned())
        .collect()
}
