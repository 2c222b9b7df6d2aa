//! Writes what the benches have measured as a report: `benches/results/DATE.md`, with plots beside it.
//!
//! ```text
//! cargo bench --features testing
//! cargo run --release --example report
//! ```
//!
//! Every bench leaves its figures in `target/tmp/bench`; this reads all that is there, names the
//! machine, and prints medians, quartiles and ratios as they were measured. It computes nothing that
//! a bench has not.

mod figures;
mod machine;
mod plot;
mod text;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use figures::Figures;
use time::OffsetDateTime;

fn main() -> Result<(), Box<dyn Error>> {
    let measured = measured_figures()?;
    let figures = Figures::read(&measured)?;
    if figures.is_empty() {
        let place = measured.display();
        return Err(
            format!("nothing was measured yet ({place} is empty): run `cargo bench`").into(),
        );
    }
    let now = OffsetDateTime::now_utc();
    let date = format!(
        "{}-{:02}-{:02}",
        now.year(),
        u8::from(now.month()),
        now.day()
    );
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    let plots = results.join(&date);
    fs::create_dir_all(&plots)?;
    let drawn = plot::all(&figures, &plots)?;
    let report = results.join(format!("{date}.md"));
    fs::write(&report, text::report(&figures, &drawn, &date))?;
    println!("{} and {} plots", report.display(), drawn.len());
    Ok(())
}

/// Where the benches leave their figures: `tmp/bench` in the target directory, which this example
/// is built into as well.
fn measured_figures() -> Result<PathBuf, Box<dyn Error>> {
    let own = env::current_exe()?;
    // target/release/examples/report
    let target = own
        .ancestors()
        .nth(3)
        .ok_or("the example is in no target directory")?;
    Ok(target.join("tmp/bench"))
}
