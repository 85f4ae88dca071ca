//! Accepts clients and serves each connection in its own task.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::Remedy;
use crate::proxy::connections::{ClientConnection, ClientStream};
use crate::proxy::context::ProxyContext;
use crate::proxy::event::Event;
use crate::proxy::forward;
use crate::proxy::headers::{MAX_HEAD_BYTES, MAX_HEADERS};

/// Maximum time for a client to send the head of a request, and for a connection to stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Delay before the next accept after an error, such as missing file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(5);
/// Detail of the answer to HTTP/2 without TLS, as gRPC clients send it.
const HTTP2_DETAIL: &str = "this is HTTP/2, and this port speaks HTTP/1.1";

/// Accepts clients until the proxy stops.
pub(in crate::proxy) async fn accept(context: Arc<ProxyContext>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.stop_token().cancelled() => return,
            accepted = accept_one(&context, &listener) => accepted,
        };
        match accepted {
            Ok(client) => drop(context.tasks().spawn(serve(Arc::clone(&context), Arc::new(client)))),
            Err(error) => recover(&context, &error).await,
        }
    }
}

/// Acquires a slot before it accepts, so that a client beyond the limit waits in the kernel's queue.
async fn accept_one(context: &ProxyContext, listener: &TcpListener) -> io::Result<ClientConnection> {
    let slot = context.slots().acquire().await.ok_or(io::ErrorKind::NotConnected)?;
    let (stream, peer) = listener.accept().await?;
    // hyper writes whole messages, so Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    Ok(ClientConnection::new(stream, peer, slot))
}

/// Waits after an error of `accept`, and closes an idle connection in case descriptors are missing. A client
/// that left before it was accepted is no error.
async fn recover(context: &ProxyContext, error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::debug!(%error, "accept failed");
        context.slots().request_close();
        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
    }
}

async fn serve(context: Arc<ProxyContext>, client: Arc<ClientConnection>) {
    let service = service_fn(|request| forward::handle(Arc::clone(&context), Arc::clone(&client), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .preserve_header_case(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(ClientStream::new(Arc::clone(&client))), service)
        .with_upgrades();
    {
        tokio::pin!(connection);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        report_error(&context, &client, &error);
                    }
                    break;
                }
                () = context.kill_token().cancelled() => return,
                () = context.stop_token().cancelled(), if !is_stopping => {
                    connection.as_mut().graceful_shutdown();
                    is_stopping = true;
                }
                () = client.close_requested() => connection.as_mut().graceful_shutdown(),
                () = context.slots().close_requested(), if !is_stopping => {
                    if client.is_idle() {
                        return;
                    }
                }
            }
        }
    }
    context.kill_token().run_until_cancelled(client.lingering_close()).await;
}

/// Reports a request that hyper could not parse. hyper answers it with a bare 400 or 431, but HTTP/2 not at
/// all, so the answer to that is written here.
fn report_error(context: &ProxyContext, client: &ClientConnection, error: &hyper::Error) {
    tracing::debug!(%error, peer = %client.peer(), "client connection failed");
    if !error.is_parse() {
        return;
    }
    let status = if error.is_parse_too_large() { 431 } else { 400 };
    let request = format!("bytes from {}", client.peer());
    let (mut detail, mut remedy) = (error.to_string(), Remedy::None);
    if error.is_parse_version_h2() {
        client.write_interim(http2_answer().as_bytes());
        (detail, remedy) = (HTTP2_DETAIL.to_owned(), Remedy::PassListeningSocket);
    }
    context.events().send_lossy(Event::Answered { status, request, detail, remedy });
}

fn http2_answer() -> String {
    let length = HTTP2_DETAIL.len() + 1;
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n\
         {HTTP2_DETAIL}\n"
    )
}
