//! Where one WebSocket frame ends and the next begins (RFC 6455, 5.2). Pure.
//!
//! Looks at lengths only: a close frame may be put in between two frames, never into one.

/// The frame that tells a client to come back: close code 1012, "service restart".
pub(super) const RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];

const CLOSE: u8 = 0x8;

/// Follows a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The head as far as it is there.
    head: Vec<u8>,
    /// What of the payload has yet to come.
    payload: u64,
    closed: bool,
}

impl Frames {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.push_some(bytes)..];
        }
    }

    /// Takes the next bytes up to the end of the frame that they begin in; returns how many that are.
    pub(super) fn push_frame(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            taken += self.push_some(&bytes[taken..]);
            if self.at_boundary() {
                break;
            }
        }
        taken
    }

    /// Takes some bytes, at least one; returns how many.
    fn push_some(&mut self, bytes: &[u8]) -> usize {
        if self.payload > 0 {
            let taken = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= taken as u64;
            return taken;
        }
        self.head.extend(bytes.first());
        self.finish_head();
        1
    }

    /// Whether the next byte begins a frame.
    pub(super) fn at_boundary(&self) -> bool {
        self.head.is_empty() && self.payload == 0
    }

    /// Whether a close frame has passed: nothing may follow it.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn finish_head(&mut self) {
        let [first, second, ..] = self.head[..] else { return };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.head.len() < 2 + length_bytes + mask {
            return;
        }
        let long = self.head[2..2 + length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        self.payload = if length_bytes == 0 { u64::from(second & 0x7f) } else { long };
        self.closed |= first & 0x0f == CLOSE;
        self.head.clear();
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
                let mut seen = Frames::default();
                for frame in &frames {
                    assert!(seen.at_boundary());
                    let (most, last) = frame.split_at(frame.len() - 1);
                    most.chunks(step).for_each(|bytes| seen.push(bytes));
                    assert!(!seen.at_boundary());
                    seen.push(last);
                }
                assert!(seen.at_boundary() && !seen.is_closed());
                seen.push(&RESTART);
                assert!(seen.at_boundary() && seen.is_closed());
            }
        }
    }
}
