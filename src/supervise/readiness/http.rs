//! Waits until a server accepts connections, or answers an HTTP request.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::tls;

/// Divisor of the time since the start that gives the delay between two tries. A quick server is noticed at
/// once, a slow one within a few percent of its start time, and the tries take no processor time that the
/// server needs.
const DELAY_DIVISOR: u32 = 32;
const MIN_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_millis(50);
/// Timeout for a connection: a longer time means that the server's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of `HTTP/1.1 200`.
const STATUS_LENGTH: u64 = 12;
/// Maximum number of handshakes that ask a server without HTTP whether it expects TLS.
const MAX_HANDSHAKES: u32 = 3;
/// Statuses that refuse the protocol of a request: `400 Bad Request` and `426 Upgrade Required`.
const REFUSALS: [u16; 2] = [400, 426];

/// Delay before the next try, for a server that started this long ago.
pub(super) fn retry_delay(since_start: Duration) -> Duration {
    (since_start / DELAY_DIVISOR).clamp(MIN_DELAY, MAX_DELAY)
}

/// Both loopback addresses of a port: a server that listens on `localhost` may use either.
pub(crate) fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// What an address has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Accepts connections.
    Accepts,
    /// Answers `GET` of this path with a status below 500.
    Answers(String),
    /// Answers `GET /` as a web server does: a debugger refuses such a request, if it answers at all.
    ServesHttp,
}

/// How an address has answered.
enum Answer {
    /// As the condition demands.
    Meets,
    /// Not, or in HTTP, but not as the condition demands.
    Fails,
    /// It accepted the connection, and answered anything but HTTP.
    NoHttp,
}

impl Condition {
    async fn ask(&self, address: SocketAddr) -> Answer {
        let path = match self {
            Self::Accepts if connect(address).await.is_ok() => return Answer::Meets,
            Self::Accepts => return Answer::Fails,
            Self::Answers(path) => path,
            Self::ServesHttp => "/",
        };
        match status(address, path).await {
            Ok(Some(status)) if self.is_met_by(status) => Answer::Meets,
            Ok(Some(_)) | Err(_) => Answer::Fails,
            Ok(None) => Answer::NoHttp,
        }
    }

    fn is_met_by(&self, status: u16) -> bool {
        match self {
            Self::Accepts => true,
            Self::Answers(_) => status < 500,
            Self::ServesHttp => !REFUSALS.contains(&status),
        }
    }
}

/// Waits until one of these addresses meets the condition, and returns that address. Never gives up. Calls `on_tls` once
/// if the server answers in TLS only.
pub(crate) async fn wait_until_ready(
    addresses: &[SocketAddr],
    condition: &Condition,
    on_tls: impl Fn(SocketAddr),
) -> SocketAddr {
    let started = Instant::now();
    let mut handshakes = 0..MAX_HANDSHAKES;
    loop {
        for &address in addresses {
            match condition.ask(address).await {
                Answer::Meets => return address,
                Answer::NoHttp if handshakes.next().is_some() && tls::is_expected_at(address).await => {
                    handshakes = 0..0;
                    on_tls(address);
                }
                Answer::Fails | Answer::NoHttp => {}
            }
        }
        sleep(retry_delay(started.elapsed())).await;
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    // On a loopback port without a listener, a connection can reach itself: a simultaneous open.
    if stream.local_addr()? == address {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// The status of the answer to `GET path`, if the answer is HTTP.
async fn status(address: SocketAddr, path: &str) -> io::Result<Option<u16>> {
    let mut stream = connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: devrun\r\nConnection: close\r\n\r\n");
    let mut line = Vec::new();
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        (&mut stream).take(STATUS_LENGTH).read_to_end(&mut line).await
    };
    // A reset is an answer too: some servers close without reading what they do not understand.
    let _ = timeout(ANSWER_TIMEOUT, asked).await?;
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    Ok(status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_server_is_tried_often_and_a_slow_one_seldom() {
        let delay = |since_start| retry_delay(Duration::from_millis(since_start)).as_millis();
        assert_eq!([0, 32, 320, 960, 60_000].map(delay), [1, 1, 10, 30, 50]);
    }

    #[test]
    fn an_answer_meets_the_condition_or_not() {
        let path = Condition::Answers("/health".to_owned());
        assert!(path.is_met_by(404) && path.is_met_by(400) && !path.is_met_by(503));
        // What node's inspector answers.
        assert!(!Condition::ServesHttp.is_met_by(400) && !Condition::ServesHttp.is_met_by(426));
        assert!(Condition::ServesHttp.is_met_by(404) && Condition::ServesHttp.is_met_by(500));
    }
}
