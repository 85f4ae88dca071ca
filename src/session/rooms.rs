//! Batch -> Request, Phase -> Upstream, everything -> Event. One routing task; it decides nothing.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

#[cfg(feature = "proxy")]
use crate::proxy::{self, Proxy};
use crate::supervise::{self, Request, Supervisor, SupervisorExit};
use crate::watch::{self, Watch};

use super::event::Event;
#[cfg(feature = "proxy")]
use super::routes::{Route, Routes};

/// How long a watch that is replaced may take to say what it has seen.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the owner wants of the watch.
#[derive(Debug)]
pub(super) enum Order {
    Rescan,
    Rewatch(Box<watch::Options>),
}

/// The rooms of one session, owned by its task.
pub(super) struct Rooms {
    pub(super) supervisor: Supervisor,
    pub(super) watch: Option<Watch>,
    pub(super) orders: UnboundedReceiver<Order>,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<Proxy>,
}

/// Where things go.
pub(super) struct Router {
    pub(super) watch_handle: Option<watch::Handle>,
    pub(super) child: supervise::Handle,
    pub(super) events: UnboundedSender<Event>,
    pub(super) told_only: Arc<Vec<PathBuf>>,
    #[cfg(feature = "proxy")]
    pub(super) proxy: Option<proxy::Handle>,
    #[cfg(feature = "proxy")]
    pub(super) routes: Routes,
}

/// One event from one room.
enum Heard {
    Watch(watch::Event),
    WatchEnded,
    Order(Order),
    Child(supervise::Event),
    #[cfg(feature = "proxy")]
    Proxy(proxy::Event),
    #[cfg(feature = "proxy")]
    ProxyEnded,
}

impl Rooms {
    /// The loop: hears one room, routes, until the supervisor has ended; then closes the others.
    pub(super) async fn route(mut self, mut router: Router) -> SupervisorExit {
        let exit = loop {
            match self.hear().await {
                Some(Heard::Watch(event)) => router.watch(event),
                Some(Heard::WatchEnded) => self.watch = None,
                Some(Heard::Order(order)) => self.order(&mut router, order).await,
                Some(Heard::Child(supervise::Event::Ended(exit))) => break exit,
                Some(Heard::Child(event)) => self.child(&mut router, event).await,
                #[cfg(feature = "proxy")]
                Some(Heard::Proxy(event)) => router.proxy(event),
                #[cfg(feature = "proxy")]
                Some(Heard::ProxyEnded) => self.proxy = None,
                None => break SupervisorExit::Asked,
            }
        };
        self.close().await;
        tell(&router.events, Event::Ended(exit));
        exit
    }

    /// The next event of any room; `None` once the supervisor is gone.
    async fn hear(&mut self) -> Option<Heard> {
        #[cfg(feature = "proxy")]
        let proxy = next_of_proxy(&mut self.proxy);
        #[cfg(not(feature = "proxy"))]
        let proxy = std::future::pending::<Heard>();
        tokio::select! {
            // The child's phases first: what the proxy hears must not lag behind a flood of changes.
            biased;
            event = self.supervisor.next_event() => event.map(Heard::Child),
            heard = proxy => Some(heard),
            Some(order) = self.orders.recv() => Some(Heard::Order(order)),
            heard = next_of_watch(&mut self.watch) => Some(heard),
        }
    }

    /// Routes what the child does. Waits only until devrun no longer accepts on the shared sockets.
    async fn child(&mut self, router: &mut Router, event: supervise::Event) {
        router.started(&event);
        #[cfg(feature = "proxy")]
        if let Some(proxy) = router.proxy.clone() {
            for route in router.routes(&event) {
                match route {
                    Route::Publish(upstream) => proxy.publish(upstream),
                    Route::Hold => proxy.hold(),
                    Route::Banner(report) => proxy.banner(report),
                    Route::ReleaseStreams(generation) => proxy.release_streams(generation),
                    Route::Answer(report) => {
                        let sockets = self.supervisor.answering_sockets(report.generation);
                        proxy.answer_on(sockets, report);
                    }
                    Route::AnswerNoMore => proxy.answer_no_more().await,
                }
            }
        }
        tell(&router.events, Event::Child(event));
    }

    async fn order(&mut self, router: &mut Router, order: Order) {
        match order {
            Order::Rescan => {
                if let Some(watch) = &self.watch {
                    watch.handle().rescan();
                }
            }
            Order::Rewatch(options) => self.rewatch(router, *options).await,
        }
    }

    /// The new watch is in place before the old one is asked for what it has seen, so that no change falls between them.
    async fn rewatch(&mut self, router: &mut Router, options: watch::Options) {
        let fresh = match Watch::start(with_told(options, &router.told_only)).await {
            Ok(fresh) => fresh,
            Err(error) => return router.watch(not_rewatched(&error)),
        };
        router.watch_handle = Some(fresh.handle());
        if let Some(mut old) = self.watch.replace(fresh) {
            old.handle().rescan();
            if tokio::time::timeout(LAST_WORDS, router.last_words(&mut old)).await.is_err() {
                // What it holds back still, since git is at work, nobody else will tell: a restart includes it.
                router.child.send(Request::Restart);
            }
            old.stop().await;
        }
        let summary = self.watch.as_ref().map(Watch::summary).unwrap_or_default();
        tell(&router.events, Event::Watching(summary));
    }

    async fn close(self) {
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.proxy {
            proxy.stop().await;
        }
        if let Some(watch) = self.watch {
            watch.stop().await;
        }
    }
}

impl Router {
    fn watch(&self, event: watch::Event) {
        if let watch::Event::Changed(batch) = &event {
            let mut batch = batch.clone();
            batch.changes.retain(|change| !self.told_only.contains(&change.path));
            if !batch.changes.is_empty() {
                self.child.send(Request::Changed(batch));
            }
        }
        tell(&self.events, Event::Watch(event));
    }

    /// What a watch that is about to end has seen, up to the rescan it was asked for.
    async fn last_words(&self, old: &mut Watch) {
        while let Some(event) = old.next_event().await {
            match event {
                watch::Event::Rescanned { .. } => return,
                event => self.watch(event),
            }
        }
    }

    /// The watch gathers what comes right after a start for longer.
    fn started(&self, event: &supervise::Event) {
        let supervise::Event::Phase { phase: supervise::Phase::Starting { .. }, .. } = event else { return };
        if let Some(watch_handle) = &self.watch_handle {
            watch_handle.generation_started();
        }
    }

    #[cfg(feature = "proxy")]
    fn proxy(&self, event: proxy::Event) {
        if let proxy::Event::Drained { generation } = event {
            self.child.send(Request::Drained(generation));
        }
        tell(&self.events, Event::Proxy(event));
    }

    #[cfg(feature = "proxy")]
    fn routes(&mut self, event: &supervise::Event) -> Vec<Route> {
        match event {
            supervise::Event::Restarting { because, .. } => {
                self.routes.restarting(because.clone());
                Vec::new()
            }
            supervise::Event::Phase { generation, phase } => self.routes.phase(*generation, phase),
            _ => Vec::new(),
        }
    }
}

async fn next_of_watch(watch: &mut Option<Watch>) -> Heard {
    match watch {
        Some(watch) => watch.next_event().await.map_or(Heard::WatchEnded, Heard::Watch),
        None => std::future::pending().await,
    }
}

#[cfg(feature = "proxy")]
async fn next_of_proxy(proxy: &mut Option<Proxy>) -> Heard {
    match proxy {
        Some(proxy) => proxy.next_event().await.map_or(Heard::ProxyEnded, Heard::Proxy),
        None => std::future::pending().await,
    }
}

/// Tells the owner. One who no longer listens is not an error: the session goes on until it is stopped.
pub(super) fn tell(events: &UnboundedSender<Event>, event: Event) {
    let _ = events.send(event);
}

/// A watch that also sees these files.
pub(super) fn with_told(mut options: watch::Options, told_only: &[PathBuf]) -> watch::Options {
    options.always.extend_from_slice(told_only);
    options
}

fn not_rewatched(error: &watch::Error) -> watch::Event {
    let mut message = format!("what is watched stays as it was: failed to {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    watch::Event::Warning { message, remedy: String::new() }
}
