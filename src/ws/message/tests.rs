use super::*;

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => {
            out.push(126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

fn small() -> Decoder {
    Decoder::new(Limits {
        max_message: 4096,
        read_buffer: 256,
    })
}

/// Passes all of `bytes` through, counting the events.
fn pass(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<usize, ProtocolError> {
    let mut events = 0;
    while !bytes.is_empty() {
        let taken = decoder.extend(bytes);
        assert!(taken > 0, "room is left once `next` has drained the buffer");
        bytes = &bytes[taken..];
        while decoder.next()?.is_some() {
            events += 1;
        }
    }
    Ok(events)
}

#[test]
fn a_message_that_fits_is_lent_in_place_and_may_be_changed() {
    let mut decoder = small();
    decoder.extend(&frame(0x81, b"first"));
    decoder.extend(&frame(0x82, b"second"));
    let at = decoder.buf.as_ptr();
    match decoder.next().unwrap() {
        Some(Event::Text(text)) => {
            assert_eq!(text, b"first");
            assert_eq!(text.as_ptr(), at.wrapping_add(2));
            text.fill(0xff);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        decoder.next(),
        Ok(Some(Event::Binary(&mut b"second".to_owned())))
    );
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.message.capacity(), 0, "nothing was copied");
}

#[test]
fn the_longest_frame_that_fits_is_lent_and_the_next_longer_one_assembled() {
    for (payload, assembled) in [(252, false), (253, true)] {
        let mut decoder = small();
        assert_eq!(pass(&mut decoder, &frame(0x82, &vec![1; payload])), Ok(1));
        assert_eq!(decoder.message.capacity() > 0, assembled, "{payload}");
    }
}

#[test]
fn an_unfinished_frame_moves_to_the_front_once() {
    let mut decoder = small();
    decoder.extend(&frame(0x82, &[0; 200]));
    decoder.extend(&frame(0x82, &[7; 100])[..40]);
    assert!(matches!(decoder.next(), Ok(Some(_))));
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.space().len(), 256 - 40);
    assert_eq!((decoder.start, decoder.end), (0, 40));
    decoder.extend(&[7; 62]);
    assert_eq!(decoder.next(), Ok(Some(Event::Binary(&mut [7; 100]))));
}

#[test]
fn announced_bytes_allocate_nothing_and_the_buffer_follows_those_that_came() {
    let limits = Limits {
        max_message: 1 << 20,
        read_buffer: 256,
    };
    let mut decoder = Decoder::new(limits);
    let mut header = vec![0x82, 127];
    header.extend((1_u64 << 20).to_be_bytes());
    assert_eq!(pass(&mut decoder, &header), Ok(0));
    assert_eq!(decoder.memory(), 256);
    let mut came = 0;
    while came < 1 << 20 {
        let events = pass(&mut decoder, &[0; 1000][..1000.min((1 << 20) - came)]).unwrap();
        came += 1000.min((1 << 20) - came);
        assert!(
            decoder.memory() <= 256 + 2 * came.max(256),
            "{} for {came}",
            decoder.memory()
        );
        assert!(decoder.memory() <= 256 + limits.max_message);
        assert_eq!(events, usize::from(came == 1 << 20));
    }
    assert_eq!(
        decoder.memory(),
        256,
        "a large buffer is given back once the message was used"
    );
}

#[test]
fn a_usual_message_buffer_is_kept() {
    let mut decoder = small();
    let message = [frame(0x01, &[b'a'; 300]), frame(0x80, &[b'b'; 300])].concat();
    assert_eq!(pass(&mut decoder, &message), Ok(1));
    let (held, at) = (decoder.memory(), decoder.message.as_ptr());
    assert!(held > 256);
    for _ in 0..100 {
        assert_eq!(pass(&mut decoder, &message), Ok(1));
        assert_eq!((decoder.memory(), decoder.message.as_ptr()), (held, at));
    }
}

#[test]
fn floods_of_fragments_hold_no_more_than_the_limit() {
    let mut decoder = small();
    assert_eq!(pass(&mut decoder, &frame(0x01, b"")), Ok(0));
    for _ in 0..100_000 {
        assert_eq!(pass(&mut decoder, &frame(0x00, b"")), Ok(0));
    }
    assert_eq!(decoder.memory(), 256);
    for sent in 1.. {
        let result = pass(&mut decoder, &frame(0x00, b"x"));
        assert!(decoder.memory() <= 256 + 4096);
        if sent <= 4096 {
            assert_eq!(result, Ok(0));
        } else {
            assert_eq!(result, Err(ProtocolError::TooLarge { limit: 4096 }));
            break;
        }
    }
    assert_eq!(decoder.memory(), 256);
}

#[test]
fn a_failed_decoder_repeats_its_error_until_it_is_reset() {
    let mut decoder = small();
    decoder.extend(&frame(0x01, b"open"));
    decoder.extend(&[0xff]);
    decoder.extend(&frame(0x81, b"later"));
    for _ in 0..3 {
        assert_eq!(decoder.next(), Err(ProtocolError::ReservedBits));
        assert_eq!(decoder.space().len(), 256);
        decoder.extend(&frame(0x81, b"much later"));
    }
    decoder.reset();
    assert_eq!(pass(&mut decoder, &frame(0x81, b"new")), Ok(1));
    // What was cut off by the reset has no part in the new connection.
    assert_eq!(pass(&mut decoder, &[0x01, 3, b'a', 0xe2, 0x82]), Ok(0));
    decoder.reset();
    let parts = [frame(0x01, b"a"), frame(0x80, b"b")].concat();
    assert_eq!(pass(&mut decoder, &parts), Ok(1));
}

#[test]
fn a_reset_forgets_the_message_that_was_open() {
    let mut decoder = small();
    assert_eq!(pass(&mut decoder, &frame(0x01, b"of before")), Ok(0));
    decoder.reset();
    decoder.extend(&[frame(0x01, b"n"), frame(0x80, b"ew")].concat());
    assert_eq!(
        decoder.next(),
        Ok(Some(Event::Text(&mut b"new".to_owned())))
    );
}

#[test]
fn nothing_is_delivered_after_a_close() {
    let mut decoder = small();
    let bytes = [
        frame(0x88, b"\x03\xe8"),
        frame(0x81, b"late"),
        vec![0xff; 1000],
    ]
    .concat();
    assert_eq!(pass(&mut decoder, &bytes), Ok(1));
    assert_eq!(decoder.next(), Ok(None));
}

#[test]
#[should_panic(expected = "more bytes than there was room for")]
fn more_bytes_than_room_is_a_bug_of_the_caller() {
    small().filled(257);
}
