//! Parts of both servers: the socket, and the body whose second half is held back.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, once};
use listenfd::ListenFd;

const HALF: usize = 2 << 20;

/// The socket that `devrun --listen` hands over, or one on the port that `devrun --proxy` chose.
pub fn listener() -> std::io::Result<TcpListener> {
    if let Some(handed_over) = ListenFd::from_env().take_tcp_listener(0)? {
        return Ok(handed_over);
    }
    let port = std::env::var("PORT").unwrap_or("8080".into());
    TcpListener::bind(format!("127.0.0.1:{port}"))
}

/// The second half comes once `data/release` exists.
pub fn halves() -> impl Stream<Item = std::io::Result<Bytes>> {
    let second = async {
        while !Path::new("data/release").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Bytes::from(vec![b'b'; HALF]))
    };
    once(async { Ok(Bytes::from(vec![b'a'; HALF])) }).chain(once(second))
}
