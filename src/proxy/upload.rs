//! A request's body on its way to the server: unread until the server is there, so that it can go to another one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Client;

/// How long a body that was announced with `Expect: 100-continue` is held back from a server that says nothing: some know
/// nothing of it and wait for the body.
const EXPECT_PATIENCE: Duration = Duration::from_secs(5);

/// A request's body as it came from the client. Cheap to clone; all clones are the same body.
#[derive(Debug, Clone)]
pub(super) struct Parcel(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    content: Mutex<Content>,
    client: Arc<Client>,
    /// The server said `100 Continue`.
    wanted: Notify,
    expects: bool,
}

#[derive(Debug)]
struct Content {
    body: Incoming,
    touched: bool,
    ended: bool,
    /// The client broke off in it.
    broken: bool,
    /// When the server last got some of it.
    progress: Instant,
}

impl Parcel {
    /// `expects`: the client waits for `100 Continue` before it sends it.
    pub(super) fn new(body: Incoming, client: &Arc<Client>, expects: bool) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        let content = Content { body, touched: false, ended: false, broken: false, progress: Instant::now() };
        let client = Arc::clone(client);
        let wanted = Notify::new();
        Self(Some(Arc::new(Shared { content: Mutex::new(content), client, wanted, expects })))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether its length is known only at its end.
    pub(super) fn is_chunked(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content().body.size_hint().exact().is_none())
    }

    /// Whether some of it has been given to a server: then it cannot be given to another.
    pub(super) fn is_touched(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content().touched)
    }

    /// Whether some of it has yet to be read.
    pub(super) fn is_unread(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| !shared.content().ended)
    }

    /// Whether the client broke off in it.
    pub(super) fn is_broken(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content().broken)
    }

    /// The server wants it.
    pub(super) fn want(&self) {
        if let Some(shared) = &self.0 {
            shared.wanted.notify_one();
        }
    }

    /// When the server last got some of it, if it has a body.
    pub(super) fn progress(&self) -> Option<Instant> {
        self.0.as_ref().map(|shared| shared.content().progress)
    }

    /// The body of one attempt to send it.
    pub(super) fn upload(&self) -> Upload {
        let Some(shared) = &self.0 else { return Upload { shared: None, wait: None } };
        shared.content().progress = Instant::now();
        let waiting = Arc::clone(shared);
        let wait =
            shared.expects.then(|| -> Wait { Box::pin(async move { waiting.wait_until_wanted().await }) });
        Upload { shared: Some(Arc::clone(shared)), wait }
    }
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_until_wanted(&self) {
        tokio::select! {
            () = self.wanted.notified() => {}
            () = self.client.body_arrived() => {}
            () = tokio::time::sleep(EXPECT_PATIENCE) => {}
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.content().ended {
            self.client.set_unread();
        }
    }
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A [`Parcel`] as hyper sends it.
pub(super) struct Upload {
    shared: Option<Arc<Shared>>,
    wait: Option<Wait>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let Some(shared) = &self.shared else { return Poll::Ready(None) };
        let mut content = shared.content();
        let frame = ready!(Pin::new(&mut content.body).poll_frame(cx));
        content.touched = true;
        content.broken |= matches!(frame, Some(Err(_)));
        content.ended |= frame.is_none() || content.body.is_end_stream();
        content.progress = Instant::now();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.content().body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.as_ref().map_or(SizeHint::with_exact(0), |shared| shared.content().body.size_hint())
    }
}
