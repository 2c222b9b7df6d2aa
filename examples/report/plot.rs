//! Plots of what was measured, as SVG: a bar for each rival, a line for each curve, and the
//! percentiles of latencies.

use std::error::Error;
use std::path::Path;

use plotters::coord::combinators::LogCoord;
use plotters::prelude::*;

use crate::figures::{Contest, Curve, Figures};

const SIZE: (u32, u32) = (900, 480);
const BAR: u32 = 34;
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(200, 60, 40);
const PEER: RGBColor = RGBColor(120, 140, 160);

/// A plot: what it shows, and its file.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) name: String,
    pub(crate) file: String,
}

/// Draws all there is into a folder.
pub(crate) fn all(figures: &Figures, folder: &Path) -> Result<Vec<Plot>, Box<dyn Error>> {
    let mut drawn = Vec::new();
    let mut keep = |name: &str| {
        let file = format!("{}.svg", name.replace(['/', ' ', ','], "-"));
        let path = folder.join(&file);
        drawn.push(Plot {
            name: name.to_owned(),
            file,
        });
        path
    };
    for contest in figures
        .contests
        .iter()
        .filter(|contest| contest.rows.len() > 1)
    {
        let file = keep(&contest.name);
        if contest.latencies().len() > 1 {
            percentiles(contest, &file)?;
        } else {
            bars(contest, &file)?;
        }
    }
    for curve in &figures.curves {
        lines(curve, &keep(&curve.name))?;
    }
    Ok(drawn)
}

/// One bar for each rival, as long as what it costs; as its logarithm where one costs so much more
/// than another that nothing would be seen of that.
fn bars(contest: &Contest, file: &Path) -> Result<(), Box<dyn Error>> {
    let rows = &contest.rows;
    let height = 50 + BAR * rows.len() as u32;
    let area = SVGBackend::new(file, (SIZE.0, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let (low, high) = bounds(rows.iter().map(|row| row.median));
    let is_logarithmic = high / low > 400.0;
    let length = |value: f64| match is_logarithmic {
        true => (value.max(low) / low).ln() / (high / low).ln(),
        false => value / high,
    };
    let name = title(&contest.name);
    let scale = if is_logarithmic { " (logarithmic)" } else { "" };
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{name}{scale}"), (FONT, 18))
        .margin(10)
        .build_cartesian_2d(0.0..1.0, 0..rows.len() as i32)?;
    let unit = rows[0].unit.as_deref().unwrap_or("ns");
    for (at, row) in rows.iter().enumerate() {
        let top = (rows.len() - at) as i32;
        let color = if at == 0 { OURS } else { PEER };
        let bar = [(0.0, top - 1), (length(row.median), top)];
        chart.draw_series([Rectangle::new(bar, color.mix(0.55).filled())])?;
        let ratio = row
            .ratio
            .map_or(String::new(), |ratio| format!(", {}x", number(ratio)));
        let label = format!("{}: {} {unit}{ratio}", row.name, number(row.median));
        let style = (FONT, 15).into_font().color(&BLACK);
        let place = chart.backend_coord(&(0.0, top));
        area.draw_text(&label, &style, (place.0 + 6, place.1 + 8))?;
    }
    area.present()?;
    Ok(())
}

/// One line for each of a curve, both axes logarithmic, with the quartiles as a band.
fn lines(curve: &Curve, file: &Path) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let (left, right) = bounds(points().map(|[x, ..]| x.max(0.5)));
    let (low, high) = bounds(points().map(|[_, _, median, _]| *median));
    let mut chart = ChartBuilder::on(&area)
        .caption(title(&curve.name), (FONT, 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right).log_scale(), (low..high).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(&curve.x)
        .y_desc(&curve.unit)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .draw()?;
    for (at, line) in curve.lines.iter().enumerate() {
        let points = line
            .points
            .iter()
            .map(|[x, low, median, high]| (x.max(0.5), *low, *median, *high));
        draw_line(&mut chart, &line.name, at, points.collect())?;
    }
    legend(&mut chart)?;
    area.present()?;
    Ok(())
}

/// Percentiles side by side: one line for each way, from p50 to the largest.
fn percentiles(contest: &Contest, file: &Path) -> Result<(), Box<dyn Error>> {
    const NAMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let latencies = contest.latencies();
    let (low, high) = bounds(
        latencies
            .iter()
            .flat_map(|(_, percentiles)| percentiles.all()),
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title(&contest.name), (FONT, 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (1.0..5.0_f64).log_scale().base(1.6),
            (low..high).log_scale(),
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_desc("ns")
        .y_label_formatter(&|y| number(*y))
        .draw()?;
    for (at, (name, percentiles)) in latencies.iter().enumerate() {
        let points = (1..)
            .zip(percentiles.all())
            .map(|(x, value)| (f64::from(x), value, value, value));
        draw_line(&mut chart, name, at, points.collect())?;
    }
    for (at, name) in (1..).zip(NAMES) {
        let (x, y) = chart.backend_coord(&(f64::from(at), low));
        let style = (FONT, 14).into_font().color(&BLACK);
        area.draw_text(name, &style, (x - 12, y + 8))?;
    }
    legend(&mut chart)?;
    area.present()?;
    Ok(())
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<LogCoord<f64>, LogCoord<f64>>>;

fn draw_line(
    chart: &mut Chart<'_, '_>,
    name: &str,
    at: usize,
    points: Vec<(f64, f64, f64, f64)>,
) -> Result<(), Box<dyn Error>> {
    let color = if at == 0 {
        OURS.to_rgba()
    } else {
        Palette99::pick(at).to_rgba()
    };
    let band: Vec<_> = points
        .iter()
        .map(|(x, low, ..)| (*x, *low))
        .chain(points.iter().rev().map(|(x, _, _, high)| (*x, *high)))
        .collect();
    chart.draw_series([Polygon::new(band, color.mix(0.15))])?;
    let middle: Vec<_> = points
        .iter()
        .map(|(x, _, median, _)| (*x, *median))
        .collect();
    chart.draw_series(
        middle
            .iter()
            .map(|point| Circle::new(*point, 3, color.filled())),
    )?;
    chart
        .draw_series(LineSeries::new(middle, color.stroke_width(2)))?
        .label(name)
        .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
    Ok(())
}

fn legend<'a>(chart: &mut Chart<'a, 'a>) -> Result<(), Box<dyn Error>> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}

/// Bounds of a logarithmic axis around values, with some room.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let positive = values.filter(|value| *value > 0.0 && value.is_finite());
    let (low, high) = positive.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        (1.0, 10.0)
    } else {
        (low / 2.0, high * 2.0)
    }
}

fn title(name: &str) -> String {
    name.replace('-', " ")
}

/// A number with three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{:.3}M", value / 1e6),
        size if size >= 1e4 => format!("{:.1}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
