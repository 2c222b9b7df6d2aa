//! Comparing short texts.

/// Whether two texts are the same, compared word by word in place: for the few bytes of a name a
/// call costs more than the comparison.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(a_last), Some(b_last)) => {
            let mut words = a.chunks_exact(8).zip(b.chunks_exact(8));
            words.all(|(a, b)| a == b) && a_last == b_last
        }
        _ => match (a.first_chunk::<4>(), b.first_chunk::<4>()) {
            (Some(a_first), Some(b_first)) => {
                a_first == b_first && a.last_chunk::<4>() == b.last_chunk::<4>()
            }
            _ => a.iter().eq(b),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_if_every_byte_is() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).map(|at| b'a' + at % 26).collect();
            assert!(same(&text, &text.clone()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert!(!same(&text, &other), "{length} {at}");
                assert!(!same(&text, &text[..at]));
            }
        }
    }
}
