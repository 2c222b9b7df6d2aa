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

    /// The bits of both.
    fn or(self, other: Self) -> Self;

    /// Whether a byte is 0x80 or more.
    fn high(self) -> bool;

    /// The cell of the token that is the first `length` bytes, at most 15, with `tag` for its kind.
    fn cell(self, length: u32, tag: u8) -> [u64; 2];
}
