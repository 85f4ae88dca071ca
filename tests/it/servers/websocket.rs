//! A WebSocket client for short messages.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::support::http::Opened;

/// A WebSocket client.
pub(crate) struct WebSocket(Opened);

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    /// The end, with its status.
    Close(u16),
}

impl WebSocket {
    /// Opens a WebSocket. Returns `None` if the server does not switch protocols.
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &[&str]) -> Option<Self> {
        let mut all = vec![
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        all.extend(headers);
        Opened::get(address, path, &all).ok().filter(|opened| opened.status == 101).map(Self)
    }

    /// Sends a text of at most 125 bytes. Errors show at the next [`WebSocket::receive`].
    pub(crate) fn send(&mut self, text: &str) {
        // A mask of zeros leaves the text unchanged.
        let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        let _ = self.0.stream.get_mut().write_all(&[&head, text.as_bytes()].concat());
    }

    /// Receives the next text or the closing frame. Returns `None` if the connection ends without one.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 2];
            self.0.stream.read_exact(&mut head).ok()?;
            let mut length = usize::from(head[1] & 127);
            if length == 126 {
                let mut long = [0; 2];
                self.0.stream.read_exact(&mut long).ok()?;
                length = u16::from_be_bytes(long).into();
            }
            let mut content = vec![0; length];
            self.0.stream.read_exact(&mut content).ok()?;
            match head[0] & 15 {
                1 => return Some(Frame::Text(String::from_utf8(content).unwrap())),
                8 => return Some(Frame::Close(u16::from_be_bytes([content[0], content[1]]))),
                // Pings and pongs.
                _ => {}
            }
        }
    }

    /// Receives texts until one contains `part`.
    pub(crate) fn receive_with(&mut self, part: &str) -> String {
        loop {
            match self.receive() {
                Some(Frame::Text(text)) if text.contains(part) => return text,
                Some(Frame::Text(_)) => {}
                other => panic!("no text with {part:?}, but {other:?}"),
            }
        }
    }
}
