//! Waits until a server accepts connections, or answers an HTTP request.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Divisor of the time since the start that gives the delay between two tries. A quick server is noticed at
/// once, a slow one within a few percent of its start time, and the tries take no processor time that the
/// server needs.
const DELAY_DIVISOR: u32 = 32;
const MIN_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_millis(50);
/// Timeout for a connection: a longer time means that the server's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout for the answer to a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of `HTTP/1.1 200`.
const STATUS_LENGTH: u64 = 12;

/// Delay before the next try, for a server that started this long ago.
pub(super) fn retry_delay(since_start: Duration) -> Duration {
    (since_start / DELAY_DIVISOR).clamp(MIN_DELAY, MAX_DELAY)
}

/// Both loopback addresses of a port: a server that listens on `localhost` may use either.
pub(crate) fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// Waits until a server accepts connections at one of these addresses, and returns that address. With a path,
/// the server must also answer `GET path` with a status below 500. Never gives up.
pub(crate) async fn wait_until_ready(addresses: &[SocketAddr], path: Option<&str>) -> SocketAddr {
    let started = Instant::now();
    loop {
        for address in addresses {
            let is_ready = match path {
                Some(path) => answers(*address, path).await,
                None => connect(*address).await.map(|_| true),
            };
            if matches!(is_ready, Ok(true)) {
                return *address;
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

/// Whether `GET path` is answered with a status below 500.
async fn answers(address: SocketAddr, path: &str) -> io::Result<bool> {
    let mut stream = connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: devrun\r\nConnection: close\r\n\r\n");
    let mut line = Vec::new();
    timeout(ANSWER_TIMEOUT, async {
        stream.write_all(request.as_bytes()).await?;
        (&mut stream).take(STATUS_LENGTH).read_to_end(&mut line).await
    })
    .await??;
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    Ok(status.is_some_and(|status| status < 500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_server_is_tried_often_and_a_slow_one_seldom() {
        let delay = |since_start| retry_delay(Duration::from_millis(since_start)).as_millis();
        assert_eq!([0, 32, 320, 960, 60_000].map(delay), [1, 1, 10, 30, 50]);
    }
}
