//! What the figures were measured on.

use std::{env, fs, thread};

/// Lines for the head of the report.
pub(crate) fn lines() -> Vec<String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let mut lines = vec![
        format!("{} ({cores} cores)", processor()),
        format!("{} {}", env::consts::OS, env::consts::ARCH),
    ];
    if let Some(load) = read("/proc/loadavg") {
        let load: Vec<_> = load.split(' ').take(3).collect();
        lines.push(format!(
            "load when the report was written: {}",
            load.join(", ")
        ));
    }
    lines
}

fn processor() -> String {
    let text = read("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(
        || "a processor without a name".to_owned(),
        |model| model.trim_start_matches(['\t', ' ', ':']).to_owned(),
    )
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(file).ok()
}
