//! Whether a generation serves yet.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// The pause between two looks at a server is this part of the time that it has taken so far: a quick one is noticed at
/// once, a slow one within a few percent of its own start, and none is kept from starting by being asked.
const SHARE: u32 = 32;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);
/// How long one connection may take; longer means that the backlog is full.
const CONNECT: Duration = Duration::from_secs(1);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// When to look again at a server that is not ready after so long.
pub(super) fn pause(waited: Duration) -> Duration {
    (waited / SHARE).clamp(FIRST_PAUSE, LAST_PAUSE)
}

/// Both loopback addresses of a port: servers told to listen on `localhost` may pick either.
pub(super) fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// Waits until one of these addresses accepts, and answers below 500 on this path if one is given. Never gives up.
pub(super) async fn serves(addresses: &[SocketAddr], path: Option<&str>) -> SocketAddr {
    let began = Instant::now();
    loop {
        for address in addresses {
            let serves = match path {
                Some(path) => answers(*address, path).await,
                None => connect(*address).await.map(|_| true),
            };
            if matches!(serves, Ok(true)) {
                return *address;
            }
        }
        sleep(pause(began.elapsed())).await;
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT, TcpStream::connect(address)).await??;
    // On a loopback port that nobody listens on TCP can meet itself: a simultaneous open.
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
    timeout(ANSWER, async {
        stream.write_all(request.as_bytes()).await?;
        // `HTTP/1.1 200`: twelve bytes say it.
        (&mut stream).take(12).read_to_end(&mut line).await
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
    fn a_quick_server_is_asked_often_and_a_slow_one_seldom() {
        let pause = |waited| pause(Duration::from_millis(waited)).as_millis();
        assert_eq!([0, 32, 320, 960, 60_000].map(pause), [1, 1, 10, 30, 50]);
    }
}
