//! Upgraded connections: copies both ways, until one side ends or the generation's streams are released.
//!
//! On release a WebSocket client gets a close frame. It may stand only between two frames (RFC 6455, 5.2), so
//! the copy follows their lengths and opcodes, but reads no payload.

use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::in_flight::InFlightGuard;
use super::upstream::ConnectionTask;

/// Time for a side to end its message after the other side has gone or the generation's streams were
/// released.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Size of the buffer from the upstream to the client, in bytes.
const BUFFER_SIZE: usize = 16 * 1024;
/// A close frame with code 1012, "service restart", on which clients reconnect.
const CLOSE_SERVICE_RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];
const OPCODE_CLOSE: u8 = 0x8;

type Reader = ReadHalf<TokioIo<Upgraded>>;
type Writer = WriteHalf<TokioIo<Upgraded>>;

/// Copies until both sides have ended or the generation's streams are released. `frames` is the position within
/// WebSocket frames; `None` for other protocols. `_task` keeps the upstream's connection open.
pub(super) async fn copy(
    client: OnUpgrade,
    upstream: OnUpgrade,
    in_flight: InFlightGuard,
    _task: ConnectionTask,
    frames: Option<FrameBoundary>,
) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (mut from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, mut to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let release = in_flight.generation.release();
    // Cancelled when a release has ended the downward direction.
    let released = CancellationToken::new();
    let downward = async {
        let expired = async {
            release.cancelled().await;
            sleep(CLOSE_TIMEOUT).await;
        };
        let result = tokio::select! {
            result = copy_down(from_upstream, to_client, &in_flight, frames) => result,
            () = expired => Err(io::ErrorKind::TimedOut.into()),
        };
        if release.is_cancelled() {
            released.cancel();
        }
        result
    };
    let upward = async {
        let copied = tokio::io::copy(&mut from_client, &mut to_upstream);
        let result = released.run_until_cancelled(copied).await;
        let _ = to_upstream.shutdown().await;
        match result {
            Some(result) => result,
            // Closing a socket with unread bytes resets it, and the client would lose the close frame.
            None => tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await,
        }
    };
    tokio::pin!(downward, upward);
    tokio::select! {
        result = &mut downward => {
            let _ = timeout(CLOSE_TIMEOUT, upward).await;
            result
        }
        // A client that has closed its sending side may still receive.
        result = &mut upward => {
            result?;
            downward.await
        }
    }
}

/// Copies from the upstream to the client until the upstream ends, or, once released, until the end of the
/// current frame.
async fn copy_down(
    mut from: Reader,
    mut to: Writer,
    in_flight: &InFlightGuard,
    mut frames: Option<FrameBoundary>,
) -> io::Result<()> {
    let release = in_flight.generation.release();
    let mut buffer = vec![0; BUFFER_SIZE];
    while !release.is_cancelled() || frames.as_ref().is_some_and(|frames| !frames.is_at_boundary()) {
        let count = tokio::select! {
            biased;
            () = release.cancelled(), if !release.is_cancelled() => continue,
            count = from.read(&mut buffer) => count?,
        };
        if count == 0 {
            return to.shutdown().await;
        }
        let passed = match &mut frames {
            Some(frames) if release.is_cancelled() => frames.push_frame(&buffer[..count]),
            Some(frames) => frames.push(&buffer[..count]),
            None => count,
        };
        to.write_all(&buffer[..passed]).await?;
        in_flight.add_bytes(passed);
    }
    if frames.is_some_and(|frames| !frames.is_closed) {
        to.write_all(&CLOSE_SERVICE_RESTART).await?;
    }
    to.shutdown().await
}

/// Position within a stream of frames.
#[derive(Debug, Default)]
pub(super) struct FrameBoundary {
    /// Bytes of an incomplete frame header.
    header: Vec<u8>,
    /// Number of payload bytes to come.
    payload_left: u64,
    /// A close frame has passed, after which no frame may follow.
    is_closed: bool,
}

impl FrameBoundary {
    /// Follows the next bytes of the stream and returns their number.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let mut pushed = 0;
        while pushed < bytes.len() {
            pushed += self.push_frame(&bytes[pushed..]);
        }
        pushed
    }

    /// Follows the next bytes up to the end of their first frame and returns their number.
    fn push_frame(&mut self, bytes: &[u8]) -> usize {
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
    fn is_at_boundary(&self) -> bool {
        self.header.is_empty() && self.payload_left == 0
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
                    most.chunks(step).for_each(|bytes| _ = seen.push(bytes));
                    assert!(!seen.is_at_boundary());
                    seen.push(last);
                }
                assert!(seen.is_at_boundary() && !seen.is_closed);
                seen.push(&CLOSE_SERVICE_RESTART);
                assert!(seen.is_at_boundary() && seen.is_closed);
            }
        }
    }
}
