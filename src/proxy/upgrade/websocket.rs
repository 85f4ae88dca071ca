//! Finds the boundaries between WebSocket frames (RFC 6455, 5.2), because a close frame may only stand
//! between two frames.
//!
//! Reads lengths and opcodes only, never a payload.

/// A close frame with code 1012, "service restart", on which clients reconnect.
pub(super) const CLOSE_SERVICE_RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];

const OPCODE_CLOSE: u8 = 0x8;

/// Position within a stream of frames.
#[derive(Debug, Default)]
pub(super) struct FrameBoundary {
    /// Bytes of an incomplete frame header.
    header: Vec<u8>,
    /// Number of payload bytes to come.
    payload_left: u64,
    is_closed: bool,
}

impl FrameBoundary {
    /// Follows the next bytes of the stream.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.push_some(bytes)..];
        }
    }

    /// Follows the next bytes up to the end of their first frame and returns their number.
    pub(super) fn push_frame(&mut self, bytes: &[u8]) -> usize {
        let mut pushed = 0;
        while pushed < bytes.len() {
            pushed += self.push_some(&bytes[pushed..]);
            if self.is_at_boundary() {
                break;
            }
        }
        pushed
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.header.is_empty() && self.payload_left == 0
    }

    /// Whether a close frame has passed, after which no frame may follow.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Follows one byte of a header, or the bytes of a payload. Returns their number.
    fn push_some(&mut self, bytes: &[u8]) -> usize {
        if self.payload_left > 0 {
            let count = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
            self.payload_left -= count as u64;
            return count;
        }
        self.header.extend(bytes.first());
        self.parse_header();
        1
    }

    /// Parses the header once it is complete.
    fn parse_header(&mut self) {
        let [first, second, ..] = self.header[..] else { return };
        let mask_length = if second & 0x80 == 0 { 0 } else { 4 };
        let short_length = second & 0x7f;
        let length_bytes = match short_length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.header.len() < 2 + length_bytes + mask_length {
            return;
        }
        let long_length =
            self.header[2..2 + length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        self.payload_left = if length_bytes == 0 { u64::from(short_length) } else { long_length };
        self.is_closed |= first & 0x0f == OPCODE_CLOSE;
        self.header.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(7, length + if masked { 4 } else { 0 }));
        frame
    }

    #[test]
    fn boundaries_are_found_however_the_stream_is_cut() {
        for masked in [false, true] {
            let lengths = [0, 1, 125, 126, 300, 65535, 65536, 70000];
            let frames: Vec<_> = lengths.iter().map(|length| frame(2, *length, masked)).collect();
            for step in [1, 2, 3, 7, 1000, usize::MAX] {
                let mut seen = FrameBoundary::default();
                for frame in &frames {
                    assert!(seen.is_at_boundary());
                    let (most, last) = frame.split_at(frame.len() - 1);
                    most.chunks(step).for_each(|bytes| seen.push(bytes));
                    assert!(!seen.is_at_boundary());
                    seen.push(last);
                }
                assert!(seen.is_at_boundary() && !seen.is_closed());
                seen.push(&CLOSE_SERVICE_RESTART);
                assert!(seen.is_at_boundary() && seen.is_closed());
            }
        }
    }
}
