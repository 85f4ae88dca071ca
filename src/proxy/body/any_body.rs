//! The body of any response: devrun's own, the upstream's, or an event stream of devrun.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::response::{BodyError, ResponseBody};
use crate::proxy::connections::BusyGuard;

/// An event stream of devrun, which ends by itself or with its client.
pub(in crate::proxy) type OwnStream = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of any response to a client.
pub(in crate::proxy) struct AnyBody {
    content: Content,
    _busy: Option<BusyGuard>,
}

enum Content {
    Full(Bytes),
    Upstream(Box<ResponseBody>),
    Stream(OwnStream),
}

impl AnyBody {
    pub(in crate::proxy) fn empty() -> Self {
        Self::full(Bytes::new())
    }

    pub(in crate::proxy) fn full(content: impl Into<Bytes>) -> Self {
        Self { content: Content::Full(content.into()), _busy: None }
    }

    pub(in crate::proxy) fn upstream(body: ResponseBody) -> Self {
        Self { content: Content::Upstream(Box::new(body)), _busy: None }
    }

    pub(in crate::proxy) fn stream(stream: OwnStream) -> Self {
        Self { content: Content::Stream(stream), _busy: None }
    }

    /// Keeps the client's connection busy until this body has been sent.
    pub(in crate::proxy) fn keep_busy(mut self, busy: BusyGuard) -> Self {
        self._busy = Some(busy);
        self
    }
}

impl Body for AnyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Full(content) if content.is_empty() => Poll::Ready(None),
            Content::Full(content) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(content))))),
            Content::Upstream(body) => Pin::new(&mut **body).poll_frame(cx),
            Content::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(content) => content.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
            Content::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(content) => SizeHint::with_exact(content.len() as u64),
            Content::Upstream(body) => body.size_hint(),
            Content::Stream(stream) => stream.size_hint(),
        }
    }
}
