//! Recognizes a server that expects TLS, because devrun's plain HTTP does not reach it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Maximum time for the answer to a handshake.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// A `ClientHello` of TLS 1.2 with one cipher suite and no extensions. A server mostly refuses it, and its refusal
/// is TLS too. Its random bytes end the head of a request, so a server without TLS answers at once.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03\
    devrun asks: is this TLS?   \r\n\r\n\x00\x00\x02\x13\x01\x01\x00";
/// Types of the records with which a server answers a handshake: alert and handshake.
const ANSWER_TYPES: [u8; 2] = [0x15, 0x16];
const MAJOR_VERSION: u8 = 3;

/// Whether the server at this address answers a handshake with a TLS record. HTTP servers log a bad request.
pub(crate) async fn is_expected_at(address: SocketAddr) -> bool {
    let answer = timeout(ANSWER_TIMEOUT, begin_handshake(address)).await;
    matches!(answer, Ok(Ok([kind, MAJOR_VERSION])) if ANSWER_TYPES.contains(&kind))
}

/// The sentence about a server that expects TLS.
pub(crate) fn sentence(address: SocketAddr) -> String {
    format!("{address} answers in TLS only; behind devrun, let it serve plain HTTP")
}

/// Begins a handshake, and returns the first two bytes of the answer.
async fn begin_handshake(address: SocketAddr) -> io::Result<[u8; 2]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(CLIENT_HELLO).await?;
    let mut start = [0; 2];
    stream.read_exact(&mut start).await?;
    Ok(start)
}
