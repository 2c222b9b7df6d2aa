//! A sequence of messages taken through decoder, compiler and merge, each step compared with the
//! oracle. Used by the tests and by the fuzz target, which name the crate differently: hence
//! `super`.

use super::{
    json::{Decoder, compile, tree, write_record, write_tree},
    oracle::{How, Json},
    record::{Limits, Mode, Patch, Record, Schema, SchemaSource, Tree},
};

/// Small, so that depth is reached by short messages.
const DEPTH: u32 = 12;

/// How many messages were accepted. The first byte of `input` chooses the room of the schema and
/// the modes of the messages, which are the lines after it.
///
/// # Panics
///
/// If anything differs from the oracle.
pub(super) fn replay(input: &[u8]) -> usize {
    let Some((&choice, lines)) = input.split_first() else {
        return 0;
    };
    let max_fields = if choice & 1 == 0 { 6 } else { 1024 };
    let limits = Limits {
        max_fields,
        max_depth: DEPTH,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(DEPTH);
    let mut schema = Schema::new(limits);
    let mut patch = Patch::new();
    let mut record = Record::absent(schema.layout().clone());
    let mut as_tree: Option<Tree> = None;
    let mut expected: Option<Json> = None;
    let mut accepted = 0;
    for (nth, line) in lines.split(|&byte| byte == b'\n').enumerate() {
        let (mode, how) = match (u32::from(choice) >> 1).wrapping_add(nth as u32) % 8 {
            0 => (Mode::Replace, How::Replace),
            1 | 2 => (Mode::Shallow, How::Shallow),
            3 => (Mode::MergeNull, How::MergeNull),
            _ => (Mode::Merge, How::Merge),
        };
        let theirs = Json::read(line, DEPTH);
        let ours = decoder.decode(line);
        assert_eq!(
            ours.is_ok(),
            theirs.is_some(),
            "{:?}",
            String::from_utf8_lossy(line)
        );
        let (Ok(message), Some(theirs)) = (ours, theirs) else {
            continue;
        };
        accepted += 1;
        let root = message.root();
        assert_eq!(Json::read(root.raw(), DEPTH).as_ref(), Some(&theirs));

        compile(root, mode, &limits, &mut schema, &mut patch).expect("within the limits");
        record.apply(&patch, mode, schema.layout());
        let again = record.apply(&patch, mode, schema.layout());
        assert!(
            !again.any(),
            "the same message changes nothing the second time"
        );

        let message = tree(root);
        as_tree = Some(match &as_tree {
            Some(old) => old.merged(&message, mode),
            None => Tree::object([]).merged(&message, mode),
        });
        expected = Some(theirs.onto(expected, how));

        let mut out = Vec::new();
        write_record(record.as_ref(), &mut out);
        assert_eq!(
            Json::read(&out, u32::MAX),
            expected,
            "{}",
            String::from_utf8_lossy(&out)
        );
        out.clear();
        as_tree.iter().for_each(|tree| write_tree(tree, &mut out));
        assert_eq!(
            Json::read(&out, u32::MAX),
            expected,
            "{}",
            String::from_utf8_lossy(&out)
        );
    }
    accepted
}
