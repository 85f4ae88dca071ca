//! State shared by the parts of the portal: the upstream, the store, the tenders, and the events of
//! downloads.

use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{self, Answer};
use crate::fetch::Upstream;
use crate::store::Store;
use crate::tenders::{Catalogue, Tender};

/// The state that a request needs.
pub(crate) struct Portal {
    pub(crate) upstream: Upstream,
    pub(crate) store: Store,
    pub(crate) catalogue: Catalogue,
    news: broadcast::Sender<String>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Portal {
    pub(crate) fn new(
        catalogue: Catalogue,
        upstream: Upstream,
        store: Store,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (news, _) = broadcast::channel(64);
        Arc::new(Self { upstream, store, catalogue, news, stop, tasks: TaskTracker::new() })
    }

    /// Starts a task that the portal completes before it ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Sends the progress of a document to all clients of `/api/events`.
    pub(crate) fn tell(&self, tender: &Tender, state: &str, saved: u64, size: Option<u64>) {
        let news = serde_json::json!({ "id": tender.id, "state": state, "saved": saved, "size": size });
        let _ = self.news.send(format!("data: {news}\n\n"));
    }

    /// The edition of the portal, as JSON.
    pub(crate) fn version(&self) -> String {
        let edition = &self.catalogue.edition;
        let version = serde_json::json!({ "edition": edition, "tenders": self.catalogue.len(), "pid": std::process::id() });
        format!("{version}\n")
    }

    /// Server-sent events: first the edition, then progress, until the client leaves or the portal stops.
    pub(crate) fn events(&self) -> Answer {
        let (chunks, answer) = body::chunks(None);
        let (mut news, stop) = (self.news.subscribe(), self.stop.clone());
        let mut next = Ok(format!("event: edition\ndata: {}\n\n", self.catalogue.edition));
        self.spawn(async move {
            while let Ok(text) = next {
                if chunks.send(Ok(Bytes::from(text))).await.is_err() {
                    return;
                }
                next = tokio::select! {
                    news = news.recv() => match news {
                        // A slow client misses old events. The next event has the present state.
                        Err(broadcast::error::RecvError::Lagged(_)) => Ok(String::from(": lagged\n\n")),
                        other => other,
                    },
                    () = chunks.closed() => return,
                    () = stop.cancelled() => return,
                };
            }
        });
        answer
    }
}
