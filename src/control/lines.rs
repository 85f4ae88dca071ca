//! Reads lines of bounded length from a socket.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::OwnedReadHalf;

/// Number of bytes that one read asks for.
const READ_SIZE: usize = 16 * 1024;

/// Lines of a socket. Its methods are cancel-safe, because bytes that were read stay in the buffer.
#[derive(Debug)]
pub(super) struct LineReader {
    socket: OwnedReadHalf,
    buffer: Vec<u8>,
    /// Number of bytes of the buffer that contain no end of line.
    searched: usize,
    max_length: usize,
}

impl LineReader {
    /// Lines longer than `max_length` bytes are errors.
    pub(super) fn new(socket: OwnedReadHalf, max_length: usize) -> Self {
        Self { socket, buffer: Vec::new(), searched: 0, max_length }
    }

    /// The next line without its end; `None` at the end of the stream. A last line without end is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] if a line is too long; otherwise an error of the socket.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > self.max_length {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a line is too long"));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Returns when the peer has closed the connection, or the socket has failed. Lines that come meanwhile are kept, up
    /// to the maximum length.
    pub(super) async fn until_closed(&mut self) {
        while self.buffer.len() <= self.max_length {
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
        // The peer has sent too much. It is answered when the request before has been answered.
        std::future::pending::<()>().await;
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_SIZE);
        self.socket.read_buf(&mut self.buffer).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one_and_a_half_line_is_dropped() {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        let mut lines = LineReader::new(stream.into_split().0, 10);
        peer.write_all(b"one\n\ntwo\nha").await.unwrap();
        drop(peer);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(found, ["one", "", "two"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        let mut lines = LineReader::new(stream.into_split().0, 1000);
        let write = async { while peer.write_all(&[b'a'; 4096]).await.is_ok() {} };
        let read = async {
            let error = lines.next().await.unwrap_err();
            assert!(lines.buffer.capacity() < 64 * 1024);
            drop(lines);
            error.kind()
        };
        let ((), kind) = tokio::join!(write, read);
        assert_eq!(kind, io::ErrorKind::FileTooLarge);
    }

    #[tokio::test]
    async fn lines_that_come_during_a_wait_are_kept() {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        let mut lines = LineReader::new(stream.into_split().0, 100);
        peer.write_all(b"one\n").await.unwrap();
        drop(peer);
        lines.until_closed().await;
        assert_eq!(lines.next().await.unwrap(), Some(b"one".to_vec()));
    }
}
