//! Bodies of requests and responses on their way through the proxy.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::client::ClientConnection;
use super::in_flight::InFlightGuard;
use super::upstream::{ConnectionTask, is_listening};
use crate::sync;

/// Maximum time for which a body announced by `Expect: 100-continue` is held back. Some servers do not know
/// the header and wait for the body.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Error in a body, for which the client's connection is cut.
pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of any response to a client.
pub(super) type AnyBody = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is known as a whole.
pub(super) fn full(content: impl Into<Bytes>) -> AnyBody {
    Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The body with a value that is dropped once the body has been sent, or its client has left.
pub(super) fn keep<T: Send + 'static>(value: T, body: AnyBody) -> AnyBody {
    let keep = move |error| {
        let _kept = &value;
        error
    };
    body.map_err(keep).boxed_unsync()
}

/// A body whose chunks a task sends. The body runs that task, and drops it with itself.
pub(super) fn streamed<F>(task: impl FnOnce(mpsc::Sender<Bytes>) -> F) -> AnyBody
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, chunks) = mpsc::channel(1);
    StreamedBody { task: Some(Box::pin(task(sender))), chunks }.boxed_unsync()
}

struct StreamedBody<F> {
    /// `None` once it has ended.
    task: Option<Pin<Box<F>>>,
    chunks: mpsc::Receiver<Bytes>,
}

impl<F: Future<Output = ()>> Body for StreamedBody<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        if self.task.as_mut().is_some_and(|task| task.as_mut().poll(cx).is_ready()) {
            self.task = None;
        }
        self.chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

type PollFrame<E = BodyError> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// The body of a request as the client sends it. It stays unread until an upstream takes it, so that the
/// request can go to another upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    content: Mutex<RequestContent>,
    client: Arc<ClientConnection>,
    is_empty: bool,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: bool,
    /// Notified when the server sends `100 Continue`, so that the body is sent.
    continued: Notify,
}

#[derive(Debug)]
struct RequestContent {
    incoming: Incoming,
    progress: RequestProgress,
}

/// How far the body of a request has got.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestProgress {
    /// A server has got some of it, so no other server can get it.
    pub is_started: bool,
    /// All of it has been read.
    pub is_ended: bool,
    /// The client broke off in it.
    pub is_broken: bool,
    /// Time at which an attempt began, or a server last got some of it.
    pub last: Instant,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, client: &Arc<ClientConnection>, expects_continue: bool) -> Arc<Self> {
        let is_empty = body.is_end_stream();
        let progress =
            RequestProgress { is_started: false, is_ended: is_empty, is_broken: false, last: Instant::now() };
        let content = Mutex::new(RequestContent { incoming: body, progress });
        let (client, continued) = (Arc::clone(client), Notify::new());
        Arc::new(Self { content, client, is_empty, expects_continue, continued })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The server has sent `100 Continue`: sends the body.
    pub(super) fn proceed(&self) {
        self.continued.notify_one();
    }

    /// Whether the length is known only at the end.
    pub(super) fn is_chunked(&self) -> bool {
        self.content().incoming.size_hint().exact().is_none()
    }

    pub(super) fn progress(&self) -> RequestProgress {
        self.content().progress
    }

    /// The body for one attempt to send the request.
    pub(super) fn for_attempt(self: &Arc<Self>) -> AttemptBody {
        self.content().progress.last = Instant::now();
        let request = Arc::clone(self);
        let wait = async move {
            tokio::select! {
                () = request.continued.notified() => {}
                () = request.client.body_arrived() => {}
                () = tokio::time::sleep(CONTINUE_TIMEOUT) => {}
            }
        };
        let waits = self.expects_continue && !self.is_empty;
        let wait = waits.then(|| -> Wait { Box::pin(wait) });
        AttemptBody { request: Arc::clone(self), wait }
    }

    fn content(&self) -> MutexGuard<'_, RequestContent> {
        sync::lock(&self.content)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.progress().is_ended {
            self.client.set_unread_request();
        }
    }
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A [`RequestBody`] as hyper sends it to one upstream.
pub(super) struct AttemptBody {
    request: Arc<RequestBody>,
    /// Wait for `100 Continue`.
    wait: Option<Wait>,
}

impl Body for AttemptBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame<hyper::Error> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let mut content = self.request.content();
        let frame = ready!(Pin::new(&mut content.incoming).poll_frame(cx));
        let is_ended = frame.is_none() || content.incoming.is_end_stream();
        let progress = &mut content.progress;
        progress.is_started = true;
        progress.is_broken |= matches!(frame, Some(Err(_)));
        progress.is_ended |= is_ended;
        progress.last = Instant::now();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.request.content().incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.request.content().incoming.size_hint()
    }
}

/// How the end of an upstream's response shows that it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// By its framing: a length, or chunks.
    Framed,
    /// By the close of the connection. It is complete only if the upstream still listens, and has not died.
    Close,
}

/// The body of an upstream's response. A response that was cut never ends as if it were complete.
pub(super) struct ResponseBody {
    incoming: Incoming,
    in_flight: InFlightGuard,
    task: ConnectionTask,
    end: BodyEnd,
    client: Arc<ClientConnection>,
    /// The client takes the close of its connection for the end of the body, so a cut body resets it.
    client_needs_close: bool,
    /// Bytes to append to the body.
    appendix: Option<Bytes>,
    /// Ends a stream when its generation's streams are released.
    release: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Check whether the upstream still listens.
    listener_check: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    trailers: Option<HeaderMap>,
    is_ended: bool,
}

impl ResponseBody {
    pub(super) fn new(
        incoming: Incoming,
        in_flight: InFlightGuard,
        task: ConnectionTask,
        end: BodyEnd,
        client: Arc<ClientConnection>,
    ) -> Self {
        Self {
            incoming,
            in_flight,
            task,
            end,
            client,
            client_needs_close: false,
            appendix: None,
            release: None,
            listener_check: None,
            trailers: None,
            is_ended: false,
        }
    }

    /// Appends bytes to the body.
    pub(super) fn with_appendix(mut self, appendix: Option<Bytes>) -> Self {
        self.appendix = appendix;
        self
    }

    /// The client learns the end of the body only by the close of its connection.
    pub(super) fn end_by_close(&mut self) {
        self.client_needs_close = true;
    }

    /// Treats the body as an endless stream: no drain waits for it, and the release of the generation's
    /// streams ends it.
    pub(super) fn become_stream(&mut self) {
        self.in_flight.become_stream();
        self.release = Some(Box::pin(self.in_flight.generation.release().clone().cancelled_owned()));
    }

    /// Next data of the upstream, counted. Trailers end the body and are kept for after the appendix.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> PollFrame {
        if self.is_ended {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => {
                    self.trailers = Some(trailers);
                    self.is_ended = true;
                    Poll::Ready(None)
                }
                Err(frame) => {
                    self.in_flight.add_bytes(frame.data_ref().map_or(0, Bytes::len));
                    Poll::Ready(Some(Ok(frame)))
                }
            },
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => {
                if self.end == BodyEnd::Close && !ready!(self.poll_listening(cx)) {
                    let died = "the server died in a response that ends with its connection";
                    return Poll::Ready(Some(Err(died.into())));
                }
                self.is_ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn poll_listening(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let address = self.in_flight.generation.address;
        self.listener_check.get_or_insert_with(|| Box::pin(is_listening(address))).as_mut().poll(cx)
    }

    /// Ends the body if its generation's streams are released.
    fn poll_release(&mut self, cx: &mut Context<'_>) {
        if self.release.as_mut().is_some_and(|release| release.as_mut().poll(cx).is_ready()) {
            self.release = None;
            self.is_ended = true;
            self.task.abort();
            self.client.close_after_response();
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.client_needs_close && !self.is_end_stream() {
            self.client.reset_on_close();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        let this = &mut *self;
        this.poll_release(cx);
        if let Some(frame) = ready!(this.poll_upstream(cx)) {
            return Poll::Ready(Some(frame));
        }
        if let Some(appendix) = this.appendix.take() {
            return Poll::Ready(Some(Ok(Frame::data(appendix))));
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let is_ended = self.is_ended || (self.incoming.is_end_stream() && self.end == BodyEnd::Framed);
        is_ended && self.appendix.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let appended = self.appendix.as_ref().map_or(0, |appendix| appendix.len() as u64);
        match self.incoming.size_hint().exact() {
            Some(length) => SizeHint::with_exact(length + appended),
            None => SizeHint::default(),
        }
    }
}
