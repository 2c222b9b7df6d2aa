//! The panel of the slow path: a counter that has to stay at zero, what was done, and the queries.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::draw::{BOLD, DIM};
use super::format::{age, count, padded, shortened, stale};
use super::model::{Align, Query, Slow, State};
use super::report::{done, served};

/// The lines above the queries: what is checked, what was done, what the server did, the titles.
const HEAD: u16 = 4;

/// Below this height the table of values keeps what there is.
const LOW: u16 = 12;

/// The columns, with their widths; the value has what is left of the line.
const KEY: u16 = 18;
const STATUS: u16 = 8;
const FETCH: u16 = 9;
const FRESHNESS: u16 = 22;
const NUMBER: u16 = 6;

/// How many of `room` lines the panel takes: at most half of them, and the first line in any case.
pub(super) fn height(slow: &Slow, room: u16) -> u16 {
    let wanted = HEAD.saturating_add(u16::try_from(slow.queries.len()).unwrap_or(u16::MAX));
    match room {
        0..3 => 0,
        3..LOW => 1,
        _ => wanted.min(room / 2),
    }
}

/// Draws as much of the panel as there are lines, the most important first.
pub(super) fn panel(buffer: &mut Buffer, area: Rect, slow: &Slow) {
    let mut lines = vec![verdict(slow)];
    if area.height > 1 {
        lines.push(Line::styled(done(&slow.fetches), Style::new()));
        lines.push(Line::styled(served(&slow.served), DIM));
        lines.push(titles(area.width));
        lines.extend(slow.queries.iter().map(|query| row(query, area.width)));
    }
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        buffer.set_line(area.x, y, &line, area.width);
    }
}

/// Whether anything wrong was shown, and what the cache is told of the world.
fn verdict(slow: &Slow) -> Line<'static> {
    let (wrong, colour) = match slow.checked.wrong {
        0 => ("0".to_owned(), Color::Green),
        wrong => (count(wrong), Color::Red),
    };
    let mut spans = vec![
        Span::styled("SLOW PATH  ", BOLD),
        Span::styled(
            format!(" WRONG VALUES SHOWN: {wrong} "),
            BOLD.fg(colour).add_modifier(Modifier::REVERSED),
        ),
        Span::styled(
            format!(" of {} looked at  ", count(slow.checked.values)),
            DIM,
        ),
    ];
    for (is, yes, no) in [
        (slow.online, "online", "OFFLINE"),
        (slow.focused, "focused", "NOT FOCUSED"),
        (slow.polling, "polling", "POLLS PAUSED"),
    ] {
        let (word, style) = if is {
            (yes, DIM)
        } else {
            (no, BOLD.fg(Color::Yellow))
        };
        spans.push(Span::styled(format!(" {word}"), style));
    }
    if let Some(first) = &slow.checked.first {
        let first = shortened(first, usize::from(u16::MAX));
        spans.push(Span::styled(
            format!("  {first}"),
            Style::new().fg(Color::Red),
        ));
    }
    Line::from(spans)
}

fn titles(width: u16) -> Line<'static> {
    let columns = [
        padded("QUERY", KEY, Align::Left),
        padded("STATUS", STATUS, Align::Left),
        padded("FETCH", FETCH, Align::Left),
        padded("FRESHNESS", FRESHNESS, Align::Left),
        padded("AGE", NUMBER, Align::Right),
        padded("OBS", NUMBER, Align::Right),
        padded("TRIED", NUMBER, Align::Right),
        padded("FAILED", NUMBER, Align::Right),
        "VALUE".to_owned(),
    ];
    let line = padded(&columns.join(" "), width, Align::Left);
    Line::styled(line, DIM.add_modifier(Modifier::UNDERLINED))
}

fn row(query: &Query, width: u16) -> Line<'static> {
    let live = query.state == State::Live;
    let colour = |yes: bool, colour| {
        if yes {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    };
    let room = usize::from(FRESHNESS) - 2;
    let (sign, word, tone) = match &query.state {
        State::Live => ("●", "live".to_owned(), Color::Green),
        State::Stale(why) => ("◐", stale(why, room), Color::Yellow),
        State::Empty => ("○", "empty".to_owned(), Color::Reset),
        State::Removed => ("✕", "removed".to_owned(), Color::Red),
    };
    let number = |value: u64| format!(" {}", padded(&count(value), NUMBER, Align::Right));
    let mut spans = vec![
        Span::styled(padded(&query.key, KEY, Align::Left), BOLD),
        Span::styled(
            format!(" {}", padded(query.status, STATUS, Align::Left)),
            colour(query.status == "error", Color::Red),
        ),
        Span::styled(
            format!(" {}", padded(query.fetch, FETCH, Align::Left)),
            colour(query.fetch == "fetching", Color::Cyan),
        ),
        Span::styled(
            format!(
                " {}",
                padded(&format!("{sign} {word}"), FRESHNESS, Align::Left)
            ),
            Style::new().fg(tone),
        ),
        Span::styled(
            format!(
                " {}",
                padded(
                    &query.age.map_or_else(String::new, age),
                    NUMBER,
                    Align::Right
                )
            ),
            DIM,
        ),
        Span::raw(number(query.observers)),
        Span::raw(number(query.fetches)),
        Span::styled(
            number(query.failed),
            colour(query.failed > 0, Color::Yellow),
        ),
    ];
    let used: usize = spans.iter().map(Span::width).sum();
    let left = usize::from(width).saturating_sub(used + 1);
    // A value that is not live must not look like one that is.
    let style = if live { Style::new() } else { DIM };
    spans.push(Span::styled(
        format!(" {}", shortened(&query.value, left)),
        style,
    ));
    Line::from(spans)
}
