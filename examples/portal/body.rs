//! Answer bodies: a complete text, or chunks as they arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// The body of every answer.
pub(crate) type Answer = BoxBody<Bytes, io::Error>;

/// The sender of chunks. An error cuts the answer, so that it never looks complete. A closed channel ends it.
pub(crate) type Chunks = mpsc::Sender<io::Result<Bytes>>;

/// A body with a known text.
pub(crate) fn text(text: impl Into<Bytes>) -> Answer {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// A body whose chunks arrive later, with its length if known. At most four chunks wait for a slow client.
pub(crate) fn chunks(length: Option<u64>) -> (Chunks, Answer) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, Piped { receiver, left: length }.boxed())
}

struct Piped {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    left: Option<u64>,
}

impl Body for Piped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = ready!(self.receiver.poll_recv(cx));
        if let (Some(left), Some(Ok(bytes))) = (self.left.as_mut(), &chunk) {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
