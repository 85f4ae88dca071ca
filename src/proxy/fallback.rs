//! The fallback server: accepts on sockets whose own server does not run, and answers 503 until the server
//! takes them again.

use std::future::{poll_fn, ready};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::task::{self, Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{AnyBody, RequestBody};
use super::client::ClientConnection;
use super::context::ProxyContext;
use super::gate::Rejection;
use super::headers;
use super::in_flight::RequestLine;
use super::listen;
use super::pages::{ErrorResponse, PageOrigin, live_reload};
use super::proxy::FailureReport;
use crate::sync;

/// Maximum time for a client to send its request, because the server cannot take over its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before the next accept after an error, such as missing file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(5);

/// Answers on shared sockets while no server does.
#[derive(Debug, Default)]
pub(super) struct FallbackServer {
    /// Ends the accepting tasks and their event streams.
    end: Mutex<CancellationToken>,
    accepting: TaskTracker,
}

impl FallbackServer {
    /// Starts to answer on these sockets, and stops to answer on earlier ones.
    pub(super) fn start(
        &self,
        context: &Arc<ProxyContext>,
        runtime: &tokio::runtime::Handle,
        sockets: Vec<OwnedFd>,
        report: Arc<FailureReport>,
    ) {
        let end = CancellationToken::new();
        std::mem::replace(&mut *sync::lock(&self.end), end.clone()).cancel();
        let task = Arc::new(FallbackTask { context: Arc::clone(context), report, end });
        let _entered = runtime.enter();
        for socket in sockets {
            match SharedListener::new(socket) {
                Ok(listener) => drop(self.accepting.spawn(Arc::clone(&task).accept(listener))),
                Err(error) => tracing::debug!(%error, "cannot answer on a shared socket"),
            }
        }
    }

    /// Stops, and returns once no task accepts on the sockets.
    pub(super) async fn stop(&self) {
        sync::lock(&self.end).cancel();
        self.accepting.close();
        self.accepting.wait().await;
        self.accepting.reopen();
    }
}

/// The report with which the tasks answer, and the signal that ends them.
struct FallbackTask {
    context: Arc<ProxyContext>,
    report: Arc<FailureReport>,
    end: CancellationToken,
}

impl FallbackTask {
    async fn accept(self: Arc<Self>, listener: SharedListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.end.cancelled() => return,
                () = self.context.stop.cancelled() => return,
                accepted = self.accept_one(&listener) => accepted,
            };
            match accepted {
                Ok(None) => return,
                Ok(Some(client)) => {
                    let task = Arc::clone(&self);
                    self.context.tasks.spawn(async move { task.serve(Arc::new(client)).await });
                }
                Err(error) => {
                    tracing::debug!(%error, "accept on a shared socket failed");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Accepts a client; `None` once a server has taken the socket.
    async fn accept_one(&self, listener: &SharedListener) -> io::Result<Option<ClientConnection>> {
        let slot = self.context.slots.acquire().await?;
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await?;
        Ok(accepted.map(|(stream, peer)| ClientConnection::new(stream, peer, slot)))
    }

    async fn serve(&self, client: Arc<ClientConnection>) {
        let mut server = listen::http_server(HEAD_TIMEOUT);
        // One response per connection, so that the next request reaches the server as soon as it runs.
        server.keep_alive(false);
        let answer = |request| ready(Ok(self.answer(&client, request)));
        if let Err(error) = listen::serve(&self.context, &client, &server, answer).await {
            tracing::debug!(%error, "client connection failed");
        }
    }

    fn answer(&self, client: &Arc<ClientConnection>, request: Request<Incoming>) -> Response<AnyBody> {
        let (head, body) = request.into_parts();
        // Dropped unread, it marks the connection as one to close with care.
        drop(RequestBody::new(body, client, false));
        let error = match (headers::validate(&head), live_reload::own_path(&self.context, &head)) {
            (Err(invalid), _) => {
                client.set_unread_request();
                ErrorResponse::Invalid(invalid)
            }
            (Ok(()), Some(Ok("client.js"))) => return live_reload::script(),
            // Without events, and ended when the server takes the socket: the page's script then asks the same
            // path again, and the server answers it.
            (Ok(()), Some(Ok("events"))) => {
                let end = self.end.clone();
                return live_reload::event_stream(|events| async move {
                    if events.send("retry: 500\n\n".into()).await.is_ok() {
                        end.cancelled().await;
                    }
                });
            }
            (Ok(()), Some(Err(error))) => error,
            _ => ErrorResponse::Rejected(Rejection::Down(Arc::clone(&self.report))),
        };
        let line = RequestLine::new(&head);
        self.context.events.send_lossy(error.event(&line));
        error.response(headers::is_navigation(&head.headers), PageOrigin::SharedSocket)
    }
}

/// A listening socket that other processes share. The proxy never changes whether the socket blocks, because
/// all of them share that flag.
#[derive(Debug)]
enum SharedListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl SharedListener {
    /// # Errors
    /// If the socket blocks, or a system call fails.
    fn new(socket: OwnedFd) -> io::Result<Self> {
        if !SockRef::from(&socket).nonblocking()? {
            return Err(io::Error::other("the socket is blocking"));
        }
        if SockRef::from(&socket).local_addr()?.is_unix() {
            UnixListener::from_std(socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Self::Tcp)
        }
    }

    /// Accepts a connection; `None` once the socket is blocking, which means that a server has taken it.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        let is_nonblocking = match self {
            Self::Tcp(listener) => SockRef::from(listener).nonblocking()?,
            Self::Unix(listener) => SockRef::from(listener).nonblocking()?,
        };
        if !is_nonblocking {
            return Poll::Ready(Ok(None));
        }
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(Some),
            Self::Unix(listener) => {
                let (stream, _) = task::ready!(listener.poll_accept(cx))?;
                // Reading and writing are the same for both kinds of socket. A Unix peer has no IP address.
                let stream = std::net::TcpStream::from(OwnedFd::from(stream.into_std()?));
                let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Poll::Ready(TcpStream::from_std(stream).map(|stream| Some((stream, peer))))
            }
        }
    }
}
