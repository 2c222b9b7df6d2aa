use super::*;
use crate::store::stamps::StampWords;

/// A version of its own.
struct Words(StampWords<2>, [Pair; COLD]);

impl Words {
    fn new(header: Header) -> Self {
        let words = Self(
            StampWords::new(),
            header.to_cold().map(|pair| pair.map(AtomicU64::new)),
        );
        header.store(words.of());
        words
    }

    fn of(&self) -> HeaderWords<'_> {
        HeaderWords {
            stamps: self.0.of(0),
            cold: &self.1,
        }
    }

    fn header(&self) -> Header {
        Header::own(self.of())
    }
}

#[test]
fn headers_are_carried_as_they_are_stamped() {
    let old = Header {
        link: 3 << 8,
        invalidation: 5,
        sequence: 7,
        received_at: 11,
        turn: 13,
        flags: flags::GAP,
        document: 0,
        whole_at: 17,
        source_time: 19,
    };
    let (mut same, mut cases) = (0, 0);
    for choice in 0..1 << 7 {
        let is = |bit: u32| choice >> bit & 1 == 1;
        let stamp = Stamp {
            whole: is(0),
            // The link of the value is just enough, or not quite.
            trust: match (is(1), is(6)) {
                (true, true) => 3 << 8,
                (true, false) => 4 << 8,
                (false, _) => NO_TRUST,
            },
            link: if is(2) { 3 << 8 } else { 4 << 8 },
            invalidation: is(3).then_some(6),
            sequence: is(4).then_some(8),
            received_at: Time::from_nanos(23),
            source_time: 29,
            turn: 31,
            flags: if is(5) { flags::GAP } else { flags::PARTIAL },
            ..Stamp::default()
        };
        let expected = Header::stamped(&old, true, &stamp, || 9);
        let (from, to) = (Words::new(old), Words::new(Header::BLANK));
        let carried = Carried::new(from.of().stamps, &stamp, || 9);
        carried.store(from.of(), to.of(), &stamp);
        assert_eq!(to.header(), expected, "{stamp:?}");
        assert_eq!(carried.is_same(), expected.same_stamps(&old), "{stamp:?}");
        let in_place = Words::new(old);
        Carried::refresh(from.of(), &stamp);
        expected.store_times(in_place.of());
        assert_eq!(from.header(), in_place.header(), "{stamp:?}");
        same += u32::from(carried.is_same());
        cases += 1;
    }
    assert!(same > 0 && same < cases, "both happen");
    assert!(!old.to_stamps().has_document());
    let beside = Words::new(Header { document: 1, ..old });
    assert!(beside.of().stamps.own().has_document());
    assert_eq!(beside.header(), Header { document: 1, ..old });
}
