//! Frames of a client, appended to the caller's buffer and masked as a client must.
//!
//! The caller brings the masking key: a fresh random one for each frame, so that nobody who
//! chooses the payload can choose the bytes on the wire (RFC 6455, section 10.3).

use thiserror::Error;

use super::CloseFrame;
use super::frame::{FIN, LENGTH_16, LENGTH_64, MASKED, MAX_CONTROL, Opcode};

/// Why a control frame cannot be sent. Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload is longer than a control frame allows.
    #[error("control frame of {0} bytes, 125 are allowed")]
    ControlTooLong(usize),
    /// The close code must not appear on the wire.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
}

/// Appends a text message.
pub fn text(out: &mut Vec<u8>, mask: [u8; 4], payload: &str) {
    frame(out, mask, Opcode::Text, payload.as_bytes());
}

/// Appends a binary message.
pub fn binary(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) {
    frame(out, mask, Opcode::Binary, payload);
}

/// Appends a ping.
///
/// # Errors
/// If the payload is longer than 125 bytes.
pub fn ping(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) -> Result<(), EncodeError> {
    control(out, mask, Opcode::Ping, payload)
}

/// Appends a pong: the answer to a ping with the same payload.
///
/// # Errors
/// If the payload is longer than 125 bytes, which that of a received ping never is.
pub fn pong(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) -> Result<(), EncodeError> {
    control(out, mask, Opcode::Pong, payload)
}

/// Appends a close frame, with or without a code. The echo of a received one is always accepted.
///
/// # Errors
/// If the code must not be sent, or the reason is longer than 123 bytes.
pub fn close(
    out: &mut Vec<u8>,
    mask: [u8; 4],
    why: Option<CloseFrame<'_>>,
) -> Result<(), EncodeError> {
    let Some(CloseFrame { code, reason }) = why else {
        return control(out, mask, Opcode::Close, &[]);
    };
    if !CloseFrame::is_sendable(code) {
        return Err(EncodeError::CloseCode(code));
    }
    let len = 2 + reason.len();
    let mut payload = [0; MAX_CONTROL];
    let Some(payload) = payload.get_mut(..len) else {
        return Err(EncodeError::ControlTooLong(len));
    };
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..].copy_from_slice(reason.as_bytes());
    control(out, mask, Opcode::Close, payload)
}

fn control(
    out: &mut Vec<u8>,
    mask: [u8; 4],
    opcode: Opcode,
    payload: &[u8],
) -> Result<(), EncodeError> {
    if payload.len() > MAX_CONTROL {
        return Err(EncodeError::ControlTooLong(payload.len()));
    }
    frame(out, mask, opcode, payload);
    Ok(())
}

fn frame(out: &mut Vec<u8>, mask: [u8; 4], opcode: Opcode, payload: &[u8]) {
    out.push(FIN | opcode as u8);
    match payload.len() {
        len @ 0..=MAX_CONTROL => out.push(MASKED | len as u8),
        len => match u16::try_from(len) {
            Ok(len) => {
                out.push(MASKED | LENGTH_16);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(MASKED | LENGTH_64);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests;
