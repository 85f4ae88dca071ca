//! Accepts connections and serves each in a task of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::client::{Client, ClientStream};
use super::event::Event;
use super::forward;
use super::headers::{HEAD_LIMIT, HEADER_LIMIT};
use super::port::Port;

/// How long a client may take to send a request's head, and how long a connection is kept that has none to send.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// What becomes of HTTP/2 without TLS, as gRPC speaks it.
const NO_HTTP2: &str =
    "this is HTTP/2 and --proxy speaks HTTP/1.1: use --listen, which passes no bytes through devrun";
/// How long to wait before accepting again when no descriptor is left.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(5);

/// Accepts until the proxy is stopped.
pub(super) async fn accept(port: Arc<Port>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = port.stop.cancelled() => return,
            accepted = accept_one(&port, &listener) => accepted,
        };
        match accepted {
            Ok(client) => drop(port.tasks.spawn(serve(Arc::clone(&port), Arc::new(client)))),
            Err(error) => after_error(&port, &error).await,
        }
    }
}

/// Waits for a place first, so that who cannot be served waits in the kernel's queue and costs nothing.
async fn accept_one(port: &Port, listener: &TcpListener) -> io::Result<Client> {
    let room = port.make_room().await.ok_or(io::ErrorKind::NotConnected)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are written whole; waiting for more to send along would only delay them.
    let _ = stream.set_nodelay(true);
    Ok(Client::new(stream, peer, room))
}

/// A connection that was given up before it was accepted is no trouble; without descriptors, an idle one is closed.
async fn after_error(port: &Port, error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::debug!(%error, "accepting failed");
        port.crowded.notify_one();
        tokio::time::sleep(NO_ROOM_PAUSE).await;
    }
}

async fn serve(port: Arc<Port>, client: Arc<Client>) {
    let service = service_fn(|request| forward::answer(Arc::clone(&port), Arc::clone(&client), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .preserve_header_case(true)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(HEADER_LIMIT)
        .serve_connection(TokioIo::new(ClientStream::new(Arc::clone(&client))), service)
        .with_upgrades();
    {
        tokio::pin!(connection);
        let mut stopping = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        ended_early(&port, &client, &error);
                    }
                    break;
                }
                () = port.kill.cancelled() => return,
                () = port.stop.cancelled(), if !stopping => {
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
                () = client.finishes() => connection.as_mut().graceful_shutdown(),
                () = port.crowded.notified(), if !stopping => {
                    if client.is_spare() {
                        return;
                    }
                }
            }
        }
    }
    port.kill.run_until_cancelled(client.linger()).await;
}

/// What cannot be read is answered by hyper, without a word of why; the owner at least hears it. HTTP/2 is not answered by
/// it at all, and whoever runs a gRPC client should know what is the matter.
fn ended_early(port: &Port, client: &Client, error: &hyper::Error) {
    tracing::debug!(%error, peer = %client.peer(), "a connection ended early");
    if error.is_parse() {
        let status = if error.is_parse_too_large() { 431 } else { 400 };
        let request = format!("what {} sent", client.peer());
        let mut detail = error.to_string();
        if error.is_parse_version_h2() {
            client.put_between(no_http2().as_bytes());
            detail = NO_HTTP2.to_owned();
        }
        port.teller.note(Event::Answered { status, request, detail });
    }
}

fn no_http2() -> String {
    let length = NO_HTTP2.len() + 1;
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{NO_HTTP2}\n"
    )
}
