//! From a parsed message to a template of it.
//!
//! Every scalar is a hole, whatever its kind: a number that is `null` now and then needs no second
//! template. An array is structure if it is the message itself, or holds an object and has few
//! elements; otherwise it is one hole, so that lists of any length fit.

use std::hash::{BuildHasher, Hasher};

use super::super::items::{Decoded, Item};
use super::scan::{Layout, Literal, SHORTEST};
use super::spots::Spots;
use super::template::{Hole, NO_HOLE, Place, Template};
use crate::record::Kind;

/// A message of more bytes is not learned. One that fits a template may be of any length.
pub(super) const LONGEST: usize = 16 * 1024;
/// The most items of a template.
const MOST_ITEMS: usize = 2048;
/// The deepest array or object of a template, holes apart.
const DEEPEST: u32 = 32;
/// An array with more elements is not structure unless it is the whole message.
const FEW_ELEMENTS: usize = 4;
/// The same of an array that the protocol looks into.
const SOME_ELEMENTS: usize = 16;

/// Takes messages apart into literals and holes; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// First byte of each hole and one past the last, quotes included.
    holes: Vec<(u32, u32)>,
    /// How many arrays and objects may lie inside each other in each hole.
    rooms: Vec<u32>,
    /// Of each hole: where it is, as a hash.
    paths: Vec<u64>,
    /// The items that are left: those of the parser but for what is inside of holes. `extra` of an
    /// array or object counts these.
    items: Vec<Item>,
    /// The hash of the literals.
    pub(super) fingerprint: u64,
}

/// A message that is not learned, or not as it is.
struct Unfit;

impl Outline {
    /// Takes `message` apart, which is nested `max_depth` deep at most; `looked` are the paths of
    /// arrays that the protocol looks into. Whether a template can be made of it.
    pub(super) fn draw(
        &mut self,
        decoded: &Decoded,
        message: &[u8],
        max_depth: u32,
        looked: &[u64],
    ) -> bool {
        let Self {
            holes,
            rooms,
            paths,
            items,
            ..
        } = self;
        holes.clear();
        rooms.clear();
        paths.clear();
        items.clear();
        let lengths = SHORTEST..=LONGEST;
        let nested = |item: &Item| matches!(item.kind, Kind::Array | Kind::Object);
        if !lengths.contains(&message.len()) || !decoded.items.first().is_some_and(nested) {
            return false;
        }
        let mut walk = Walk {
            outline: self,
            decoded,
            message,
            max_depth,
            looked,
        };
        if walk.value(0, 0, 0).is_err() {
            return false;
        }
        self.fingerprint = self.hash(message);
        true
    }

    fn hash(&self, message: &[u8]) -> u64 {
        let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
        let mut from = 0;
        for &(start, end) in &self.holes {
            hasher.write(&message[from..start as usize]);
            hasher.write_u32(start - from as u32);
            from = end as usize;
        }
        hasher.write(&message[from..]);
        hasher.finish()
    }

    /// Whether two members of one object have the same name. Names have no escapes here.
    fn repeats(&self, message: &[u8]) -> bool {
        let mut names = Vec::new();
        let mut next = vec![(0, self.items.len() as u32)];
        while let Some((mut at, end)) = next.pop() {
            while at < end {
                let item = self.items[at as usize];
                match item.kind {
                    Kind::Object => {
                        names.clear();
                        let mut member = at + 1;
                        while member < item.extra {
                            let name = self.items[member as usize];
                            names.push(&message[name.start as usize..name.end as usize]);
                            next.push((member + 1, member + 2));
                            member = self.after(member + 1);
                        }
                        names.sort_unstable();
                        if names.windows(2).any(|pair| pair[0] == pair[1]) {
                            return true;
                        }
                    }
                    Kind::Array => next.push((at + 1, item.extra)),
                    _ => {}
                }
                at = self.after(at);
            }
        }
        false
    }

    /// The item after `at` and all that it holds.
    fn after(&self, at: u32) -> u32 {
        self.items[at as usize].extra
    }

    /// The template of the message that was drawn last; `None` if the message repeats a name.
    pub(super) fn template(&self, message: &[u8]) -> Option<Template> {
        if self.repeats(message) {
            return None;
        }
        let mut text = Vec::new();
        let mut literals = Vec::with_capacity(self.holes.len());
        let mut from = 0;
        for (&(start, end), &room) in self.holes.iter().zip(&self.rooms) {
            let literal = &message[from..start as usize];
            let mut head = [0; 16];
            let short = literal.len().min(16);
            head[..short].copy_from_slice(&literal[..short]);
            literals.push(Literal {
                head,
                end: literal.last_chunk().copied().unwrap_or_default(),
                bits: (1 << literal.len().min(17)) - 1,
                length: literal.len() as u32,
                at: text.len() as u32,
                room,
            });
            text.extend_from_slice(literal);
            from = end as usize;
        }
        let tail = &message[from..];
        text.extend_from_slice(tail);
        let mut last = [0; 16];
        let short = tail.len().min(16);
        last[16 - short..].copy_from_slice(&tail[tail.len() - short..]);
        let count = self.holes.len();
        Some(Template {
            sample: message.into(),
            items: self.items.as_slice().into(),
            places: self.places(),
            holes: vec![Hole::EMPTY; count].into(),
            memo: Default::default(),
            inside: (0..count).map(|_| Default::default()).collect(),
            opened: Default::default(),
            layout: Layout {
                literals: literals.into(),
                tail: last,
                tail_bits: 0xffff & !(0xffff >> short),
                tail_length: tail.len() as u32,
                careful: text.iter().any(|byte| matches!(byte, b'\\' | 0..0x20)),
                text: text.into(),
                spots: Spots::new(message, &self.holes),
            },
            paths: self.paths.as_slice().into(),
            fingerprint: self.fingerprint,
            used: 0,
            successor: 0,
        })
    }

    fn places(&self) -> Box<[Place]> {
        let mut hole = 0;
        let mut place = |item: &Item| {
            let (start_anchor, start) = self.anchored(item.start);
            let (end_anchor, end) = self.anchored(item.end);
            // The opening quote of a string is the first byte of its hole.
            let first = match item.kind {
                Kind::String | Kind::EscapedString => item.start - 1,
                _ => item.start,
            };
            let is_hole = self.holes.get(hole).is_some_and(|hole| hole.0 == first);
            let number = if is_hole { hole as u32 } else { NO_HOLE };
            hole += usize::from(is_hole);
            Place {
                hole: number,
                kind: item.kind,
                start_anchor,
                start,
                end_anchor,
                end,
                next: item.extra,
            }
        };
        self.items.iter().map(&mut place).collect()
    }

    /// How many holes end at or before `position`, and how far it is behind the last of them.
    fn anchored(&self, position: u32) -> (u32, u32) {
        let anchor = self.holes.partition_point(|hole| hole.1 <= position);
        let base = anchor.checked_sub(1).map_or(0, |hole| self.holes[hole].1);
        (anchor as u32, position - base)
    }
}

struct Walk<'a> {
    outline: &'a mut Outline,
    decoded: &'a Decoded,
    message: &'a [u8],
    max_depth: u32,
    looked: &'a [u64],
}

impl Walk<'_> {
    /// Takes the value `at` apart, which is inside of `depth` others, and gives the item after it.
    fn value(&mut self, at: u32, depth: u32, path: u64) -> Result<u32, Unfit> {
        let item = self.decoded.items[at as usize];
        if self.outline.items.len() == MOST_ITEMS {
            return Err(Unfit);
        }
        let kept = self.outline.items.len();
        self.outline.items.push(Item {
            extra: kept as u32 + 1,
            ..item
        });
        let (next, end) = match item.kind {
            Kind::Object => (at + 1, item.extra),
            Kind::Array if self.is_structure(at, path)? => (at + 1, item.extra),
            Kind::Array => {
                self.hole(item.start, item.end, depth, path);
                return Ok(item.extra);
            }
            Kind::String | Kind::EscapedString => {
                self.hole(item.start - 1, item.end + 1, depth, path);
                return Ok(at + 1);
            }
            _ => {
                self.hole(item.start, item.end, depth, path);
                return Ok(at + 1);
            }
        };
        if depth == DEEPEST {
            return Err(Unfit);
        }
        let mut next = next;
        while next < end {
            let mut inner = path;
            if item.kind == Kind::Object {
                inner = self.name(next, path)?;
                next += 1;
            } else {
                // Elements of one array share a path.
                inner = mix(inner, b"");
            }
            next = self.value(next, depth + 1, inner)?;
        }
        self.outline.items[kept].extra = self.outline.items.len() as u32;
        Ok(end)
    }

    /// The name `at`, as the path to its value.
    fn name(&mut self, at: u32, path: u64) -> Result<u64, Unfit> {
        let name = self.decoded.items[at as usize];
        if name.kind != Kind::String {
            // An escape may write one name in many ways.
            return Err(Unfit);
        }
        let extra = self.outline.items.len() as u32 + 1;
        self.outline.items.push(Item { extra, ..name });
        Ok(mix(
            path,
            &self.message[name.start as usize..name.end as usize],
        ))
    }

    fn hole(&mut self, start: u32, end: u32, depth: u32, path: u64) {
        self.outline.holes.push((start, end));
        // What the protocol looks into would be parsed then: it is better parsed at once.
        let room = if self.looked.contains(&path) {
            0
        } else {
            self.max_depth.saturating_sub(depth)
        };
        self.outline.rooms.push(room);
        self.outline.paths.push(path);
    }

    /// Whether the elements of the array `at` are part of the template. It is unfit for one if the
    /// protocol looks into an array of many elements: a template would only be in the way.
    fn is_structure(&self, at: u32, path: u64) -> Result<bool, Unfit> {
        if at == 0 {
            return Ok(true);
        }
        let end = self.decoded.items[at as usize].extra;
        let (mut next, mut count, mut objects) = (at + 1, 0, false);
        while next < end && count <= SOME_ELEMENTS {
            let item = self.decoded.items[next as usize];
            objects |= item.kind == Kind::Object;
            count += 1;
            next = match item.kind {
                Kind::Array | Kind::Object => item.extra,
                _ => next + 1,
            };
        }
        if self.looked.contains(&path) {
            return if count <= SOME_ELEMENTS {
                Ok(true)
            } else {
                Err(Unfit)
            };
        }
        Ok(objects && count <= FEW_ELEMENTS)
    }
}

/// The path one step further down.
fn mix(path: u64, step: &[u8]) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(path).build_hasher();
    hasher.write(step);
    hasher.finish()
}
