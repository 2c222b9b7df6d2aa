//! A run without a table: a line a second.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::model::Model;
use super::report::{engine_summary, slow_summary, summary};

/// How often the end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const LINE_EVERY: Duration = Duration::from_secs(1);

/// Writes one summary line a second (one more for what the engine measures, one for a slow path) until `done`; `sample` brings the model up to date. Ends as
/// well when nobody reads the lines any more.
pub(crate) fn lines<S, D>(mut out: impl Write, mut sample: S, mut done: D) -> io::Result<()>
where
    S: FnMut(&mut Model),
    D: FnMut() -> bool,
{
    let mut model = Model::default();
    let mut next = Instant::now() + LINE_EVERY;
    while !done() {
        let now = Instant::now();
        if now < next {
            thread::sleep(LOOK_EVERY.min(next - now));
            continue;
        }
        next += LINE_EVERY;
        sample(&mut model);
        let mut text = summary(&model) + "\n";
        for line in [engine_summary(&model), slow_summary(&model)] {
            text.extend(line.map(|line| line + "\n"));
        }
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}
