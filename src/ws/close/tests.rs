use super::*;

#[test]
fn sendable_codes_are_those_of_the_registry() {
    let sendable: Vec<u16> = (0..=u16::MAX)
        .filter(|c| CloseFrame::is_sendable(*c))
        .collect();
    let expected: Vec<u16> = (1000..=1003)
        .chain(1007..=1014)
        .chain(3000..=4999)
        .collect();
    assert_eq!(sendable, expected);
}

#[test]
fn reads_code_and_reason() {
    assert_eq!(CloseFrame::parse(&[]), Ok(None));
    let bare = CloseFrame {
        code: 1000,
        reason: "",
    };
    assert_eq!(CloseFrame::parse(&[3, 232]), Ok(Some(bare)));
    let noted = CloseFrame {
        code: 4999,
        reason: "naïve",
    };
    assert_eq!(CloseFrame::parse(b"\x13\x87na\xc3\xafve"), Ok(Some(noted)));
}

#[test]
fn refuses_what_must_not_be_sent() {
    assert_eq!(CloseFrame::parse(&[3]), Err(ProtocolError::CloseTooShort));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535_u16] {
        assert_eq!(
            CloseFrame::parse(&code.to_be_bytes()),
            Err(ProtocolError::CloseCode(code))
        );
    }
    assert_eq!(
        CloseFrame::parse(b"\x03\xe8\xc3"),
        Err(ProtocolError::InvalidUtf8)
    );
}
