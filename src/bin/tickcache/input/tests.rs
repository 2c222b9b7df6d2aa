//! Files as they come, and as they should not.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// A directory of its own for one test, removed when it ends.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickcache-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Every item as a line of text: `1:text@millis` or `2!reason`.
fn all(mut lines: Lines) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(item) = lines.next() {
        out.push(match item {
            Item::Message {
                line,
                text,
                at,
                timed,
                begins,
            } => {
                format!(
                    "{line}:{text}@{}{}{}",
                    at.as_millis(),
                    if timed { "" } else { "?" },
                    if begins { "!" } else { "" }
                )
            }
            Item::Unreadable { line, reason } => format!("{line}!{reason}"),
        });
    }
    assert_eq!(lines.next(), None, "the end is final");
    out
}

fn recorded() -> Plays {
    Plays {
        recorded: true,
        ..Plays::default()
    }
}

fn read(path: &Path) -> Vec<String> {
    all(Lines::open(path, &Plays::default()).expect("it opens"))
}

#[test]
fn plain_and_compressed_files_read_alike() {
    let dir = Dir::new("alike");
    let text = "{\"a\":1}\n{\"b\":\"é\"}\r\n[3]";
    let expected = ["1:{\"a\":1}@0", "2:{\"b\":\"é\"}@0", "3:[3]@0"];
    assert_eq!(read(&dir.file("a.jsonl", text.as_bytes())), expected);
    assert_eq!(
        read(&dir.file("a.jsonl.gz", &gzip(text.as_bytes()))),
        expected
    );
    // Two members one after the other, as `cat a.gz b.gz` makes them.
    let two = [gzip(b"1\n2\n"), gzip(b"3\n")].concat();
    assert_eq!(read(&dir.file("two.gz", &two)), ["1:1@0", "2:2@0", "3:3@0"]);
    assert_eq!(read(&dir.file("empty.jsonl", b"")), [""; 0]);
}

#[test]
fn an_unreadable_line_has_its_number_and_the_rest_is_read() {
    let dir = Dir::new("lines");
    let path = dir.file("a.jsonl", b"{}\n\n{\"a\xFF\"}\n \t\n5\n");
    let expected = [
        "1:{}@0",
        "2!blank",
        "3!not UTF-8 from byte 4 on",
        "4!blank",
        "5:5@0",
    ];
    assert_eq!(read(&path), expected);

    let (texts, problems) = messages(std::slice::from_ref(&path), false);
    assert_eq!(texts, ["1:{}@0", "5:5@0"]);
    let told = |line: &str| format!("{}:{line}", path.display());
    assert_eq!(
        problems.report().collect::<Vec<_>>(),
        [
            told("2: blank"),
            told("3: not UTF-8 from byte 4 on"),
            told("4: blank")
        ]
    );
    assert_eq!(problems.unreadable(), 3);
}

/// The messages of all files as lines of text, and what was wrong.
fn messages(paths: &[PathBuf], recorded: bool) -> (Vec<String>, Problems) {
    let plays = Plays {
        recorded,
        ..Plays::default()
    };
    let mut source = Source::open(paths, &plays).expect("they open");
    let mut out = Vec::new();
    while let Some(next) = source.next(str::to_owned) {
        let begins = if next.begins { "!" } else { "" };
        let (line, due) = (next.place.line, next.due.as_millis());
        out.push(format!("{line}:{}@{due}{begins}", next.taken));
    }
    let problems = std::mem::take(&mut *source.problems());
    (out, problems)
}

#[test]
fn many_problems_are_counted_and_the_first_are_told() {
    let mut problems = Problems::default();
    for line in 1..=50 {
        let reason =
            [Reason::Blank, Reason::Refused("no id".to_owned())][usize::from(line > 40)].clone();
        problems.add(Path::new("f"), line, &reason);
    }
    assert_eq!(problems.unreadable(), 40);
    let report: Vec<_> = problems.report().collect();
    assert_eq!(report.len(), MAX_TOLD + 1);
    assert_eq!(report[MAX_TOLD], "and 30 more lines like these");
}

#[test]
fn a_cut_gzip_file_gives_what_it_has_and_says_where_it_ends() {
    let dir = Dir::new("cut");
    // Text that does not compress, so that lines come out before the cut.
    let mut rng = fastrand::Rng::with_seed(7);
    let text: String = (0..20_000)
        .map(|_| format!("\"{:x}\"\n", rng.u128(..)))
        .collect();
    let whole = gzip(text.as_bytes());
    let items = read(&dir.file("cut.gz", &whole[..whole.len() / 2]));
    let (last, messages) = items.split_last().expect("items");
    assert!(messages.len() > 1000);
    assert!(
        messages
            .iter()
            .zip(text.lines())
            .enumerate()
            .all(|(at, (item, line))| { *item == format!("{}:{line}@0", at + 1) })
    );
    let expected = format!(
        "{}!the file cannot be read from here on: ",
        messages.len() + 1
    );
    assert!(last.starts_with(&expected), "{last}");

    let mut broken = whole;
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xFF);
    let items = read(&dir.file("broken.gz", &broken));
    assert!(
        items
            .last()
            .expect("items")
            .contains("!the file cannot be read from here on: ")
    );
}

#[test]
fn a_line_beyond_the_bound_is_skipped_without_being_kept() {
    let mut line = Vec::new();
    let mut reader = BufReader::with_capacity(3, &b"12345678\n12345\n\n1"[..]);
    let mut next = || {
        (
            read_line(&mut reader, &mut line, 5).expect("in memory"),
            line.clone(),
        )
    };
    assert!(matches!(next(), (Outcome::TooLong, kept) if kept.len() <= 5));
    assert!(matches!(next(), (Outcome::Line, kept) if kept == b"12345"));
    assert!(matches!(next(), (Outcome::Line, kept) if kept.is_empty()));
    assert!(matches!(next(), (Outcome::Line, kept) if kept == b"1"));
    assert!(matches!(next(), (Outcome::End, _)));
}

#[test]
fn what_cannot_be_opened_is_told_in_one_line() {
    let dir = Dir::new("missing");
    let error = |path: &Path| {
        Lines::open(path, &Plays::default())
            .expect_err("it cannot be opened")
            .to_string()
    };
    let missing = error(&dir.0.join("none.jsonl"));
    assert!(
        missing.starts_with("cannot open ") && missing.contains("none.jsonl"),
        "{missing}"
    );
    assert!(
        missing.ends_with("; check the path") && !missing.contains('\n'),
        "{missing}"
    );
    assert!(error(&dir.0).contains("directory"));
    let path = dir.file("a.jsonl", b"1\n");
    let error = Lines::open(&path, &recorded())
        .expect_err("it has no times")
        .to_string();
    assert!(
        error.contains("a.recv.tsv.gz") && error.contains("--speed recorded"),
        "{error}"
    );
}

#[test]
fn recorded_times_count_from_the_first_line() {
    let dir = Dir::new("times");
    let base = 1_723_161_254_000_000_000u64;
    let row = |millis: u64| format!("{}\t0\n", base + millis * 1_000_000);
    let times = [row(0), row(5), "x\t0\n".to_owned(), row(7), row(6)].concat();
    let path = dir.file("a.jsonl.gz", &gzip(b"1\n\n3\n4\n5\n6\n"));
    dir.file("a.recv.tsv.gz", &gzip(times.as_bytes()));
    let lines = Lines::open(&path, &recorded()).expect("both open");
    assert_eq!(
        all(lines),
        ["1:1@0!", "2!blank", "3:3@5?", "4:4@7", "5:5@6", "6:6@6?"]
    );

    // The second file begins when the last message of the first is due.
    let (texts, problems) = messages(&[path.clone(), path], true);
    let first = ["1:1@0", "3:3@5", "4:4@7", "5:5@6", "6:6@6"];
    let second = ["1:1@6!", "3:3@11", "4:4@13", "5:5@12", "6:6@12"];
    assert_eq!(texts, [first, second].concat());
    assert_eq!(problems.report().count(), 6);
    assert_eq!(problems.unreadable(), 2);
}

#[test]
fn progress_ends_at_the_size_of_the_file() {
    let dir = Dir::new("progress");
    let bytes = gzip("{\"a\":1}\n".repeat(10_000).as_bytes());
    let lines = Lines::open(&dir.file("a.gz", &bytes), &Plays::default()).expect("it opens");
    let progress = lines.progress();
    assert_eq!(all(lines).len(), 10_000);
    assert_eq!(
        (progress.bytes(), progress.total),
        (bytes.len() as u64, bytes.len() as u64)
    );
}

/// What a recorder writes that lines alone cannot say.
#[test]
fn rows_put_messages_of_several_lines_together() {
    let dir = Dir::new("rows");
    let path = dir.file("a.jsonl.gz", &gzip(b"1\r\none\n\ntwo\r\n\n3\n\n 4\nfive\n"));
    let rows = "10\t0\n20\t0\n20\t0\t+\n20\t0\t+\n30\t1\t.\n40\t0\n50\t1\n60\t0\n70\t0\n70\t0\t+\n";
    dir.file("a.recv.tsv.gz", &gzip(rows.as_bytes()));
    let expected = [
        "1:1\r@0!",
        "2:one\n\ntwo\r@0",
        "5:@0",
        "6:3@0",
        "7!blank",
        "8: 4@0",
        "9!the file ends within this message",
    ];
    assert_eq!(read(&path), expected);
    // Without rows there is nothing to be known of it.
    let plain = dir.file("b.jsonl", b"1\r\none\n\n");
    assert_eq!(read(&plain), ["1:1@0", "2:one@0", "3!blank"]);
}

#[test]
fn a_connection_begins_where_all_before_it_have_ended() {
    let dir = Dir::new("connections");
    let path = dir.file("a.jsonl", b"0\n1\n2\n3\n4\n5\n6\n7\n");
    let rows = ["0", "1", "1\t+", "0", "3", "2", "3", "5"];
    let rows: String = rows.iter().map(|row| format!("1\t{row}\n")).collect();
    dir.file("a.recv.tsv", rows.as_bytes());
    let expected = [
        "1:0@0!", "2:1\n2@0", "4:3@0", "5:4@0!", "6:5@0", "7:6@0", "8:7@0!",
    ];
    assert_eq!(read(&path), expected);
    let only = Plays {
        connections: vec![2, 1],
        ..Plays::default()
    };
    let lines = Lines::open(&path, &only).expect("both open");
    assert_eq!(all(lines), ["2:1\n2@0!", "6:5@0!"]);
    let missing = Lines::open(&dir.file("c.jsonl", b"1\n"), &only).expect_err("no rows");
    assert!(
        missing.to_string().contains("leave out `--connection`"),
        "{missing}"
    );
}
