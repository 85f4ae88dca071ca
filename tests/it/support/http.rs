//! A plain HTTP/1.1 client that reports how an answer was lost. It retries nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::sandbox::PATIENCE;

/// A complete answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The client could not connect.
    Refused(String),
    /// The server accepted the connection and sent no byte of an answer.
    Empty(String),
    /// The answer ended before its declared end.
    Cut(String),
}

/// Sends `GET path` on a new connection.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer, Lost> {
    Opened::get(address, path, &[])?.finish()
}

/// Sends `POST path` with a body on a new connection.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Result<Answer, Lost> {
    let length = format!("Content-Length: {}", body.len());
    Opened::ask(address, "POST", path, &["Connection: close", &length], body)?.finish()
}

/// The text of `GET path` if it was answered 200.
pub(crate) fn text(address: SocketAddr, path: &str) -> Option<String> {
    get(address, path).ok().filter(|answer| answer.status == 200).map(|answer| answer.text())
}

/// An answer whose head has arrived. Its body can be read piece by piece.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) stream: BufReader<TcpStream>,
}

impl Opened {
    /// Sends `GET path` with these header lines and reads the head of the answer.
    pub(crate) fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Result<Self, Lost> {
        Self::ask(address, "GET", path, headers, "")
    }

    /// Sends a request with these header lines and reads the head of the answer.
    pub(crate) fn ask(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Result<Self, Lost> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE);
        let stream = stream.map_err(|error| Lost::Refused(error.to_string()))?;
        let empty = |error: std::io::Error| Lost::Empty(error.to_string());
        stream.set_read_timeout(Some(PATIENCE)).map_err(empty)?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if headers.is_empty() {
            request.push_str("Connection: close\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut stream = stream;
        stream.write_all(request.as_bytes()).map_err(empty)?;
        let mut stream = BufReader::new(stream);
        let first = line(&mut stream).map_err(empty)?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| Lost::Empty(format!("the answer begins with {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut stream).map_err(|error| Lost::Cut(error.to_string()))?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status, headers, stream })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads the body to the end that its length or its chunks declare.
    pub(crate) fn finish(mut self) -> Result<Answer, Lost> {
        let mut body = Vec::new();
        let chunked = self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
        let length = self.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let read = if chunked {
            read_chunks(&mut self.stream, &mut body)
        } else if let Some(length) = length {
            body.resize(length, 0);
            self.stream.read_exact(&mut body)
        } else {
            self.stream.read_to_end(&mut body).map(drop)
        };
        read.map_err(|error| Lost::Cut(format!("after {} bytes: {error}", body.len())))?;
        Ok(Answer { status: self.status, headers: self.headers, body })
    }

    /// Reads lines until one contains `text`. Returns `None` if the stream ends first.
    pub(crate) fn line_with(&mut self, text: &str) -> Option<String> {
        loop {
            let line = line(&mut self.stream).ok()?;
            if line.contains(text) {
                return Some(line);
            }
        }
    }

    /// Reads until the server ends the stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// One line without its end; the end of the stream is an error.
fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size = line(stream)?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|error| std::io::Error::other(error.to_string()))?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        line(stream)?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// A loopback address that no process listens on. The kernel gives its port to no outgoing connection.
pub(crate) fn free_address() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Other test processes start at other ports. Within this process, no port is returned twice.
    let next =
        || 10_000 + ((std::process::id() * 97 + TAKEN.fetch_add(1, Ordering::Relaxed)) % 10_000) as u16;
    // The socket never listens. A process that another test starts at this moment keeps a copy of it for a while,
    // and a listening copy would keep the port.
    let bind = || {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], next()).into())?;
        socket.local_addr()
    };
    std::iter::repeat_with(bind).flatten().next().unwrap()
}
