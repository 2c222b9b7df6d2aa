//! Sixteen bytes as two numbers, for processors without vectors that we know.

use super::block::Block;

/// The first eight bytes, and the other eight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words([u64; 2]);

const LOW: u64 = splat(0x7f);
const HIGH: u64 = splat(0x80);

const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// 0x80 in every byte of `word` that is zero. Exact: no carry passes from one byte to the next.
const fn zeros(word: u64) -> u64 {
    !(((word & LOW) + LOW) | word | LOW)
}

impl Words {
    #[inline]
    fn mask(self, of: impl Fn(u64) -> u64) -> u32 {
        gather(of(self.0[0])) | gather(of(self.0[1])) << 8
    }
}

/// The highest bits of the eight bytes, side by side.
const fn gather(word: u64) -> u32 {
    (((word & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

impl Block for Words {
    #[inline]
    fn load(bytes: &[u8; 16]) -> Self {
        let both = u128::from_le_bytes(*bytes);
        Self([both as u64, (both >> 64) as u64])
    }

    #[inline]
    fn same(self, other: &[u8; 16]) -> u32 {
        let Self([first, last]) = Self::load(other);
        gather(zeros(self.0[0] ^ first)) | gather(zeros(self.0[1] ^ last)) << 8
    }

    #[inline]
    fn equal(self, byte: u8) -> u32 {
        self.mask(|word| zeros(word ^ splat(byte)))
    }

    #[inline]
    fn barred(self) -> u32 {
        self.mask(|word| zeros(word & splat(0xe0)) | zeros(word ^ splat(b'\\')))
    }

    #[inline]
    fn digits(self) -> u32 {
        self.mask(|word| {
            let value = word ^ splat(b'0');
            !(((value & LOW) + splat(0x7f - 9)) | value)
        })
    }

    #[inline]
    fn high(self) -> bool {
        (self.0[0] | self.0[1]) & HIGH != 0
    }

    #[inline]
    fn differing(self, other: &[u8; 16], of: &[u8; 16]) -> Self {
        let (Self([first, last]), Self(of)) = (Self::load(other), Self::load(of));
        Self([(self.0[0] ^ first) & of[0], (self.0[1] ^ last) & of[1]])
    }

    #[inline]
    fn or(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }

    #[inline]
    fn is_zero(self) -> bool {
        self.0[0] | self.0[1] == 0
    }

    #[inline]
    fn cell(self, length: u32, tag: u8) -> [u64; 2] {
        let text = u128::from(self.0[0]) | u128::from(self.0[1]) << 64;
        let kept = text & !(u128::MAX << (length * 8));
        let cell = kept << 8 | u128::from(u32::from(tag) << 4 | length);
        [cell as u64, (cell >> 64) as u64]
    }
}
