//! What was measured, on the screen and in `target/tmp/bench` for the report.
//!
//! A contest becomes a file `NAME.json`, an array with an object for each row: `name`, `median`,
//! `low`, `high` (quartiles, in nanoseconds an operation), `ratio`, `ratio_low`, `ratio_high` (to the
//! first row, within rounds), `rounds`, `disturbed`; and, where one row reads the numbers to `f64`,
//! `numbers` (whether it is this one), `numbers_ratio`, `numbers_ratio_low`, `numbers_ratio_high` (to that
//! row). Figures that are no times have their unit in `unit`.
//!
//! A curve becomes `NAME.curve.json`, an object: `name`, `x` (what it is drawn against), `unit`, and `lines`,
//! each with `name` and `points`, an array of `[x, low, median, high]`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::paired::{Row, is_test};

/// The rows of a contest.
pub(crate) fn contest(name: &str, rows: &[Row<'_>], numbers: Option<usize>) {
    let Some(first) = rows.first() else {
        return;
    };
    let of_numbers = numbers.map(|at| &rows[at]);
    println!("\n{name}");
    println!(
        "  {:<48} {:>10} {:>21} {:>9} {:>9}",
        "",
        "ns (median)",
        "quartiles",
        "ratio",
        of_numbers.map_or("", |_| "to f64")
    );
    let mut json = String::from("[");
    for (at, row) in rows.iter().enumerate() {
        let [low, median, high] = quartiles(&row.nanos);
        let [ratio_low, ratio, ratio_high] = row.ratio_to(first);
        let compared = of_numbers.map(|numbers| row.ratio_to(numbers));
        println!(
            "  {:<48} {median:>10.2} {low:>10.2} {high:>10.2} {ratio:>8.2}x{}{}",
            row.name,
            compared.map_or_else(String::new, |[_, ratio, _]| format!(" {ratio:>8.2}x")),
            if row.is_disturbed() {
                "  (disturbed)"
            } else {
                ""
            }
        );
        let comma = if at > 0 { ",\n " } else { "\n " };
        let _ = write!(
            json,
            "{comma}{{\"name\":{:?},\"median\":{median},\"low\":{low},\"high\":{high},\
             \"ratio\":{ratio},\"ratio_low\":{ratio_low},\"ratio_high\":{ratio_high},\
             \"rounds\":{},\"disturbed\":{}",
            row.name,
            row.nanos.len(),
            row.disturbed
        );
        if let Some([low, ratio, high]) = compared {
            let _ = write!(
                json,
                ",\"numbers\":{},\"numbers_ratio\":{ratio},\"numbers_ratio_low\":{low},\
                 \"numbers_ratio_high\":{high}",
                numbers == Some(at)
            );
        }
        json.push('}');
    }
    json.push_str("\n]\n");
    keep(&format!("{}.json", file_name(name)), &json);
}

/// Figures that were counted, with their unit: the ratios are to the first one.
pub(crate) fn counted(name: &str, unit: &str, rows: &[(String, f64)]) {
    let Some((_, first)) = rows.first() else {
        return;
    };
    println!("\n{name} ({unit})");
    let mut json = String::from("[");
    for (at, (row, figure)) in rows.iter().enumerate() {
        let ratio = if first == figure { 1.0 } else { figure / first };
        let comma = if at > 0 { ",\n " } else { "\n " };
        // A ratio to nothing is none.
        let shown = if ratio.is_finite() {
            format!("{ratio:>8.2}x")
        } else {
            String::new()
        };
        println!("  {row:<48} {figure:>12.2} {shown}");
        let ratio = if ratio.is_finite() {
            ratio.to_string()
        } else {
            "null".to_owned()
        };
        let _ = write!(
            json,
            "{comma}{{\"name\":{row:?},\"unit\":{unit:?},\"median\":{figure},\"low\":{figure},\
             \"high\":{figure},\"ratio\":{ratio},\"ratio_low\":{ratio},\"ratio_high\":{ratio},\
             \"rounds\":1,\"disturbed\":0}}"
        );
    }
    json.push_str("\n]\n");
    keep(&format!("{}.json", file_name(name)), &json);
}

/// A line of a curve: its name, and `(x, [low, median, high])` by rising x.
pub(crate) type Line = (String, Vec<(u64, [f64; 3])>);

/// A curve: what something costs, against what it might depend on.
pub(crate) fn curve(name: &str, x: &str, unit: &str, lines: &[Line]) {
    println!("\n{name} ({unit}, against {x})");
    let mut json = format!("{{\"name\":{name:?},\"x\":{x:?},\"unit\":{unit:?},\"lines\":[");
    for (at, (line, points)) in lines.iter().enumerate() {
        println!("  {line}");
        let comma = if at > 0 { ",\n " } else { "\n " };
        let _ = write!(json, "{comma}{{\"name\":{line:?},\"points\":[");
        let first = points
            .first()
            .map_or(f64::NAN, |(_, [_, median, _])| *median);
        for (at, (x, [low, median, high])) in points.iter().enumerate() {
            println!(
                "  {x:>12} {median:>12.2} {low:>10.2} {high:>10.2} {:>8.2}x",
                median / first
            );
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(json, "{comma}[{x},{low},{median},{high}]");
        }
        json.push_str("]}");
    }
    json.push_str("\n]}\n");
    keep(&format!("{}.curve.json", file_name(name)), &json);
}

fn file_name(name: &str) -> String {
    name.replace(['/', ' ', ','], "-")
}

fn keep(file: &str, json: &str) {
    if is_test() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    let file = folder.join(file);
    if let Err(error) = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, json)) {
        eprintln!("the figures could not be kept: {error}");
    }
}

/// Lower quartile, median, upper quartile.
pub(crate) fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| {
        let at = (sorted.len().saturating_sub(1)) * quarter / 4;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    })
}
