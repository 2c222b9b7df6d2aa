//! What the benches have left: contests and curves.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// One row of a contest. The formats are told where they are written, in `benches/support`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
    pub(crate) ratio: Option<f64>,
    pub(crate) ratio_low: Option<f64>,
    pub(crate) ratio_high: Option<f64>,
    pub(crate) numbers_ratio: Option<f64>,
    #[serde(default)]
    pub(crate) disturbed: usize,
    #[serde(default)]
    pub(crate) rounds: usize,
    /// How long it took, if it is a latency.
    #[serde(flatten)]
    pub(crate) percentiles: Option<Percentiles>,
}

/// Rivals beside each other; the first is ours.
#[derive(Clone, Debug)]
pub(crate) struct Contest {
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
}

/// What something costs against what it might depend on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) x: String,
    pub(crate) unit: String,
    pub(crate) lines: Vec<Line>,
}

/// One line of a curve: points of x, lower quartile, median, upper quartile.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<[f64; 4]>,
}

/// Of all single samples of a latency.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) samples: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    /// From the middle to the largest.
    pub(crate) fn all(&self) -> [f64; 5] {
        [self.p50, self.p90, self.p99, self.p999, self.max]
    }
}

impl Contest {
    /// The rows that are latencies, with what they took.
    pub(crate) fn latencies(&self) -> Vec<(&str, &Percentiles)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| Some((&*row.name, row.percentiles.as_ref()?)))
            .collect()
    }
}

/// All of it, by name.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) contests: Vec<Contest>,
    pub(crate) curves: Vec<Curve>,
}

impl Figures {
    /// What is in a folder; nothing if there is none.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut figures = Self::default();
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(figures);
        };
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let Some(name) = name.strip_suffix(".json") else {
                continue;
            };
            let text = fs::read_to_string(&file)?;
            let told = |error| format!("{}: {error}", file.display());
            if name.ends_with(".curve") {
                figures
                    .curves
                    .push(serde_json::from_str(&text).map_err(told)?);
            } else {
                figures.contests.push(Contest {
                    name: name.to_owned(),
                    rows: serde_json::from_str(&text).map_err(told)?,
                });
            }
        }
        Ok(figures)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.contests.is_empty() && self.curves.is_empty()
    }
}
