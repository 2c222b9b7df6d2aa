//! One learned message: its literals, its holes, and the table of items over them.

use std::cell::{Cell, OnceCell};

use super::super::{
    items::{Decoded, Item},
    plan::Memo,
    tape::items_of,
};
use super::scan::Layout;
use crate::key::same;
use crate::record::{Kind, SHORT_TOKEN, Token};

/// [`Place::hole`] of an item that is no hole.
pub(in super::super) const NO_HOLE: u32 = u32::MAX;

/// The token that a hole has in the message at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(in super::super) struct Hole {
    /// The cell of the token, as `record::cell` has it. Means nothing for an array and for a token
    /// of more than 15 bytes.
    pub(in super::super) cell: [u64; 2],
    /// First byte of the token. Strings are counted without their quotes.
    pub(in super::super) start: u32,
    /// One past the last byte of the token.
    pub(in super::super) end: u32,
    /// What the token is: neither an object nor a string with escapes.
    pub(in super::super) kind: Kind,
}

// Two to a cache line.
const _: () = assert!(size_of::<Hole>() == 32);

impl Hole {
    pub(super) const EMPTY: Self = Self {
        cell: [0; 2],
        start: 0,
        end: 0,
        kind: Kind::Null,
    };

    /// Whether the token is one cell.
    #[inline(always)]
    pub(in super::super) fn is_short(&self) -> bool {
        (self.end - self.start) as usize <= SHORT_TOKEN && self.kind != Kind::Array
    }

    /// Where the literal after the hole begins: at its end, or behind the closing quote.
    #[inline(always)]
    pub(super) fn after(&self) -> u32 {
        self.end.wrapping_add(u32::from(self.kind == Kind::String))
    }

    /// Bytes of the token with its quotes.
    #[inline]
    pub(super) fn width(&self) -> u32 {
        let quotes = 2 * u32::from(self.kind == Kind::String);
        self.end.wrapping_sub(self.start) + quotes
    }

    /// The token, in the message that the holes were filled from last.
    #[inline]
    pub(in super::super) fn token<'a>(&self, message: &'a [u8]) -> Token<'a> {
        Token {
            kind: self.kind,
            text: &message[self.start as usize..self.end as usize],
        }
    }
}

/// Where one item of the template lies in the message at hand.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Place {
    /// Which hole it is, or [`NO_HOLE`]: then it is a name, an object or an array, and fixed.
    pub(in super::super) hole: u32,
    /// Of a fixed item: what it is.
    pub(in super::super) kind: Kind,
    /// Of a fixed item: so many holes stand before its first byte.
    pub(in super::super) start_anchor: u32,
    /// Of a fixed item: its first byte, counted from the literal after that many holes.
    pub(in super::super) start: u32,
    /// As `start_anchor`, of the end.
    pub(in super::super) end_anchor: u32,
    /// As `start`, of the end.
    pub(in super::super) end: u32,
    /// The item after this one and all that it holds.
    pub(in super::super) next: u32,
}

/// One learned message, and the holes of the last message that was matched against it.
#[derive(Debug)]
pub(in super::super) struct Template {
    /// The message that it was learned from.
    pub(in super::super) sample: Box<[u8]>,
    /// The items of the sample, as the parser lists them, but that those inside array holes are
    /// left out.
    pub(in super::super) items: Box<[Item]>,
    /// The same items, as places in the message at hand.
    pub(in super::super) places: Box<[Place]>,
    /// The holes of the message at hand.
    pub(in super::super) holes: Box<[Hole]>,
    /// What is inside the array holes that somebody looked into, by hole; positions count from the
    /// array's own first byte. Empty but for those.
    pub(in super::super) inside: Box<[OnceCell<Box<Decoded>>]>,
    /// What readers have found out about the layout.
    pub(in super::super) memo: Memo,
    /// Whether any of `inside` is not empty.
    pub(super) opened: Cell<bool>,
    /// The literals, made for comparing.
    pub(super) layout: Layout,
    /// Where in a message the arrays among the holes are, as a hash of the names that lead there.
    pub(super) paths: Box<[u64]>,
    /// A hash of the literals.
    pub(super) fingerprint: u64,
    /// When it fitted last, counted in messages.
    pub(super) used: u64,
    /// Which template fitted the message after the last one that this one fitted.
    pub(super) successor: usize,
}

impl Template {
    /// Where the literal after `anchor` holes begins.
    #[inline]
    pub(in super::super) fn base(&self, anchor: u32) -> u32 {
        match anchor.checked_sub(1) {
            None => 0,
            Some(hole) => self.holes[hole as usize].after(),
        }
    }

    /// What the item `at` of the message at hand is.
    #[inline]
    pub(in super::super) fn kind(&self, at: u32) -> Kind {
        let place = &self.places[at as usize];
        match self.holes.get(place.hole as usize) {
            Some(hole) => hole.kind,
            None => place.kind,
        }
    }

    /// The member of the item `object` with this name. Names are the same in all messages that fit,
    /// none has an escape, and none is there twice.
    pub(in super::super) fn member(&self, object: u32, name: &[u8]) -> Option<u32> {
        let of = &self.places[object as usize];
        if of.hole != NO_HOLE || of.kind != Kind::Object {
            return None;
        }
        let mut at = object + 1;
        while at < of.next {
            let item = &self.items[at as usize];
            if same(&self.sample[item.start as usize..item.end as usize], name) {
                return Some(at + 1);
            }
            at = self.places[at as usize + 1].next;
        }
        None
    }

    /// The item `at` of the message at hand. An array in a hole has no items of its own here.
    #[inline]
    pub(in super::super) fn item(&self, at: u32) -> Item {
        let place = &self.places[at as usize];
        if place.hole == NO_HOLE {
            return Item {
                kind: place.kind,
                start: self.base(place.start_anchor) + place.start,
                end: self.base(place.end_anchor) + place.end,
                extra: place.next,
            };
        }
        let hole = &self.holes[place.hole as usize];
        Item {
            kind: hole.kind,
            start: hole.start,
            end: hole.end,
            extra: place.next,
        }
    }

    /// What the array in the hole that the item `at` is holds, parsed when it is first asked for;
    /// `None` if the item is no array in a hole. Positions count from the array's first byte.
    pub(in super::super) fn inside(&self, at: u32, message: &[u8]) -> Option<&Decoded> {
        let place = &self.places[at as usize];
        if place.hole == NO_HOLE {
            return None;
        }
        let hole = self.holes[place.hole as usize];
        if hole.kind != Kind::Array {
            return None;
        }
        let text = message.get(hole.start as usize..hole.end as usize)?;
        self.opened.set(true);
        Some(self.inside[place.hole as usize].get_or_init(|| Box::new(items_of(text))))
    }
}
