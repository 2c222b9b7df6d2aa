use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Undoes the masking of the only frame in `bytes`; yields first byte and payload.
fn decode(bytes: &[u8]) -> (u8, Vec<u8>) {
    assert_eq!(bytes[1] & MASKED, MASKED, "a client masks");
    let (len, at) = match bytes[1] & !MASKED {
        LENGTH_16 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        LENGTH_64 => (
            u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize,
            10,
        ),
        short => (usize::from(short), 2),
    };
    assert_eq!(bytes[at..at + 4], MASK);
    let payload = &bytes[at + 4..];
    assert_eq!(payload.len(), len);
    (
        bytes[0],
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect(),
    )
}

#[test]
fn matches_the_example_of_the_standard() {
    let mut out = Vec::new();
    text(&mut out, MASK, "Hello");
    assert_eq!(
        out,
        [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
        ]
    );
}

#[test]
fn writes_the_shortest_form_of_each_length() {
    for (len, header) in [
        (0, 2),
        (1, 2),
        (125, 2),
        (126, 4),
        (65535, 4),
        (65536, 10),
        (70001, 10),
    ] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let mut out = Vec::new();
        binary(&mut out, MASK, &payload);
        assert_eq!(out.len(), header + 4 + len);
        assert_eq!(decode(&out), (0x82, payload));
    }
}

#[test]
fn appends_after_what_is_there() {
    let mut out = Vec::new();
    ping(&mut out, MASK, b"").unwrap();
    let first = out.clone();
    pong(&mut out, MASK, b"odd").unwrap();
    assert_eq!(out[..first.len()], first);
    assert_eq!(decode(&first), (0x89, Vec::new()));
    assert_eq!(decode(&out[first.len()..]), (0x8a, b"odd".to_vec()));
}

#[test]
fn control_frames_have_their_limits_and_leave_the_buffer_alone() {
    let mut out = b"before".to_vec();
    assert_eq!(
        ping(&mut out, MASK, &[0; 126]),
        Err(EncodeError::ControlTooLong(126))
    );
    assert_eq!(
        pong(&mut out, MASK, &[0; 200]),
        Err(EncodeError::ControlTooLong(200))
    );
    let long = "x".repeat(124);
    let why = |code, reason| Some(CloseFrame { code, reason });
    assert_eq!(
        close(&mut out, MASK, why(1000, &long)),
        Err(EncodeError::ControlTooLong(126))
    );
    assert_eq!(
        close(&mut out, MASK, why(1006, "")),
        Err(EncodeError::CloseCode(1006))
    );
    assert_eq!(out, b"before");
    pong(&mut out, MASK, &[7; 125]).unwrap();
    close(&mut out, MASK, why(1000, &long[..123])).unwrap();
}

#[test]
fn close_carries_code_and_reason_or_nothing() {
    let mut out = Vec::new();
    close(
        &mut out,
        MASK,
        Some(CloseFrame {
            code: 1001,
            reason: "bye",
        }),
    )
    .unwrap();
    assert_eq!(decode(&out), (0x88, b"\x03\xe9bye".to_vec()));
    out.clear();
    close(&mut out, MASK, None).unwrap();
    assert_eq!(decode(&out), (0x88, Vec::new()));
}
