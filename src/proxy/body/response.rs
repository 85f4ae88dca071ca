//! The body of an upstream's response on its way to the client. A response that was cut never ends as if it
//! were complete.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::GenerationId;
use crate::proxy::connections::{ClientConnection, ConnectionTask, is_listening};
use crate::proxy::in_flight::InFlightGuard;

/// Error in a body, for which the client's connection is cut.
pub(in crate::proxy) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// How the end of an upstream's response shows that it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum BodyEnd {
    /// By its framing: a length, or chunks.
    Framed,
    /// By the close of the connection. It is complete only if the upstream still listens, and has not died.
    Close,
}

/// The body of an upstream's response.
pub(in crate::proxy) struct ResponseBody {
    incoming: Incoming,
    in_flight: InFlightGuard,
    task: ConnectionTask,
    end: BodyEnd,
    client: Arc<ClientConnection>,
    /// The client takes the close of its connection for the end of the body.
    client_needs_close: bool,
    /// Ends a stream when its generation's streams are released.
    release: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Check whether the upstream still listens.
    listener_check: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    /// Bytes to append to the body.
    appendix: Option<Bytes>,
    trailers: Option<HeaderMap>,
    is_ended: bool,
}

impl ResponseBody {
    pub(in crate::proxy) fn new(
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
            release: None,
            listener_check: None,
            appendix: None,
            trailers: None,
            is_ended: false,
        }
    }

    /// The generation that answers.
    pub(in crate::proxy) fn generation(&self) -> GenerationId {
        self.in_flight.generation().id()
    }

    /// Treats the body as an endless stream: no drain waits for it, and the release of the generation's
    /// streams ends it.
    pub(in crate::proxy) fn become_stream(&mut self) {
        self.in_flight.become_stream();
        let release = self.in_flight.generation().release_token().clone();
        self.release = Some(Box::pin(release.cancelled_owned()));
    }

    /// Treats the body as one that must be complete, whatever the request was taken for.
    pub(in crate::proxy) fn become_finite(&mut self) {
        self.in_flight.become_finite();
    }

    /// Appends bytes to the body.
    pub(in crate::proxy) fn append(&mut self, bytes: Bytes) {
        self.appendix = Some(bytes);
    }

    /// Resets the client's connection if the body is cut, because the client takes a plain close for the end.
    pub(in crate::proxy) fn set_client_needs_close(&mut self) {
        self.client_needs_close = true;
    }

    /// Next data of the upstream, counted. Trailers end the body and are kept for after the appendix.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
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
                ready!(self.poll_complete(cx))?;
                self.is_ended = true;
                Poll::Ready(None)
            }
        }
    }

    /// Checks that a response which ends with the connection is complete.
    fn poll_complete(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.end == BodyEnd::Framed {
            return Poll::Ready(Ok(()));
        }
        let address = self.in_flight.generation().address();
        let check = self.listener_check.get_or_insert_with(|| Box::pin(is_listening(address)));
        if ready!(check.as_mut().poll(cx)) {
            self.end = BodyEnd::Framed;
            return Poll::Ready(Ok(()));
        }
        let died = io::Error::other("the server died in a response that ends with its connection");
        Poll::Ready(Err(died.into()))
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

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
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
