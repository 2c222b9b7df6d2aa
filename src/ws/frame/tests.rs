use super::*;

fn header(bytes: &[u8]) -> (bool, Opcode, usize, u64) {
    let Header {
        fin,
        opcode,
        len,
        payload,
    } = Header::parse(bytes).unwrap().expect("a header");
    (fin, opcode, len, payload)
}

#[test]
fn reads_each_form_of_length() {
    assert_eq!(header(&[0x81, 0]), (true, Opcode::Text, 2, 0));
    assert_eq!(header(&[0x02, 125]), (false, Opcode::Binary, 2, 125));
    assert_eq!(header(&[0x82, 126, 0, 126]), (true, Opcode::Binary, 4, 126));
    assert_eq!(
        header(&[0x80, 126, 0xff, 0xff]),
        (true, Opcode::Continuation, 4, 65535)
    );
    let header_64 = [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(header(&header_64), (true, Opcode::Text, 10, 65536));
    let longest = [0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(header(&longest), (true, Opcode::Text, 10, u64::MAX >> 1));
}

#[test]
fn waits_for_the_whole_header() {
    for whole in [
        &[0x81, 0][..],
        &[0x81, 126, 1, 0],
        &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0],
    ] {
        for cut in 0..whole.len() {
            assert_eq!(
                Header::parse(&whole[..cut]),
                Ok(None),
                "{:?}",
                &whole[..cut]
            );
        }
        assert!(Header::parse(whole).unwrap().is_some());
    }
}

#[test]
fn refuses_at_the_first_bad_byte() {
    use ProtocolError::*;
    for (bytes, error) in [
        (&[0xc1][..], ReservedBits),
        (&[0xa1], ReservedBits),
        (&[0x91], ReservedBits),
        (&[0x09], ControlFragmented),
        (&[0x08], ControlFragmented),
        (&[0x0a], ControlFragmented),
        (&[0x81, 0x80], Masked),
        (&[0x89, 126], ControlTooLong),
        (&[0x88, 127], ControlTooLong),
        (&[0x81, 126, 0, 125], LengthNotMinimal),
        (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], LengthNotMinimal),
        (&[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], LengthOverflow),
    ] {
        assert_eq!(Header::parse(bytes), Err(error), "{bytes:02x?}");
    }
    for opcode in (3..8).chain(11..16) {
        assert_eq!(Header::parse(&[0x80 | opcode]), Err(UnknownOpcode(opcode)));
    }
}

/// The short cut agrees with the full parser on every pair of first bytes.
#[test]
fn plain_accepts_nothing_that_parse_refuses() {
    for first in 0..=255 {
        for second in 0..=255 {
            for length in [0, 1, 125, 126, 127, 1000, 65535_u16] {
                let [high, low] = length.to_be_bytes();
                let bytes = [first, second, high, low, 0, 0, 0, 0, 0, 0];
                let Some(plain) = Plain::parse(&bytes) else {
                    continue;
                };
                let expected = Header {
                    fin: true,
                    opcode: if plain.text {
                        Opcode::Text
                    } else {
                        Opcode::Binary
                    },
                    len: plain.len,
                    payload: plain.payload as u64,
                };
                assert_eq!(Header::parse(&bytes), Ok(Some(expected)), "{bytes:02x?}");
            }
        }
    }
    assert!(Plain::parse(&[0x81, 5, b'a', b'b']).is_some());
    assert!(Plain::parse(&[0x82, 126, 1, 0]).is_some());
    assert!(Plain::parse(&[0x82, 126, 1]).is_none());
}
