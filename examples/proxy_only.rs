//! The proxy without a supervisor: a request that arrives before the server is ready waits, and the server
//! answers it.
//!
//! ```console
//! $ cargo run --example proxy_only
//! ```
#![allow(clippy::print_stdout)]

use std::net::SocketAddr;

use devrun::GenerationId;
use devrun::proxy::{Event, Options, Proxy, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut proxy = Proxy::start(Options::new(vec!["127.0.0.1:0".parse()?])).await?;
    let Some(Event::Listening { addresses }) = proxy.next_event().await else {
        return Err("not listening".into());
    };
    println!("clients connect to {}", addresses[0]);
    let client = tokio::spawn(get(addresses[0]));

    let (address, server) = serve_once().await?;
    proxy.handle().publish(Upstream::Ready { generation: GenerationId::FIRST, address });
    let answer = client.await??;
    println!("answered: {}", answer.lines().last().unwrap_or_default());
    server.await??;
    proxy.stop().await;
    Ok(())
}

/// Sends a request at once, although no server is ready, and returns the response.
async fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Starts a server that answers one request.
async fn serve_once() -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello")
            .await
    });
    Ok((address, serving))
}
