//! Recordings as they lie in files: messages, and the connections they came on.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// The messages of a recording.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) texts: Vec<String>,
    /// Connections one after the other; those side by side are one.
    pub(crate) connections: Vec<Range<usize>>,
}

impl Recording {
    /// Reads `NAME.jsonl.gz` or `NAME.jsonl`, and the rows beside it.
    pub(crate) fn open(path: &Path) -> Self {
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let stem = file.trim_end_matches(".gz").trim_end_matches(".jsonl");
        let rows =
            ["recv.tsv.gz", "recv.tsv"].map(|end| path.with_file_name(format!("{stem}.{end}")));
        let rows = rows.iter().find(|path| path.is_file());
        let rows = rows.map(|path| unpacked(path)).unwrap_or_default();
        let mut rows = rows.lines();
        let (mut texts, mut numbers): (Vec<String>, Vec<u64>) = Default::default();
        for line in unpacked(path).split_terminator('\n') {
            let mut row = rows.next().unwrap_or_default().split('\t').skip(1);
            let number = row.next().and_then(|number| number.parse().ok());
            match row.next() {
                Some("+") => {
                    let text = texts.last_mut().expect("a message goes on");
                    text.push('\n');
                    text.push_str(line);
                }
                _ => {
                    texts.push(line.to_owned());
                    numbers.push(number.unwrap_or_default());
                }
            }
        }
        Self {
            name: stem.to_owned(),
            connections: connections(&numbers),
            texts,
        }
    }
}

/// Cuts where a connection begins and all before it have ended.
fn connections(numbers: &[u64]) -> Vec<Range<usize>> {
    let mut spans: BTreeMap<u64, Range<usize>> = BTreeMap::new();
    for (at, number) in numbers.iter().enumerate() {
        spans.entry(*number).or_insert(at..at).end = at + 1;
    }
    let mut spans: Vec<_> = spans.into_values().collect();
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

fn unpacked(path: &Path) -> String {
    let bytes = std::fs::read(path).expect("the file");
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return String::from_utf8(bytes).expect("UTF-8");
    }
    let mut text = String::new();
    let read = MultiGzDecoder::new(&*bytes).read_to_string(&mut text);
    read.expect("gzip and UTF-8");
    text
}

/// The recordings in a folder, by name.
pub(crate) fn recordings(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("the folder");
    let files = files.map(|file| file.expect("a file").path());
    let is_recording = |path: &PathBuf| {
        let name = path.to_string_lossy();
        let plain = name.trim_end_matches(".gz");
        plain.ends_with(".jsonl") && !plain.ends_with(".sent.jsonl")
    };
    let mut files: Vec<_> = files.filter(is_recording).collect();
    files.sort();
    files
}
