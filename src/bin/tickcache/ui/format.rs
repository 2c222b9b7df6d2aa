//! Numbers and times as short text, and text that fits its place.

use std::time::Duration;

use ratatui::text::Span;

use super::model::Align;

/// A count with its thousands apart: `1,234,567`; from ten billion on `12.3 G`.
pub(crate) fn count(value: u64) -> String {
    if value >= 10_000_000_000 {
        return format!("{:.1} G", value as f64 / 1e9);
    }
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate: `0.4` below ten, else a whole [`count`].
pub(crate) fn rate(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value < 9.95 {
        format!("{value:.1}")
    } else {
        count(value.round() as u64)
    }
}

/// Bytes: `812 B`, `1.4 MB`.
pub(crate) fn bytes(value: f64) -> String {
    match value {
        v if v < 1e3 => format!("{v:.0} B"),
        v if v < 1e6 => format!("{:.1} kB", v / 1e3),
        v if v < 1e9 => format!("{:.1} MB", v / 1e6),
        v => format!("{:.1} GB", v / 1e9),
    }
}

/// A latency with two or three digits: `850 ns`, `31 µs`, `1.2 ms`, `3.4 s`.
pub(crate) fn span(value: Duration) -> String {
    let nanos = value.as_nanos() as f64;
    let (value, unit) = match nanos {
        n if n < 999.5 => return format!("{n:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// An age, coarse enough to be read while it runs: `0.3 s`, `12 s`, `4 min`, `3 h`, `2 d`.
pub(crate) fn age(value: Duration) -> String {
    match value.as_secs_f64() {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 5970.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

/// Running time: `0:07`, `1:02:03`.
pub(crate) fn running(value: Duration) -> String {
    let (hours, minutes, seconds) = (
        value.as_secs() / 3600,
        value.as_secs() / 60 % 60,
        value.as_secs() % 60,
    );
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Per cent, or a dash.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0} %"))
}

/// A decimal without the zeros that only pad it, but with at least `places` places:
/// `61685.99000000` with 2 is `61685.99`. Any other text stays as it is.
pub(crate) fn plain_decimal(text: &str, places: usize) -> &str {
    let Some(point) = text.find('.') else {
        return text;
    };
    if !text[point + 1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return text;
    }
    let keep = (point + 1 + places).min(text.len());
    let end = text.trim_end_matches('0').len().max(keep);
    text[..end].trim_end_matches('.')
}

/// Where there is no room for the word and the reasons, the sign and the colour stand for the word.
pub(super) fn stale(why: &str, room: usize) -> String {
    let long = clean(&format!("stale: {why}"));
    if why.is_empty() {
        "stale".to_owned()
    } else if Span::raw(long.as_str()).width() <= room {
        long
    } else {
        shortened(why, room)
    }
}

/// Text of a stranger without what could move the cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

/// At most `width` terminal cells, the last one an ellipsis where something was cut.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let mut text = clean(text);
    if Span::raw(text.as_str()).width() <= width {
        return text;
    }
    while Span::raw(text.as_str()).width() + 1 > width && text.pop().is_some() {}
    text.push('…');
    text
}

/// Exactly `width` terminal cells.
pub(super) fn padded(text: &str, width: u16, align: Align) -> String {
    let width = usize::from(width);
    let text = shortened(text, width);
    let pad = " ".repeat(width.saturating_sub(Span::raw(text.as_str()).width()));
    match align {
        Align::Left => text + &pad,
        Align::Right => pad + &text,
    }
}
