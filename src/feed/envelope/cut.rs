//! Which part of a text counts.

/// One cut through a text. What is cut at must be in the text, or nothing is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Before(Box<str>),
    BeforeLast(Box<str>),
    After(Box<str>),
    AfterLast(Box<str>),
    /// The part of this number between separators; negative ones count from the end.
    Part(Box<str>, i32),
    /// As `Before`, but a text without the separator is left whole.
    Until(Box<str>),
}

impl Cut {
    #[inline]
    pub(super) fn apply<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Before(at) => text.split_once(&**at).map(|(before, _)| before),
            Self::BeforeLast(at) => text.rsplit_once(&**at).map(|(before, _)| before),
            Self::After(at) => text.split_once(&**at).map(|(_, after)| after),
            Self::AfterLast(at) => text.rsplit_once(&**at).map(|(_, after)| after),
            Self::Part(at, part) if *part >= 0 => text.split(&**at).nth(*part as usize),
            Self::Part(at, part) => text.rsplit(&**at).nth((-1 - part) as usize),
            Self::Until(at) => text.split(&**at).next(),
        }
    }
}

/// How the letters of a text are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Case {
    #[default]
    AsIs,
    Lower,
    Upper,
}

impl Case {
    /// Changes the letters of `text` behind the byte `from`.
    pub(super) fn apply(self, text: &mut String, from: usize) {
        if self == Self::AsIs {
            return;
        }
        if text.as_bytes()[from..].is_ascii() {
            // Moves no bytes, and allocates nothing.
            let tail = &mut text[from..];
            match self {
                Self::Upper => tail.make_ascii_uppercase(),
                _ => tail.make_ascii_lowercase(),
            }
            return;
        }
        let tail = &text[from..];
        let changed = match self {
            Self::Upper => tail.to_uppercase(),
            _ => tail.to_lowercase(),
        };
        text.truncate(from);
        text.push_str(&changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_the_part_that_was_asked_for_or_nothing() {
        let cases = [
            (Cut::Before(".".into()), "a.b.c", Some("a")),
            (Cut::BeforeLast(".".into()), "a.b.c", Some("a.b")),
            (Cut::After(".".into()), "a.b.c", Some("b.c")),
            (Cut::AfterLast(".".into()), "a.b.c", Some("c")),
            (Cut::Part(".".into(), 0), "a.b.c", Some("a")),
            (Cut::Part(".".into(), 1), "a.b.c", Some("b")),
            (Cut::Part(".".into(), -1), "a.b.c", Some("c")),
            (Cut::Part(".".into(), -3), "a.b.c", Some("a")),
            (Cut::Part(".".into(), 3), "a.b.c", None),
            (Cut::Part(".".into(), -4), "a.b.c", None),
            (Cut::Part(".".into(), i32::MIN), "a.b.c", None),
            (Cut::Until(".".into()), "a.b.c", Some("a")),
            (Cut::Until(".".into()), "abc", Some("abc")),
            (Cut::Before("::".into()), "a::b", Some("a")),
            (Cut::After(":".into()), "/market/ticker:", Some("")),
            (Cut::Before(".".into()), "abc", None),
            (Cut::BeforeLast(".".into()), "abc", None),
            (Cut::After(".".into()), "abc", None),
            (Cut::AfterLast(".".into()), "abc", None),
        ];
        for (cut, text, expected) in cases {
            assert_eq!(cut.apply(text), expected, "{cut:?} {text}");
        }
    }

    #[test]
    fn letters_are_changed_behind_a_place_only() {
        let changed = |case: Case, text: &str| {
            let mut text = text.to_owned();
            case.apply(&mut text, 2);
            text
        };
        assert_eq!(changed(Case::Upper, "x.btc"), "x.BTC");
        assert_eq!(changed(Case::Lower, "X.BTC-é"), "X.btc-é");
        assert_eq!(changed(Case::Upper, "x.straße"), "x.STRASSE");
        assert_eq!(changed(Case::AsIs, "x.Btc"), "x.Btc");
    }
}
