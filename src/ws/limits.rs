//! What one connection may cost in memory.

use super::frame::{MAX_CONTROL, MAX_HEADER};

/// The memory one [`Decoder`](super::Decoder) may use: `read_buffer + max_message` bytes, and up to
/// `max_message` more for the moment in which the message buffer is moved to a larger one. The
/// message buffer follows the bytes that arrived, never a length that was only announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest message in bytes, all fragments together; 16 MiB by default. A longer one is
    /// refused with 1009 as soon as the header that exceeds it is read, before its payload.
    pub max_message: usize,
    /// The size of the read buffer in bytes; 64 KiB by default, at least
    /// [`MIN_READ_BUFFER`](Self::MIN_READ_BUFFER) (a smaller value is raised to it).
    ///
    /// It bounds one read, and with it how many frames are handled before the next one. A message
    /// in one frame that fits, header included, is delivered in place; a longer one is copied
    /// once. Buffers that leave the second-level cache were measured to be slower.
    pub read_buffer: usize,
}

impl Limits {
    /// The smallest read buffer, in bytes: any control frame fits.
    pub const MIN_READ_BUFFER: usize = 256;
}

const _: () = assert!(Limits::MIN_READ_BUFFER >= MAX_HEADER + MAX_CONTROL);

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 16 << 20,
            read_buffer: 64 << 10,
        }
    }
}
