//! What an answer's body can be: devrun's own, the server's, or events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};

use super::client::Client;
use super::download::{Cut, Download};

/// A stream of devrun's own that ends by itself or with its client.
pub(super) type Stream = Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Cut> + Send>>;

/// An answer's body; while it lives, its client is busy.
pub(super) struct Body {
    kind: Kind,
    _busy: Option<Busy>,
}

enum Kind {
    Whole(Bytes),
    Download(Box<Download>),
    Stream(Stream),
}

/// Marks a client's connection as one that must not be closed to make room.
pub(super) struct Busy(Arc<Client>);

impl Busy {
    pub(super) fn new(client: &Arc<Client>) -> Self {
        client.set_busy(true);
        Self(Arc::clone(client))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_busy(false);
    }
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(super) fn whole(content: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Whole(content.into()), _busy: None }
    }

    pub(super) fn download(download: Download) -> Self {
        Self { kind: Kind::Download(Box::new(download)), _busy: None }
    }

    pub(super) fn stream(stream: Stream) -> Self {
        Self { kind: Kind::Stream(stream), _busy: None }
    }

    /// Its client is busy until it has ended.
    pub(super) fn keep(mut self, busy: Busy) -> Self {
        self._busy = Some(busy);
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.kind {
            Kind::Whole(content) if content.is_empty() => Poll::Ready(None),
            Kind::Whole(content) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(content))))),
            Kind::Download(download) => Pin::new(&mut **download).poll_frame(cx),
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(content) => content.is_empty(),
            Kind::Download(download) => download.is_end_stream(),
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(content) => SizeHint::with_exact(content.len() as u64),
            Kind::Download(download) => download.size_hint(),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}
