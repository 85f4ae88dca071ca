//! An answer's body on its way to the client: counted, ended or cut, never ended where it was cut.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::task::AbortHandle;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::client::Client;
use super::dial::outlives;
use super::drain::Seat;

/// What goes wrong in a body: the client's connection is cut.
pub(super) type Cut = Box<dyn std::error::Error + Send + Sync>;

/// The task that drives one connection to the server; dropped, it closes that connection.
#[derive(Debug)]
pub(super) struct Driver(pub(super) AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How an answer's end can be told from its being cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Both sides' framing tells.
    Framed,
    /// The server's close is the end: whether it was one is asked of the server.
    ServerCloses,
}

/// An answer's body.
pub(super) struct Download {
    inner: Incoming,
    seat: Seat,
    driver: Driver,
    ending: Ending,
    client: Arc<Client>,
    /// The client can tell the end only by the close.
    closes: bool,
    release: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    check: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    tag: Option<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl Download {
    pub(super) fn new(
        inner: Incoming,
        seat: Seat,
        driver: Driver,
        ending: Ending,
        client: Arc<Client>,
    ) -> Self {
        Self {
            inner,
            seat,
            driver,
            ending,
            client,
            closes: false,
            release: None,
            check: None,
            tag: None,
            trailers: None,
            ended: false,
        }
    }

    /// The generation that answers.
    pub(super) fn generation(&self) -> u64 {
        self.seat.generation.number
    }

    /// Ends when the generation's streams are released; until then nobody waits for its end.
    pub(super) fn endless(&mut self) {
        self.seat.become_stream();
        self.release = Some(Box::pin(self.seat.generation.release.clone().cancelled_owned()));
    }

    /// Puts this behind the body.
    pub(super) fn append(&mut self, tag: Bytes) {
        self.tag = Some(tag);
    }

    /// The client can tell a cut from the end only by how the connection closes.
    pub(super) fn delimited_by_close(&mut self) {
        self.closes = true;
    }

    fn cut(&self, why: Cut) -> Cut {
        if self.closes {
            self.client.cut();
        }
        why
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        if self.ending == Ending::Framed {
            return Poll::Ready(Ok(()));
        }
        let address = self.seat.generation.address;
        let check = self.check.get_or_insert_with(|| Box::pin(outlives(address)));
        if ready!(check.as_mut().poll(cx)) {
            self.ending = Ending::Framed;
            return Poll::Ready(Ok(()));
        }
        let died = io::Error::other("the server died in an answer that only its close delimits");
        Poll::Ready(Err(self.cut(died.into())))
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => {
                    self.trailers = Some(trailers);
                    self.ended = true;
                    Poll::Ready(None)
                }
                Err(frame) => {
                    self.seat.count(frame.data_ref().map_or(0, Bytes::len));
                    Poll::Ready(Some(Ok(frame)))
                }
            },
            Some(Err(error)) => Poll::Ready(Some(Err(self.cut(error.into())))),
            None => {
                ready!(self.poll_ending(cx))?;
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        if this.release.as_mut().is_some_and(|release| release.as_mut().poll(cx).is_ready()) {
            this.ended = true;
            this.release = None;
            this.driver.0.abort();
            this.client.finish();
        }
        if let Some(frame) = ready!(this.poll_inner(cx)) {
            return Poll::Ready(Some(frame));
        }
        if let Some(tag) = this.tag.take() {
            return Poll::Ready(Some(Ok(Frame::data(tag))));
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.ended || (self.inner.is_end_stream() && self.ending == Ending::Framed);
        ended && self.tag.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let tag = self.tag.as_ref().map_or(0, |tag| tag.len() as u64);
        match self.inner.size_hint().exact() {
            Some(length) => SizeHint::with_exact(length + tag),
            None => SizeHint::default(),
        }
    }
}
