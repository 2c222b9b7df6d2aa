//! Draws a [`Model`] on a terminal of any size from 40 columns and 6 lines on.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Sparkline, Widget};

use super::format::{
    age, bytes, clean, count, padded, percent, rate, running, shortened, span, stale,
};
use super::model::{Align, Cell, Column, Link, Model, Row, State, Tone};
use super::report::{engine_parts, three};
use super::slow;

const MIN_WIDTH: u16 = 40;
const MIN_HEIGHT: u16 = 6;

/// From this height on the numbers have a line for their names.
const TALL: u16 = 18;

/// From this height on a line can be left empty.
const ROOMY: u16 = 28;

/// From this width on the columns stand further apart, and there is room for a curve.
const WIDE: u16 = 110;

const RATE_WIDTH: u16 = 7;
const AGE_WIDTH: u16 = 6;
/// Enough for `● live` and the beginning of a reason; what is left of the line belongs to it too.
const STATE_WIDTH: u16 = 14;
const TILE_WIDTH: u16 = 13;

pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Where the user stands in the table, and whether colours may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    top: usize,
    /// Rows that fit, from the last time it was drawn.
    page: usize,
    colour: bool,
    /// The slow path in place of the table.
    slow: bool,
}

impl View {
    /// The top of the table.
    pub(crate) fn new(colour: bool) -> Self {
        Self {
            top: 0,
            page: 1,
            colour,
            slow: false,
        }
    }

    /// Moves by a key; says whether it was one that moves.
    pub(crate) fn key(&mut self, key: KeyCode) -> bool {
        if key == KeyCode::Tab {
            self.slow = !self.slow;
            return true;
        }
        self.top = match key {
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.top + 1,
            KeyCode::PageUp => self.top.saturating_sub(self.page),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top + self.page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            // Drawing stops at the last row.
            KeyCode::End | KeyCode::Char('G') => usize::MAX / 2,
            _ => return false,
        };
        true
    }
}

/// Draws the whole picture; stops `view` at the last row.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model, view: &mut View) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        let text = format!("needs {MIN_WIDTH}x{MIN_HEIGHT}; q quits");
        buffer.set_line(area.x, area.y, &Line::raw(text), area.width);
        return;
    }
    // One free column on each side.
    let inner = Rect {
        x: area.x + 1,
        width: area.width - 2,
        ..area
    };
    let line = |y: u16| Rect {
        y: inner.y + y,
        height: 1,
        ..inner
    };
    title(buffer, line(0), model);
    let head = if inner.height >= TALL {
        // Where there is room for it, a line sets the states apart from the numbers.
        let states = if inner.height >= ROOMY { 8 } else { 7 };
        numbers(
            buffer,
            Rect {
                height: 5,
                ..line(2)
            },
            model,
        );
        freshness(buffer, line(states), model);
        let lines = engine(buffer, line(states + 1), model);
        states + 2 + lines
    } else {
        compact(buffer, line(1), model);
        2
    };
    let mut body = Rect {
        y: inner.y + head,
        height: inner.height - head - 1,
        ..inner
    };
    if let Some(panel) = &model.slow {
        let all = body.height;
        body.height = if view.slow {
            0
        } else {
            all - slow::height(panel, all)
        };
        let area = Rect {
            y: body.y + body.height,
            height: all - body.height,
            ..body
        };
        slow::panel(buffer, area, panel);
    }
    view.page = usize::from(body.height.saturating_sub(1)).max(1);
    view.top = view.top.min(model.rows.len().saturating_sub(view.page));
    rows(buffer, body, model, view);
    let last = Rect {
        y: inner.bottom() - 1,
        height: 1,
        ..inner
    };
    footer(buffer, last, model, view);
    if !view.colour {
        for cell in &mut buffer.content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
}

fn title(buffer: &mut Buffer, area: Rect, model: &Model) {
    let (sign, text, colour) = match &model.link {
        Link::Connecting => ("◌", "connecting".to_owned(), Color::Yellow),
        Link::Connected => ("●", "connected".to_owned(), Color::Green),
        Link::Down(why) => ("○", format!("down: {}", clean(why)), Color::Red),
        Link::Stopped => ("■", "stopped".to_owned(), Color::Reset),
    };
    let time = running(model.elapsed);
    let badge = " tickcache ";
    let rest = usize::from(area.width).saturating_sub(badge.len() + time.len() + 8);
    let text = shortened(&text, rest);
    let right = Line::from(vec![
        Span::styled(format!("{sign} {text}"), Style::new().fg(colour)),
        Span::raw("  "),
        Span::styled(time, BOLD),
    ]);
    let width = right.width() as u16;
    let room = area.width.saturating_sub(width + 2);
    let title = clean(&model.title);
    let before = badge.len() + Span::raw(title.as_str()).width() + 3;
    let source = shortened(&model.source, usize::from(room).saturating_sub(before));
    let left = Line::from(vec![
        Span::styled(
            badge,
            Style::new()
                .fg(Color::Cyan)
                .add_modifier(Modifier::BOLD | Modifier::REVERSED),
        ),
        Span::raw(" "),
        Span::styled(title, BOLD),
        Span::raw("  "),
        Span::styled(source, DIM),
    ]);
    buffer.set_line(area.x, area.y, &left, room);
    buffer.set_line(area.right().saturating_sub(width), area.y, &right, width);
}

/// Two rows of numbers under their names and, where there is room, the curve of the last seconds.
fn numbers(buffer: &mut Buffer, area: Rect, model: &Model) {
    let totals = &model.totals;
    let latency = |pick: fn(&super::Latency) -> std::time::Duration| {
        model
            .latency
            .as_ref()
            .map_or_else(|| "–".to_owned(), |latency| span(pick(latency)))
    };
    let bad = |value: u64, colour| if value > 0 { BOLD.fg(colour) } else { BOLD };
    let upper = [
        (
            "UPDATES/S",
            rate(totals.updates_per_second),
            BOLD.fg(Color::Cyan),
        ),
        ("RECEIVED", count(totals.received), BOLD),
        ("APPLIED", count(totals.applied), BOLD),
        (
            "REFUSED",
            count(totals.refused),
            bad(totals.refused, Color::Red),
        ),
        (
            "RECONNECTS",
            count(totals.reconnects),
            bad(totals.reconnects, Color::Yellow),
        ),
        ("BYTES/S", bytes(totals.bytes_per_second), BOLD),
    ];
    let lower = [
        ("LATENCY P50", latency(|l| l.p50), BOLD.fg(Color::Cyan)),
        ("P99", latency(|l| l.p99), BOLD),
        ("P99.9", latency(|l| l.p999), BOLD),
        ("MAX", latency(|l| l.max), BOLD),
        ("CPU ENGINE", percent(model.cpu.engine), BOLD),
        ("SIMULATOR", percent(model.cpu.simulator), BOLD),
    ];
    let fits = (area.width / TILE_WIDTH).clamp(1, 6);
    let width = (area.width / fits).min(TILE_WIDTH + 2);
    for (tiles, dy) in [(upper, 0), (lower, 3)] {
        for (at, (name, value, style)) in (0..fits).zip(tiles) {
            let x = area.x + at * width;
            buffer.set_line(x, area.y + dy, &Line::styled(name, DIM), width);
            buffer.set_line(x, area.y + dy + 1, &Line::styled(value, style), width);
        }
    }
    let used = fits * width + 2;
    if area.width >= WIDE && area.width > used + 10 && !model.history.is_empty() {
        let curve = Rect {
            x: area.x + used,
            width: area.width - used,
            ..area
        };
        let newest = model.history.len().saturating_sub(usize::from(curve.width));
        let data = &model.history[newest..];
        let x = curve.right() - data.len() as u16;
        let curve = Rect {
            x,
            width: data.len() as u16,
            ..curve
        };
        // A curve that touches the top reads as one that is cut off.
        let top = data.iter().max().map_or(1, |max| max + max / 8).max(1);
        Sparkline::default()
            .data(data)
            .max(top)
            .style(Style::new().fg(Color::Cyan))
            .render(curve, buffer);
    }
}

/// The same in one line, for low terminals.
fn compact(buffer: &mut Buffer, area: Rect, model: &Model) {
    let mut spans = Vec::new();
    let mut add = |name: &'static str, value: String| {
        spans.push(Span::styled(name, DIM));
        spans.push(Span::styled(format!(" {value}   "), BOLD));
    };
    add("upd/s", rate(model.totals.updates_per_second));
    if let Some(latency) = &model.latency {
        add("p50", span(latency.p50));
        add("p99", span(latency.p99));
    }
    add("received", count(model.totals.received));
    add("reconnects", count(model.totals.reconnects));
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// What the engine measures of itself: how many lines that takes.
fn engine(buffer: &mut Buffer, area: Rect, model: &Model) -> u16 {
    let parts = model.engine.as_ref().map(engine_parts).unwrap_or_default();
    if parts.is_empty() {
        return 0;
    }
    let mut spans = vec![Span::styled("ENGINE p50/p99/p99.9", DIM)];
    for (name, latency) in parts {
        spans.push(Span::styled(format!("  {name} "), DIM));
        spans.push(Span::styled(three(latency), BOLD));
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
    1
}

/// How many slots are in which state, as a bar and in numbers.
fn freshness(buffer: &mut Buffer, area: Rect, model: &Model) {
    let tally =
        |wanted: fn(&State) -> bool| model.rows.iter().filter(|row| wanted(&row.state)).count();
    let parts = [
        (
            tally(|s| matches!(s, State::Live)),
            "live",
            Color::Green,
            "█",
        ),
        (
            tally(|s| matches!(s, State::Stale(_))),
            "stale",
            Color::Yellow,
            "▓",
        ),
        (
            tally(|s| matches!(s, State::Empty)),
            "empty",
            Color::Reset,
            "░",
        ),
        (
            tally(|s| matches!(s, State::Removed)),
            "removed",
            Color::Red,
            "▒",
        ),
    ];
    let all = model.rows.len();
    let width = usize::from(area.width).saturating_sub(54).clamp(8, 40);
    let mut spans = Vec::new();
    // Whatever exists is seen, one of a thousand too; the longest part makes up for it.
    let mut lengths = parts.map(|(number, ..)| {
        let length = (number * width).checked_div(all).unwrap_or(0);
        length.max(usize::from(number > 0))
    });
    let others: usize = lengths.iter().sum();
    if let Some(longest) = lengths.iter_mut().max().filter(|longest| **longest > 0) {
        *longest = (*longest + width).saturating_sub(others);
    }
    for ((.., colour, sign), length) in parts.into_iter().zip(lengths) {
        spans.push(Span::styled(sign.repeat(length), Style::new().fg(colour)));
    }
    if all == 0 {
        spans.push(Span::styled("·".repeat(width), DIM));
    }
    spans.push(Span::raw("  "));
    for (number, name, colour, _) in parts {
        let style = if number > 0 { BOLD.fg(colour) } else { DIM };
        spans.push(Span::styled(count(number as u64), style));
        spans.push(Span::styled(format!(" {name}   "), DIM));
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// The columns that fit, in their order, and the gap between two.
fn fitting(model: &Model, width: u16) -> (Vec<(usize, &Column)>, u16) {
    let gap = if width + 2 >= WIDE { 2 } else { 1 };
    let fixed = model.key.width + RATE_WIDTH + AGE_WIDTH + STATE_WIDTH + 3 * gap;
    let mut room = width.saturating_sub(fixed);
    let mut by_rank: Vec<_> = model.columns.iter().enumerate().collect();
    by_rank.sort_by_key(|(_, column)| column.rank);
    by_rank.retain(|(_, column)| {
        let fits = column.width + gap <= room;
        if fits {
            room -= column.width + gap;
        }
        fits
    });
    by_rank.sort_by_key(|(at, _)| *at);
    (by_rank, gap)
}

fn rows(buffer: &mut Buffer, area: Rect, model: &Model, view: &View) {
    if area.height == 0 {
        return;
    }
    let (columns, gap) = fitting(model, area.width);
    let gap = " ".repeat(usize::from(gap));
    let head = DIM.add_modifier(Modifier::UNDERLINED);
    let mut titles = vec![padded(&model.key.title, model.key.width, model.key.align)];
    titles.extend(
        columns
            .iter()
            .map(|(_, c)| padded(&c.title, c.width, c.align)),
    );
    titles.push(padded("UPD/S", RATE_WIDTH, Align::Right));
    titles.push(padded("AGE", AGE_WIDTH, Align::Right));
    titles.push("STATE".to_owned());
    let titles = padded(&titles.join(&gap), area.width, Align::Left);
    buffer.set_line(area.x, area.y, &Line::styled(titles, head), area.width);
    let shown = model
        .rows
        .iter()
        .skip(view.top)
        .take(usize::from(area.height.saturating_sub(1)));
    for (y, row) in (area.y + 1..).zip(shown) {
        buffer.set_line(
            area.x,
            y,
            &table_row(row, &model.key, &columns, &gap, area.width),
            area.width,
        );
    }
}

fn table_row(
    row: &Row,
    key: &Column,
    columns: &[(usize, &Column)],
    gap: &str,
    width: u16,
) -> Line<'static> {
    let live = row.state == State::Live;
    let mut spans = vec![Span::styled(padded(&row.key, key.width, key.align), BOLD)];
    let none = Cell::default();
    for (at, column) in columns {
        let cell = row.cells.get(*at).unwrap_or(&none);
        // A value that is not live must not look like one that is.
        let style = match cell.tone {
            _ if !live => DIM,
            Tone::Plain => Style::new(),
            Tone::Up => Style::new().fg(Color::Green),
            Tone::Down => Style::new().fg(Color::Red),
        };
        spans.push(Span::raw(gap.to_owned()));
        spans.push(Span::styled(
            padded(&cell.text, column.width, column.align),
            style,
        ));
    }
    let text = |text: String, width| format!("{gap}{}", padded(&text, width, Align::Right));
    spans.push(Span::raw(text(rate(row.updates_per_second), RATE_WIDTH)));
    spans.push(Span::styled(
        text(row.age.map_or_else(String::new, age), AGE_WIDTH),
        DIM,
    ));
    let used: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used + gap.len() + 2);
    let (sign, name, colour) = match &row.state {
        State::Live => ("●", "live".to_owned(), Color::Green),
        State::Stale(why) => ("◐", stale(why, room), Color::Yellow),
        State::Empty => ("○", "empty".to_owned(), Color::Reset),
        State::Removed => ("✕", "removed".to_owned(), Color::Red),
    };
    spans.push(Span::styled(
        format!("{gap}{sign} {name}"),
        Style::new().fg(colour),
    ));
    Line::from(spans)
}

fn footer(buffer: &mut Buffer, area: Rect, model: &Model, view: &View) {
    let first = (view.top + 1).min(model.rows.len());
    let last = (view.top + view.page).min(model.rows.len());
    let place = format!("{first}–{last} of {}", count(model.rows.len() as u64));
    let place = Line::styled(place, DIM);
    let width = place.width() as u16;
    let mut room = usize::from(area.width.saturating_sub(width + 1));
    let mut spans = Vec::new();
    let table: &[_] = &[
        ("↑↓", "scroll"),
        ("PgUp PgDn", "page"),
        ("Home End", "ends"),
    ];
    let slow: &[_] = match &model.slow {
        Some(slow) => &[
            (
                "o",
                if slow.online {
                    "go offline"
                } else {
                    "go online"
                },
            ),
            ("f", if slow.focused { "look away" } else { "look" }),
            ("p", if slow.polling { "pause polls" } else { "poll" }),
            ("Tab", "slow path"),
        ],
        None => &[],
    };
    for (keys, does) in [("q", "quit")].iter().chain(slow).chain(table) {
        let keys = Span::styled(*keys, BOLD);
        let does = Span::styled(format!(" {does}   "), DIM);
        let needed = keys.width() + does.width();
        if needed > room {
            break;
        }
        room -= needed;
        spans.extend([keys, does]);
    }
    buffer.set_line(
        area.x,
        area.y,
        &Line::from(spans),
        area.width.saturating_sub(width + 1),
    );
    buffer.set_line(area.right().saturating_sub(width), area.y, &place, width);
}
