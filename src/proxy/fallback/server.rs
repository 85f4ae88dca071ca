//! Accepts on sockets whose server does not run, and answers 503 until the server takes them again.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use super::shared_listener::SharedListener;
use crate::proxy::body::{AnyBody, BodyError, RequestBody};
use crate::proxy::connections::{ClientConnection, ClientStream};
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::Rejection;
use crate::proxy::headers::{self, MAX_HEAD_BYTES, MAX_HEADERS};
use crate::proxy::in_flight::RequestLine;
use crate::proxy::pages::{ErrorResponse, PageOrigin, live_reload};
use crate::proxy::upstream::FailureReport;
use crate::sync;

/// Maximum time for a client to send its request, because the server cannot take over its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before the next accept after an error, such as missing file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(5);

/// Answers on shared sockets while no server does.
#[derive(Debug, Default)]
pub(in crate::proxy) struct FallbackServer {
    /// Ends the accepting tasks and their event streams.
    end: Mutex<CancellationToken>,
    accepting: TaskTracker,
}

impl FallbackServer {
    /// Starts to answer on these sockets, and stops to answer on earlier ones.
    pub(in crate::proxy) fn start(
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
    pub(in crate::proxy) async fn stop(&self) {
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
                () = self.context.stop_token().cancelled() => return,
                accepted = self.accept_one(&listener) => accepted,
            };
            match accepted {
                Ok(None) => return,
                Ok(Some(client)) => {
                    drop(self.context.tasks().spawn(Arc::clone(&self).serve(Arc::new(client))));
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
        let slot = self.context.slots().acquire().await.ok_or(io::ErrorKind::NotConnected)?;
        let accepted = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
        Ok(accepted.map(|(stream, peer)| ClientConnection::new(stream, peer, slot)))
    }

    async fn serve(self: Arc<Self>, client: Arc<ClientConnection>) {
        let service = service_fn(|request| {
            let response = self.answer(&client, request);
            async { Ok::<_, Infallible>(response) }
        });
        // One response per connection, so that the next request reaches the server as soon as it runs.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .keep_alive(false)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(ClientStream::new(Arc::clone(&client))), service);
        let served = async {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "client connection failed");
            }
            client.lingering_close().await;
        };
        self.context.kill_token().run_until_cancelled(served).await;
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
            (Ok(()), Some(Ok("events"))) => return live_reload::event_stream(SilentStream::new(&self.end)),
            (Ok(()), Some(Err(error))) => error,
            _ => ErrorResponse::Rejected(Rejection::Down(Arc::clone(&self.report))),
        };
        let line = RequestLine::new(head.method.clone(), head.uri.clone(), false);
        self.context.events().send_lossy(error.event(&line));
        error.response(headers::is_navigation(&head.headers), PageOrigin::SharedSocket)
    }
}

/// An event stream without events, which ends when the server takes the socket. The page's script then asks
/// the same path again, and the server answers it.
struct SilentStream {
    first: Option<Bytes>,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl SilentStream {
    fn new(end: &CancellationToken) -> Self {
        let first = Some(Bytes::from_static(b"retry: 500\n\n"));
        Self { first, end: Box::pin(end.clone().cancelled_owned()) }
    }
}

impl Body for SilentStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => self.end.as_mut().poll(cx).map(|()| None),
        }
    }
}
