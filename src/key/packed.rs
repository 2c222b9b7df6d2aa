//! Short ids in two words: what a table can hold beside what it finds.

use super::IdRef;

/// Bytes of text that two words hold with their number.
const LONGEST: usize = 15;
/// In the place of the number of bytes: an integer.
const INTEGER: u64 = 0x10;

/// An id of up to 15 bytes of text, or an integer of up to 120 bits. Equal if the ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedId {
    low: u64,
    /// In its highest byte the number of bytes.
    high: u64,
}

impl PackedId {
    /// `None` if it is too long.
    #[inline(always)]
    pub(crate) fn new(id: IdRef<'_>) -> Option<Self> {
        match id {
            IdRef::Text(text) => Self::of_text(text.as_bytes()),
            IdRef::Int(number) => Self::of_integer(number),
        }
    }

    /// Both words, to be hashed.
    #[inline(always)]
    pub(crate) fn bits(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// Built in registers, of loads that overlap: what they have in common is shifted out of the
    /// second one.
    #[inline(always)]
    fn of_text(text: &[u8]) -> Option<Self> {
        let length = text.len();
        if length > LONGEST {
            return None;
        }
        let number = (length as u64) << 56;
        let (low, high) = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk())
        {
            let last = u64::from_le_bytes(*last);
            let rest = last >> 8 >> ((LONGEST - length) * 8);
            (u64::from_le_bytes(*first), rest)
        } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let last = u64::from(u32::from_le_bytes(*last));
            let first = u64::from(u32::from_le_bytes(*first));
            (first | last << ((length - 4) * 8), 0)
        } else {
            let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte) << (at * 8));
            (byte(0) | byte(1) | byte(2), 0)
        };
        Some(Self {
            low,
            high: high | number,
        })
    }

    #[inline(always)]
    fn of_integer(number: i128) -> Option<Self> {
        if number << 8 >> 8 != number {
            return None;
        }
        let bits = number as u128;
        Some(Self {
            low: bits as u64,
            high: (bits >> 64) as u64 & (u64::MAX >> 8) | INTEGER << 56,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_packed_alike_only_if_they_are_equal() {
        let texts: Vec<String> = (0..=LONGEST)
            .flat_map(|length| {
                let text = "abcdefghijklmno"[..length].to_owned();
                let zeros = "\0".repeat(length);
                let others = (0..length).map(move |at| {
                    let mut other = "abcdefghijklmno"[..length].to_owned();
                    other.replace_range(at..=at, "\0");
                    other
                });
                others.chain([text, zeros]).collect::<Vec<_>>()
            })
            .chain(["7".into(), "-1".into()])
            .collect();
        let top = (1 << 119) - 1;
        let integers = [0, 1, 7, -1, 1 << 64, i128::from(u64::MAX), top, -top - 1];
        let ids: Vec<IdRef<'_>> = texts
            .iter()
            .map(|text| IdRef::Text(text))
            .chain(integers.map(IdRef::Int))
            .collect();
        for one in &ids {
            let packed = PackedId::new(*one).expect("short");
            for other in &ids {
                let is_same = PackedId::new(*other) == Some(packed);
                assert_eq!(is_same, one == other, "{one:?} {other:?}");
                assert_eq!(
                    PackedId::new(*other).map(PackedId::bits) == Some(packed.bits()),
                    is_same
                );
            }
        }
    }

    #[test]
    fn what_is_too_long_is_left_to_others() {
        assert_eq!(PackedId::new(IdRef::Text("sixteen bytes :)")), None);
        for number in [1 << 119, -(1 << 119) - 1, i128::MAX, i128::MIN] {
            assert_eq!(PackedId::new(IdRef::Int(number)), None);
        }
    }
}
