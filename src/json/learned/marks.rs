//! Where the quotes of a message are, all of them, found before anything else is looked at.
//!
//! A string that is its own value has no quote inside, so in messages of one layout every quote has
//! its number: the text of a member lies between, say, the 13th and the 14th. With the quotes listed
//! no token waits for the one before it, and none has to be searched: see `spots`. simdjson lists
//! all structure so in its first stage; here the template knows the structure, and quotes are enough.

use super::block::{Block, Census};

/// Places for marks. A message with more quotes is not listed.
pub(super) const MOST_MARKS: usize = 1024;
/// The most quotes among 64 bytes of a message that is listed.
pub(super) const DENSEST: usize = 32;

/// Zero; the quotes of a message; its length. Means nothing behind that.
pub(super) type Places = [u16; MOST_MARKS];

/// The quotes of the message at hand, once they have been listed.
#[derive(Debug)]
pub(super) struct Marks {
    places: Box<Places>,
    found: Option<Found>,
}

/// What there is to know of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How many quotes it has; `None` if they are too many to be listed, or too dense.
    pub(super) quotes: Option<u32>,
    pub(super) census: Census,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            places: Box::new([0; MOST_MARKS]),
            found: None,
        }
    }

    /// Another message comes.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.found = None;
    }

    /// What is known of `message`, listed by `list` if it has not been: every template is tried
    /// against the same list.
    #[inline(always)]
    pub(super) fn of(
        &mut self,
        message: &[u8],
        list: impl FnOnce(&[u8], &mut Places) -> Found,
    ) -> Found {
        match self.found {
            Some(found) => found,
            None => *self.found.insert(list(message, &mut self.places)),
        }
    }

    /// The marks of the message that was listed last.
    #[inline(always)]
    pub(super) fn places(&self) -> &Places {
        &self.places
    }
}

/// Writes the marks of one message, 64 bytes of it at a time.
pub(super) struct Writer<'a> {
    places: &'a mut [u16; MOST_MARKS],
    /// Marks written.
    count: usize,
    /// Whether some had no place.
    full: bool,
}

impl<'a> Writer<'a> {
    #[inline(always)]
    pub(super) fn new(places: &'a mut [u16; MOST_MARKS]) -> Self {
        places[0] = 0;
        Self {
            places,
            count: 1,
            full: false,
        }
    }

    /// Room for as many as there may be in 64 bytes, of which `count` are quotes.
    #[inline(always)]
    pub(super) fn room(&mut self, count: usize) -> Option<&mut [u16; DENSEST]> {
        let at = self.count;
        self.count += count;
        let room = self.places.get_mut(at..)?.first_chunk_mut();
        if room.is_none() || count > DENSEST {
            self.full = true;
            self.count = at;
            return None;
        }
        room
    }

    /// The quotes among the 64 bytes from `base` on, as bits.
    #[inline(always)]
    fn write(&mut self, mut bits: u64, base: u16) {
        let count = bits.count_ones() as usize;
        let Some(room) = self.room(count) else { return };
        // More than there are, mostly: a loop that ends where they do is guessed wrong each time.
        let (eights, _) = room.as_chunks_mut::<8>();
        for (number, eight) in eights.iter_mut().enumerate() {
            if number * 8 >= count {
                break;
            }
            for place in eight {
                *place = base.wrapping_add(bits.trailing_zeros() as u16);
                bits &= bits.wrapping_sub(1);
            }
        }
    }

    /// After the last byte: how many quotes there are, if all were written.
    #[inline(always)]
    pub(super) fn finish(self, length: usize) -> Option<u32> {
        let end = self.places.get_mut(self.count)?;
        *end = u16::try_from(length).ok()?;
        (!self.full).then_some(self.count as u32 - 1)
    }
}

/// Lists the quotes of a message of 16 bytes or more, and takes its census.
#[inline(always)]
pub(super) fn list<B: Block>(message: &[u8], places: &mut Places) -> Found {
    let mut census = Census {
        barred: false,
        high: false,
    };
    let mut look = |bytes: &[u8; 16]| {
        let block = B::load(bytes);
        census.barred |= block.barred() != 0;
        census.high |= block.high();
        u64::from(block.equal(b'"'))
    };
    let mut writer = Writer::new(places);
    let (chunks, rest) = message.as_chunks::<64>();
    let mut base = 0;
    for chunk in chunks {
        let (blocks, _) = chunk.as_chunks();
        let bits = blocks
            .iter()
            .rev()
            .fold(0, |bits, block| bits << 16 | look(block));
        writer.write(bits, base);
        base = base.wrapping_add(64);
    }
    let (blocks, rest) = rest.as_chunks();
    let mut bits = 0;
    for (number, block) in blocks.iter().enumerate() {
        bits |= look(block) << (16 * number);
    }
    if let (1.., Some(last)) = (rest.len(), message.last_chunk()) {
        // Some of these bytes were looked at before.
        bits |= look(last) >> (16 - rest.len()) << (16 * blocks.len());
    }
    writer.write(bits, base);
    Found {
        quotes: writer.finish(message.len()),
        census,
    }
}
