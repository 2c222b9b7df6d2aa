//! Messages as trees that can be changed in ways in which no JSON library would let them: members in
//! any order, names repeated, tokens that are anything.

#[path = "../kit/random.rs"]
mod random;

use std::collections::BTreeSet;

use serde_json::Value as Json;

use random::Random;

/// Each so many of [`TOKENS`] is put under a name a second time: an empty text, and others.
const REPEATED: usize = 5;

/// What takes the place of a token.
const TOKENS: [&str; 21] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e400",
    "18446744073709551616",
    "99999999999999999999999999999999",
    r#""""#,
    r#""x""#,
    r#"" ""#,
    r#""18446744073709551615""#,
    r#""-7""#,
    r#""\u0042TC\/\ud83d\ude00""#,
    r#""a.b:c@d""#,
    "[]",
    "{}",
    "[[]]",
    r#"[null,{"s":"N","symbol":"N","type":"ticker"}]"#,
    r#"{"s":{"s":[]},"":null}"#,
];

/// A message as it stands: members in order, names possibly repeated, tokens as text.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Token(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

pub(crate) struct Rng(Random);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.pick(bound)
    }

    pub(crate) fn token(&mut self) -> Node {
        let token = match self.below(TOKENS.len() + 3) {
            0 => "7".repeat(400),
            1 => format!("{}{}", "[".repeat(300), "]".repeat(300)),
            2 => format!("{:?}", "y".repeat(20_000)),
            n => TOKENS[n - 3].to_owned(),
        };
        Node::Token(token)
    }
}

impl Node {
    pub(crate) fn of(value: &serde_json::value::RawValue) -> Self {
        struct Members(Vec<(String, Node)>);
        impl<'de> serde::Deserialize<'de> for Members {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct InOrder;
                impl<'de> serde::de::Visitor<'de> for InOrder {
                    type Value = Members;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<M: serde::de::MapAccess<'de>>(
                        self,
                        mut map: M,
                    ) -> Result<Members, M::Error> {
                        let mut members = Vec::new();
                        while let Some((name, value)) =
                            map.next_entry::<String, Box<serde_json::value::RawValue>>()?
                        {
                            members.push((name, Node::of(&value)));
                        }
                        Ok(Members(members))
                    }
                }
                from.deserialize_map(InOrder)
            }
        }
        let text = value.get();
        if text.starts_with('{') {
            let members: Members = serde_json::from_str(text).expect("an object");
            return Self::Object(members.0);
        }
        if text.starts_with('[') {
            let elements: Vec<&serde_json::value::RawValue> =
                serde_json::from_str(text).expect("an array");
            return Self::Array(elements.into_iter().map(Self::of).collect());
        }
        Self::Token(text.to_owned())
    }

    pub(crate) fn parse(text: &str) -> Self {
        Self::of(serde_json::from_str(text).expect("the samples are JSON"))
    }

    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Token(text) => out.push_str(text),
            Self::Array(elements) => {
                for (i, element) in elements.iter().enumerate() {
                    out.push(if i == 0 { '[' } else { ',' });
                    element.write(out);
                }
                out.push_str(if elements.is_empty() { "[]" } else { "]" });
            }
            Self::Object(members) => {
                for (i, (name, member)) in members.iter().enumerate() {
                    out.push(if i == 0 { '{' } else { ',' });
                    out.push_str(&Json::from(&**name).to_string());
                    out.push(':');
                    member.write(out);
                }
                out.push_str(if members.is_empty() { "{}" } else { "}" });
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    pub(crate) fn count(&self) -> usize {
        1 + match self {
            Self::Token(_) => 0,
            Self::Array(elements) => elements.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, member)| member.count()).sum(),
        }
    }

    /// The node with this number, the root being 0.
    pub(crate) fn nth(&mut self, n: &mut usize) -> Option<&mut Self> {
        if *n == 0 {
            return Some(self);
        }
        *n -= 1;
        match self {
            Self::Token(_) => None,
            Self::Array(elements) => elements.iter_mut().find_map(|element| element.nth(n)),
            Self::Object(members) => members.iter_mut().find_map(|(_, member)| member.nth(n)),
        }
    }

    pub(crate) fn any(&mut self, rng: &mut Rng) -> &mut Self {
        let mut n = rng.below(self.count());
        self.nth(&mut n).expect("there are so many")
    }

    /// The same with the members of every object in another order.
    pub(crate) fn shuffled(mut self, rng: &mut Rng) -> Self {
        match &mut self {
            Self::Token(_) => {}
            Self::Array(elements) => {
                for element in elements {
                    *element = element.clone().shuffled(rng);
                }
            }
            Self::Object(members) => {
                for i in (1..members.len()).rev() {
                    members.swap(i, rng.below(i + 1));
                }
                for (_, member) in members {
                    *member = member.clone().shuffled(rng);
                }
            }
        }
        self
    }

    /// The last member of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .rfind(|(own, _)| own == name)
            .map(|(_, member)| member)
    }

    /// The text that the token is.
    pub(crate) fn unescaped(&self) -> Option<String> {
        match self {
            Self::Token(token) => serde_json::from_str(token).ok(),
            _ => None,
        }
    }

    /// All texts in it, in capitals: some presets take the id so.
    pub(crate) fn texts(&self, into: &mut BTreeSet<String>) {
        match self {
            Self::Token(_) => into.extend(self.unescaped().map(|text| text.to_uppercase())),
            Self::Array(elements) => elements.iter().for_each(|node| node.texts(into)),
            Self::Object(members) => members.iter().for_each(|(_, node)| node.texts(into)),
        }
    }

    /// The same with the members of every object in the order of their names.
    pub(crate) fn sorted(mut self) -> Self {
        match &mut self {
            Self::Token(_) => {}
            Self::Array(elements) => {
                for element in elements {
                    *element = element.clone().sorted();
                }
            }
            Self::Object(members) => {
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (_, member) in members {
                    *member = member.clone().sorted();
                }
            }
        }
        self
    }

    /// Every member with every other token, and repeated before and behind with some.
    pub(crate) fn changes(mut self) -> Vec<Self> {
        let mut changes = Vec::new();
        for n in 0..self.count() {
            let Some(Self::Object(members)) = self.nth(&mut n.clone()) else {
                continue;
            };
            let members = members.clone();
            for (i, (name, _)) in members.iter().enumerate() {
                for (t, token) in TOKENS.iter().enumerate() {
                    let with = Self::Token((*token).to_owned());
                    let mut change = |members: Vec<(String, Self)>| {
                        let mut changed = self.clone();
                        *changed.nth(&mut n.clone()).expect("it was there") = Self::Object(members);
                        changes.push(changed);
                    };
                    let mut replaced = members.clone();
                    replaced[i].1 = with.clone();
                    change(replaced);
                    if t % REPEATED == 0 {
                        change([vec![(name.clone(), with.clone())], members.clone()].concat());
                        change([members.clone(), vec![(name.clone(), with)]].concat());
                    }
                }
            }
        }
        changes
    }

    /// One change of any kind somewhere.
    pub(crate) fn mutate(&mut self, rng: &mut Rng) {
        let (with, other) = (rng.token(), self.clone().any(rng).clone());
        let (kind, place, at) = (rng.below(7), rng.0.next() as usize, self.any(rng));
        match (at, kind) {
            (Self::Object(members), 0..=4) if !members.is_empty() => {
                let i = place % members.len();
                let name = members[i].0.clone();
                match kind {
                    0 => drop(members.remove(i)),
                    1 => members.push((name, with)),
                    2 => members.insert(0, (name, with)),
                    3 => members.push((name, other)),
                    _ => members[i].0.push('_'),
                }
            }
            (Self::Array(elements), 0..=4) if !elements.is_empty() => {
                let i = place % elements.len();
                match kind {
                    0 => drop(elements.remove(i)),
                    1 => elements.push(with),
                    2 => elements.insert(0, with),
                    3 => elements.push(other),
                    _ => elements.clear(),
                }
            }
            (at, 5) => *at = other,
            (at, _) => *at = with,
        }
    }
}
