//! The body of a request. It stays unread until an upstream takes it, so that the request can go to another
//! upstream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::proxy::connections::ClientConnection;
use crate::sync;

/// Maximum time for which a body announced by `Expect: 100-continue` is held back. Some servers do not know
/// the header and wait for the body.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a request as the client sends it. Cheap to clone; all clones are the same body.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct RequestBody(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    content: Mutex<Content>,
    client: Arc<ClientConnection>,
    /// Notified when the server sends `100 Continue`.
    continued: Notify,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: bool,
}

#[derive(Debug)]
struct Content {
    body: Incoming,
    /// A server has got some of it.
    is_started: bool,
    /// All of it has been read.
    is_ended: bool,
    /// The client broke off in it.
    is_broken: bool,
    /// Time at which a server last got some of it.
    last_progress: Instant,
}

impl RequestBody {
    pub(in crate::proxy) fn new(
        body: Incoming,
        client: &Arc<ClientConnection>,
        expects_continue: bool,
    ) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        let content = Content {
            body,
            is_started: false,
            is_ended: false,
            is_broken: false,
            last_progress: Instant::now(),
        };
        Self(Some(Arc::new(Shared {
            content: Mutex::new(content),
            client: Arc::clone(client),
            continued: Notify::new(),
            expects_continue,
        })))
    }

    pub(in crate::proxy) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the length is known only at the end.
    pub(in crate::proxy) fn is_chunked(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content().body.size_hint().exact().is_none())
    }

    /// Whether a server has got some of it, so that no other server can get it.
    pub(in crate::proxy) fn is_started(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content().is_started)
    }

    /// Whether some of it has not been read yet.
    pub(in crate::proxy) fn is_unread(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| !shared.content().is_ended)
    }

    /// Whether the client broke off in it.
    pub(in crate::proxy) fn is_broken(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content().is_broken)
    }

    /// Starts to send the body, because the server sent `100 Continue`.
    pub(in crate::proxy) fn continue_sending(&self) {
        if let Some(shared) = &self.0 {
            shared.continued.notify_one();
        }
    }

    /// Time at which a server last got some of the body; `None` if there is no body.
    pub(in crate::proxy) fn last_progress(&self) -> Option<Instant> {
        self.0.as_ref().map(|shared| shared.content().last_progress)
    }

    /// The body for one attempt to send the request.
    pub(in crate::proxy) fn for_attempt(&self) -> AttemptBody {
        let Some(shared) = &self.0 else { return AttemptBody { shared: None, wait: None } };
        shared.content().last_progress = Instant::now();
        let waiting = Arc::clone(shared);
        let wait = shared
            .expects_continue
            .then(|| -> Wait { Box::pin(async move { waiting.wait_for_continue().await }) });
        AttemptBody { shared: Some(Arc::clone(shared)), wait }
    }
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, Content> {
        sync::lock(&self.content)
    }

    async fn wait_for_continue(&self) {
        tokio::select! {
            () = self.continued.notified() => {}
            () = self.client.body_arrived() => {}
            () = tokio::time::sleep(CONTINUE_TIMEOUT) => {}
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.content().is_ended {
            self.client.set_unread_request();
        }
    }
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A [`RequestBody`] as hyper sends it to one upstream.
pub(in crate::proxy) struct AttemptBody {
    shared: Option<Arc<Shared>>,
    /// Wait for `100 Continue`.
    wait: Option<Wait>,
}

impl Body for AttemptBody {
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
        content.is_started = true;
        content.is_broken |= matches!(frame, Some(Err(_)));
        content.is_ended |= frame.is_none() || content.body.is_end_stream();
        content.last_progress = Instant::now();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.content().body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.as_ref().map_or(SizeHint::with_exact(0), |shared| shared.content().body.size_hint())
    }
}
