//! Random patches against two oracles that share no code with the engine: RFC 7396 walked over trees,
//! line by line, and the crate `json-patch`.
//!
//! `MERGES=1000000` for as many by hand; `SEED` for another run, or the same again.

use serde_json::Value;

use crate::merge::Merger;
use crate::random::Random;
use crate::tree::Tree;

const MERGES: u64 = 100_000;
const IDS: u64 = 8;

/// Names that are awkward one way or the other: empty, escaped, equal but for case or escapes, long,
/// of all lengths that cells, templates and tables care about.
const NAMES: [&str; 24] = [
    "",
    "a",
    "b",
    "c",
    "d",
    "A",
    "ab",
    "payload",
    "entity",
    "id",
    " ",
    "\\u0061",
    "\\u0000",
    "\\\"",
    "\\\\",
    "a.b",
    "a/b",
    "é",
    "😀",
    "\\ud83d\\ude00",
    "0",
    "null",
    "a name that is longer than fifteen bytes and than a cell",
    "__proto__",
];

const TOKENS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "1.50",
    "1e400",
    "18446744073709551616",
    "123456789012345678901234567890",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "\"null\"",
    "\"\\ud83d\\ude00\"",
    "\"fifteen bytes..\"",
    "\"sixteen bytes...\"",
    "\"a text that does not fit a cell by far, and then some\"",
    "[]",
    "[null]",
    "[{\"a\":null}]",
    "[[],{}]",
    "[1, 2 ,3]",
    "\"\\u0000\"",
];

/// How many names one cache gets to see: all of them below each other would make trees of thousands
/// of paths, which take their time and are all in the form of documents.
const NAMES_AT_ONCE: usize = 4;

struct Writer {
    random: Random,
    names: [&'static str; NAMES_AT_ONCE],
}

impl Writer {
    fn below(&mut self, bound: usize) -> usize {
        self.random.pick(bound)
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn other_names(&mut self) {
        self.names = std::array::from_fn(|_| self.of(&NAMES));
    }

    fn value(&mut self, depth: usize) -> String {
        match self.below(10) {
            0..3 if depth < 2 => self.object(depth + 1),
            3..5 => "null".to_owned(),
            _ => self.of(&TOKENS).to_owned(),
        }
    }

    fn object(&mut self, depth: usize) -> String {
        let few = self.below(5);
        // Both sides of where readers change their tables, now and then.
        let many = [31, 32, 33, 40][self.below(4)];
        let members = if depth == 0 && self.below(40) == 0 {
            many
        } else {
            few
        };
        let mut text = String::from("{");
        for at in 0..members {
            let comma = if at > 0 { "," } else { "" };
            let name = match members > 30 && self.below(8) > 0 {
                true => format!("m{at}"),
                false => self.names[self.below(NAMES_AT_ONCE)].to_owned(),
            };
            let value = self.value(depth);
            text.push_str(&format!("{comma}\"{name}\":{value}"));
        }
        text.push('}');
        text
    }

    /// A patch: mostly an object.
    fn patch(&mut self) -> String {
        match self.below(30) {
            0 => self.of(&TOKENS).to_owned(),
            1 => "null".to_owned(),
            _ => self.object(0),
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// What the crate `json-patch` makes of the same patches. It reads numbers as floats, so what no float
/// holds is written smaller for it, and for what it is held against.
struct Foreign([Value; IDS as usize]);

impl Foreign {
    fn new() -> Self {
        Self([const { Value::Null }; IDS as usize])
    }

    fn read(text: &str) -> Value {
        serde_json::from_str(&text.replace("1e400", "1e300")).expect("JSON")
    }

    #[track_caller]
    fn merge(&mut self, id: usize, patch: &str, shown: Option<&Tree>) {
        json_patch::merge(&mut self.0[id], &Self::read(patch));
        let shown = shown.map_or(Value::Null, |tree| Self::read(&tree.to_string()));
        assert_eq!(shown, self.0[id], "{patch}");
    }
}

#[test]
fn random_patches_agree_with_the_oracle() {
    let (merges, seed) = (number("MERGES", MERGES), number("SEED", 7396));
    let mut writer = Writer {
        random: Random::new(seed),
        names: [""; NAMES_AT_ONCE],
    };
    let mut merger = Merger::new();
    let mut foreign = Foreign::new();
    let mut expected: [Option<Tree>; IDS as usize] = [const { None }; IDS as usize];
    for nth in 0..merges {
        if nth % 2_000 == 0 {
            // Names are learned for good: a new cache has a small schema again.
            merger = Merger::new();
            foreign = Foreign::new();
            writer.other_names();
            expected = [const { None }; IDS as usize];
        }
        let id = writer.below(IDS as usize);
        let patch = writer.patch();
        merger.merge(id as u64, &patch);
        let parsed = Tree::parse(&patch).expect("JSON");
        let slot = &mut expected[id];
        *slot = if parsed.is_null() {
            None
        } else {
            let old = slot.take().unwrap_or_else(Tree::empty);
            Some(old.merged(parsed))
        };
        let shown = merger.shown(id as u64);
        assert_eq!(
            shown, *slot,
            "seed {seed}, merge {nth} of {merges}: {patch}"
        );
        foreign.merge(id, &patch, shown.as_ref());
    }
}
