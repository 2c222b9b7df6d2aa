//! The three files of a recording, and the thread that writes them.
//!
//! What was taken is written out once a second, or sooner where it is much: rows first, then
//! messages, each ended by a sync flush of its gzip stream, so that a recorder that is killed leaves
//! files which can be read up to that second. The rows are never behind the messages. The end of a
//! run writes the trailers, so that the files are whole gzip members.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::tape::{Lines, Tape};
use crate::args::RECORDING;

/// A recorder that is killed loses what came since.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Where a recording is written.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(super) texts: PathBuf,
    rows: PathBuf,
    sent: PathBuf,
}

impl Paths {
    /// `out` ends in `.jsonl.gz`.
    pub(crate) fn new(out: &Path) -> Self {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(RECORDING).unwrap_or(&name);
        Self {
            texts: out.to_owned(),
            rows: out.with_file_name(format!("{stem}.recv.tsv.gz")),
            sent: out.with_file_name(format!("{stem}.sent.jsonl")),
        }
    }

    fn all(&self) -> [&Path; 3] {
        [&self.texts, &self.rows, &self.sent]
    }

    /// Removes what was written, where nothing came.
    pub(super) fn remove(&self) {
        for path in self.all() {
            // It may never have been made; and what cannot be removed does no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<Result<(), String>>);

impl Writer {
    /// Makes the files and starts the thread. Files that are there are kept unless `force`.
    pub(crate) fn start(paths: &Paths, force: bool, tape: Arc<Tape>) -> Result<Self, String> {
        if !force && let Some(there) = paths.all().into_iter().find(|path| path.exists()) {
            let there = there.display();
            return Err(format!(
                "{there} is there already; take another name, or --force to write over it"
            ));
        }
        let told = |path: &Path, error: io::Error| {
            format!(
                "cannot write {}: {error}; check the path and the disk",
                path.display()
            )
        };
        // It is made when something is sent: an old one would seem to belong to this recording.
        match std::fs::remove_file(&paths.sent) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(told(&paths.sent, error));
            }
            _ => {}
        }
        let open = |path: &Path| {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path);
            let encoder = |file| GzEncoder::new(file, Compression::default());
            file.map(encoder).map_err(|error| told(path, error))
        };
        let mut files = Files {
            texts: open(&paths.texts)?,
            rows: open(&paths.rows)?,
            sent: None,
            paths: paths.clone(),
        };
        let body = move || {
            files.run(&tape).map_err(|(path, error)| {
                tape.fail();
                told(&path, error)
            })
        };
        let thread = std::thread::Builder::new().name("tickcache-recorder".into());
        let thread = thread.spawn(body);
        thread
            .map(Self)
            .map_err(|error| format!("cannot start a thread: {error}"))
    }

    /// Waits until everything is written, once the tape is closed.
    pub(crate) fn finish(self) -> Result<(), String> {
        let ended = self.0.join();
        ended.unwrap_or_else(|_| Err("the thread that writes panicked".to_owned()))
    }
}

struct Files {
    texts: GzEncoder<File>,
    rows: GzEncoder<File>,
    sent: Option<File>,
    paths: Paths,
}

impl Files {
    fn run(&mut self, tape: &Tape) -> Result<(), (PathBuf, io::Error)> {
        let mut lines = Lines::default();
        loop {
            let more = tape.take(&mut lines, FLUSH_EVERY);
            self.write(&lines)?;
            lines.clear();
            if !more {
                break;
            }
        }
        let paths = &self.paths;
        let end = |encoder: &mut GzEncoder<File>, path: &PathBuf| {
            let ended = encoder.try_finish();
            ended.map_err(|error| (path.clone(), error))
        };
        end(&mut self.rows, &paths.rows)?;
        end(&mut self.texts, &paths.texts)
    }

    fn write(&mut self, lines: &Lines) -> Result<(), (PathBuf, io::Error)> {
        let Self {
            texts,
            rows,
            sent,
            paths,
        } = self;
        if !lines.sent.is_empty() {
            let written = append(sent, &paths.sent, &lines.sent);
            written.map_err(|error| (paths.sent.clone(), error))?;
        }
        let pairs = [
            (rows, &lines.rows, &paths.rows),
            (texts, &lines.texts, &paths.texts),
        ];
        for (encoder, bytes, path) in pairs {
            if bytes.is_empty() {
                continue;
            }
            // For this encoder a flush is a sync flush.
            let written = encoder.write_all(bytes).and_then(|()| encoder.flush());
            written.map_err(|error| (path.clone(), error))?;
        }
        Ok(())
    }
}

fn append(file: &mut Option<File>, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = match file {
        Some(file) => file,
        None => file.insert(File::create(path)?),
    };
    file.write_all(bytes)
}
