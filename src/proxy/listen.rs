//! The proxy's own listening sockets: binds them, accepts clients, and serves each connection in its own task.

use std::io;
use std::io::ErrorKind::{AddrInUse, ConnectionAborted, ConnectionReset, PermissionDenied};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::body::{self, AnyBody};
use super::client::{ClientConnection, ClientStream};
use super::context::ProxyContext;
use super::event::Event;
use super::forward;
use super::headers::{MAX_HEAD_BYTES, MAX_HEADERS};
use super::proxy::Error;
use crate::Remedy;

/// Maximum time for a client to send the head of a request, and for a connection to stay idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Delay before the next accept after an error, such as missing file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(5);
/// Detail of the answer to HTTP/2 without TLS, as gRPC clients send it.
const HTTP2_DETAIL: &str = "this is HTTP/2, and this port speaks HTTP/1.1\n";

/// Length of the kernel's queue of connections that are not accepted yet. With the short queues of
/// development servers, a burst of clients waits for seconds.
const BACKLOG: i32 = 1024;
/// Maximum number of attempts to find a port that is free in all address families.
const MAX_PORT_ATTEMPTS: usize = 32;

/// Binds the addresses.
///
/// An address of a family that this machine lacks is left out if another address can be bound: `localhost`
/// has an IPv6 address only on machines with IPv6.
///
/// # Errors
/// [`Error::Bind`] for the first address that cannot be bound.
pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let free_ports = addresses.iter().filter(|address| address.port() == 0).count();
    for _ in 1..MAX_PORT_ATTEMPTS {
        match bind_all(addresses) {
            // The port that the first address got is in use in the other family.
            Err(Error::Bind { source, .. }) if free_ports > 1 && source.kind() == AddrInUse => {}
            result => return result,
        }
    }
    bind_all(addresses)
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut free_port = 0;
    let mut left_out = None;
    for address in addresses {
        let mut wanted = *address;
        if wanted.port() == 0 {
            wanted.set_port(free_port);
        }
        match bind_one(wanted) {
            Ok(listener) => {
                if address.port() == 0 {
                    free_port = listener.local_addr().map_or(0, |bound| bound.port());
                }
                listeners.push(listener);
            }
            Err(source) if is_missing_family(address, &source) => left_out = Some((*address, source)),
            Err(source) => return Err(Error::Bind { address: *address, source }),
        }
    }
    match left_out {
        Some((address, source)) if listeners.is_empty() => Err(Error::Bind { address, source }),
        _ => Ok(listeners),
    }
}

/// Whether the machine has no IPv6. There are many error codes for that, so all but two count.
fn is_missing_family(address: &SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6() && !matches!(error.kind(), AddrInUse | PermissionDenied)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // One socket per family, so that each address can be given or left out.
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run in TIME_WAIT must not block the port. A second listener still cannot bind
    // it.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Accepts clients until the proxy stops.
pub(super) async fn accept(context: Arc<ProxyContext>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            accepted = accept_one(&context, &listener) => accepted,
        };
        match accepted {
            Ok(client) => drop(context.tasks.spawn(serve_client(Arc::clone(&context), Arc::new(client)))),
            // The client left before it was accepted.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionReset) => {}
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                // Descriptors may be missing, and an idle connection has one.
                context.slots.request_close();
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Acquires a slot before it accepts, so that a client beyond the limit waits in the kernel's queue.
async fn accept_one(context: &ProxyContext, listener: &TcpListener) -> io::Result<ClientConnection> {
    let slot = context.slots.acquire().await?;
    let (stream, peer) = listener.accept().await?;
    // hyper writes whole messages, so Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    Ok(ClientConnection::new(stream, peer, slot))
}

/// Settings of the connections to clients. `head_timeout` is the maximum time for a client to send the head of a
/// request, and for a connection to stay idle.
pub(super) fn http_server(head_timeout: Duration) -> http1::Builder {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .preserve_header_case(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    server
}

/// Answers the requests of one connection until it ends, is cut, or is idle while another client waits.
pub(super) async fn serve<F>(
    context: &ProxyContext,
    client: &Arc<ClientConnection>,
    server: &http1::Builder,
    answer: impl Fn(Request<Incoming>) -> F,
) -> hyper::Result<()>
where
    F: Future<Output = io::Result<Response<AnyBody>>>,
{
    let service = service_fn(|request| {
        let (busy, response) = (client.begin_request(), answer(request));
        async { response.await.map(|response| response.map(|body| body::keep(busy, body))) }
    });
    let stream = TokioIo::new(ClientStream(Arc::clone(client)));
    let result = {
        let connection = server.serve_connection(stream, service).with_upgrades();
        tokio::pin!(connection);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => break result,
                () = context.kill.cancelled() => return Ok(()),
                () = context.stop.cancelled(), if !is_stopping => {
                    connection.as_mut().graceful_shutdown();
                    is_stopping = true;
                }
                () = client.must_close_after_response() => connection.as_mut().graceful_shutdown(),
                () = context.slots.close_requested(), if !is_stopping => {
                    if client.is_idle() {
                        return Ok(());
                    }
                }
            }
        }
    };
    context.kill.run_until_cancelled(client.lingering_close()).await;
    result
}

async fn serve_client(context: Arc<ProxyContext>, client: Arc<ClientConnection>) {
    let answer = |request| forward::handle(Arc::clone(&context), Arc::clone(&client), request);
    if let Err(error) = serve(&context, &client, &http_server(HEAD_TIMEOUT), answer).await {
        report_error(&context, &client, &error);
    }
}

/// Reports a request that hyper could not parse. hyper answers it with a bare 400 or 431, but HTTP/2 not at
/// all, so the answer to that is written here.
fn report_error(context: &ProxyContext, client: &ClientConnection, error: &hyper::Error) {
    tracing::debug!(%error, peer = %client.peer, "client connection failed");
    if !error.is_parse() {
        return;
    }
    let status = if error.is_parse_too_large() { 431 } else { 400 };
    let request = format!("bytes from {}", client.peer);
    let (mut detail, mut remedy) = (error.to_string(), Remedy::None);
    if error.is_parse_version_h2() {
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{HTTP2_DETAIL}",
            HTTP2_DETAIL.len()
        );
        client.write_interim(answer.as_bytes());
        (detail, remedy) = (HTTP2_DETAIL.trim_end().to_owned(), Remedy::PassListeningSocket);
    }
    context.events.send_lossy(Event::Answered { status, request, detail, remedy });
}
