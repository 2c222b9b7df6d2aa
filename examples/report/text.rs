//! The report as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::figures::{Contest, Curve, Figures};
use crate::machine;
use crate::plot::{Plot, number};

/// The whole report.
pub(crate) fn report(figures: &Figures, plots: &[Plot], date: &str) -> String {
    let mut out = String::new();
    let plot_of: BTreeMap<_, _> = plots.iter().map(|plot| (&plot.name, &plot.file)).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# Measured on {date}\n");
    for line in machine::lines() {
        let _ = writeln!(out, "- {line}");
    }
    out.push_str(
        "\nThe rows of a table were measured in turns of about a millisecond, in CPU time of the \
         thread at work unless the bench says otherwise. A ratio is the median of the ratios within \
         a round, to the first row; *to f64* is the ratio to our own row that also reads the numbers \
         to `f64`, where there is one. A row marked * was disturbed by other work in more than a \
         quarter of its rounds. Absolute figures belong to this machine in this hour; ratios carry \
         further.\n",
    );
    for contest in &figures.contests {
        table(&mut out, contest);
        latency_table(&mut out, contest);
        picture(&mut out, &plot_of, &contest.name, date);
    }
    for curve in &figures.curves {
        curve_table(&mut out, curve);
        picture(&mut out, &plot_of, &curve.name, date);
    }
    out
}

fn picture(out: &mut String, plots: &BTreeMap<&String, &String>, name: &str, date: &str) {
    if let Some(file) = plots.get(&name.to_owned()) {
        let _ = writeln!(out, "\n![{name}]({date}/{file})");
    }
}

fn table(out: &mut String, contest: &Contest) {
    let unit = contest.rows.first().and_then(|row| row.unit.as_deref());
    let has_numbers = contest.rows.iter().any(|row| row.numbers_ratio.is_some());
    let _ = writeln!(out, "\n## {}\n", contest.name);
    let _ = write!(
        out,
        "| | {} | quartiles | ratio | of rounds |",
        unit.unwrap_or("ns")
    );
    out.push_str(if has_numbers { " to f64 |\n" } else { "\n" });
    out.push_str("|---|--:|--:|--:|--:|");
    out.push_str(if has_numbers { "--:|\n" } else { "\n" });
    for row in &contest.rows {
        let is_disturbed = row.disturbed * 4 > row.rounds;
        let _ = write!(
            out,
            "| {}{} | {} | {} to {} | {} | {} |",
            row.name,
            if is_disturbed { " *" } else { "" },
            number(row.median),
            number(row.low),
            number(row.high),
            times(row.ratio),
            match (row.ratio_low, row.ratio_high) {
                (Some(low), Some(high)) => format!("{} to {}", number(low), number(high)),
                _ => String::new(),
            },
        );
        if has_numbers {
            let _ = write!(out, " {} |", times(row.numbers_ratio));
        }
        out.push('\n');
    }
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{}x", number(ratio)))
}

fn curve_table(out: &mut String, curve: &Curve) {
    let _ = writeln!(out, "\n## {}\n", curve.name);
    let _ = write!(out, "| {} |", curve.x);
    for line in &curve.lines {
        let _ = write!(out, " {} ({}) |", line.name, curve.unit);
    }
    let _ = writeln!(out, "\n|--:|{}", "--:|".repeat(curve.lines.len()));
    let mut places: Vec<f64> = curve
        .lines
        .iter()
        .flat_map(|line| line.points.iter().map(|[x, ..]| *x))
        .collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for place in places {
        let _ = write!(out, "| {place} |");
        for line in &curve.lines {
            let point = line.points.iter().find(|[x, ..]| *x == place);
            let median = point.map_or_else(String::new, |[_, _, median, _]| number(*median));
            let _ = write!(out, " {median} |");
        }
        out.push('\n');
    }
}

/// Percentiles of all samples, where there are any.
fn latency_table(out: &mut String, contest: &Contest) {
    let latencies = contest.latencies();
    if latencies.is_empty() {
        return;
    }
    out.push_str("\n| all samples, ns | samples | p50 | p90 | p99 | p99.9 | max |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|\n");
    for (name, percentiles) in latencies {
        let _ = write!(out, "| {name} | {} |", percentiles.samples);
        for percentile in percentiles.all() {
            let _ = write!(out, " {} |", number(percentile));
        }
        out.push('\n');
    }
}
