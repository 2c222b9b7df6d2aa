//! Sixteen bytes at a time: what the scanner asks of them, whatever answers.

/// Sixteen bytes of a message. Masks have bit `i` for byte `i`, and no bit above the 16th.
pub(super) trait Block: Copy {
    fn load(bytes: &[u8; 16]) -> Self;

    /// Which bytes are those of `other`.
    fn same(self, other: &[u8; 16]) -> u32;

    /// Which bytes are `byte`.
    fn equal(self, byte: u8) -> u32;

    /// Which bytes may not stand in a string that is its own value: a backslash, anything below
    /// 0x20.
    fn barred(self) -> u32;

    /// Which bytes are decimal digits.
    fn digits(self) -> u32;

    /// Whether any byte is 0x80 or more.
    fn high(self) -> bool;

    /// Where the bytes differ from those of `other`, in the bits that `of` has; zeros elsewhere.
    fn differing(self, other: &[u8; 16], of: &[u8; 16]) -> Self;

    /// The bits of both.
    fn or(self, other: Self) -> Self;

    /// Whether no bit is set.
    fn is_zero(self) -> bool;

    /// The cell of the token that is the first `length` bytes, at most 15, with `tag` for its kind.
    fn cell(self, length: u32, tag: u8) -> [u64; 2];
}

/// What bytes a message has, anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    /// Some that may not stand in a string that is its own value.
    pub(super) barred: bool,
    /// Some from 0x80 on.
    pub(super) high: bool,
}

/// The census of a message of 16 bytes or more.
#[inline(always)]
pub(super) fn census<B: Block>(message: &[u8]) -> Census {
    let mut census = Census {
        barred: false,
        high: false,
    };
    let (chunks, _) = message.as_chunks();
    // The last ones may be looked at twice.
    for chunk in chunks.iter().chain(message.last_chunk()) {
        let block = B::load(chunk);
        census.barred |= block.barred() != 0;
        census.high |= block.high();
    }
    census
}
