//! The task of a session: starts the parts, routes messages between them, stops them.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

#[cfg(feature = "proxy")]
use super::routing::{ProxyCommand, Routing};
use super::session::{Error, Event, Options};
use crate::SyncId;
#[cfg(feature = "proxy")]
use crate::proxy::{self, Proxy};
use crate::supervise::{self, Phase, Request, Supervisor, SupervisorExit};
use crate::watch::{self, Watch};

/// Timeout for the last rescan of a watch that is replaced.
const LAST_RESCAN_TIMEOUT: Duration = Duration::from_secs(5);

/// A request of the owner that concerns the watch.
#[derive(Debug)]
pub(super) enum WatchRequest {
    /// Compare all files with the snapshot.
    Rescan,
    /// Replace the watch by one with these options.
    Rewatch(Box<watch::Options>),
    /// Answer when everything up to now is decided.
    Settle(SyncId),
    /// Do not answer any more.
    Forget(SyncId),
}

/// Owns the parts of a session.
pub(super) struct SessionTask {
    supervisor: Supervisor,
    watch: Option<Watch>,
    watch_requests: UnboundedReceiver<WatchRequest>,
    events: UnboundedSender<Event>,
    /// The questions for which the watch is being brought up to date.
    syncing: Vec<SyncId>,
    /// [`Options::observe_only`], absolute.
    observe_only: Vec<PathBuf>,
    #[cfg(feature = "proxy")]
    proxy: Option<Proxy>,
    #[cfg(feature = "proxy")]
    routing: Routing,
}

/// One message of one part.
enum Message {
    /// `None` if the watch has ended.
    Watch(Option<watch::Event>),
    Request(WatchRequest),
    Supervisor(supervise::Event),
    /// `None` if the proxy has ended.
    #[cfg(feature = "proxy")]
    Proxy(Option<proxy::Event>),
}

impl SessionTask {
    /// Starts the parts. The proxy comes first, because a port in use shows at once. The supervisor comes last: when
    /// its first generation starts, the watches are in place.
    pub(super) async fn start(
        options: Options,
        watch_requests: UnboundedReceiver<WatchRequest>,
        events: UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        #[cfg(feature = "proxy")]
        if options.proxy.as_ref().is_some_and(|proxy| !proxy.addresses.is_empty())
            && options.supervise.port == supervise::Port::None
        {
            return Err(Error::NoPort);
        }
        let base = &options.watch.rules.base;
        let base = base.canonicalize().unwrap_or_else(|_| base.clone());
        let observe_only: Vec<PathBuf> = options.observe_only.iter().map(|path| base.join(path)).collect();
        #[cfg(feature = "proxy")]
        let proxy = start_proxy(&options).await?;
        #[cfg(feature = "proxy")]
        let command = command_line(&options.supervise.command);
        #[cfg(feature = "proxy")]
        let routing = Routing::new(base, command, options.start_hint.clone());
        match start_watch_and_supervisor(options, &observe_only).await {
            Ok((watch, supervisor)) => {
                let task = Self {
                    supervisor,
                    watch,
                    watch_requests,
                    events,
                    syncing: Vec::new(),
                    observe_only,
                    #[cfg(feature = "proxy")]
                    proxy,
                    #[cfg(feature = "proxy")]
                    routing,
                };
                task.report_summary();
                Ok(task)
            }
            Err(error) => {
                #[cfg(feature = "proxy")]
                stop_proxy(proxy).await;
                Err(error)
            }
        }
    }

    /// A handle of the proxy, if there is one.
    #[cfg(feature = "proxy")]
    pub(super) fn proxy(&self) -> Option<proxy::Handle> {
        self.proxy.as_ref().map(Proxy::handle)
    }

    /// A handle that sends requests to the supervisor.
    pub(super) fn supervisor(&self) -> supervise::Handle {
        self.supervisor.handle()
    }

    /// Routes messages until the supervisor has ended, then stops the other parts.
    pub(super) async fn run(mut self) -> SupervisorExit {
        let exit = loop {
            match self.next_message().await {
                Some(Message::Supervisor(supervise::Event::Ended(exit))) => break exit,
                Some(Message::Supervisor(event)) => self.route_supervisor(event).await,
                Some(Message::Watch(Some(event))) => self.route_watch(event),
                Some(Message::Watch(None)) => {
                    self.watch = None;
                    self.settle_without_watch();
                }
                Some(Message::Request(WatchRequest::Rescan)) => {
                    if let Some(watch) = &self.watch {
                        watch.handle().rescan();
                    }
                }
                Some(Message::Request(WatchRequest::Rewatch(options))) => self.rewatch(*options).await,
                Some(Message::Request(WatchRequest::Settle(id))) => self.settle(id),
                Some(Message::Request(WatchRequest::Forget(id))) => {
                    self.syncing.retain(|syncing| *syncing != id);
                    self.supervisor.handle().send(Request::Forget(id));
                }
                #[cfg(feature = "proxy")]
                Some(Message::Proxy(Some(event))) => self.route_proxy(event),
                #[cfg(feature = "proxy")]
                Some(Message::Proxy(None)) => self.proxy = None,
                None => break SupervisorExit::Asked,
            }
        };
        #[cfg(feature = "proxy")]
        stop_proxy(self.proxy.take()).await;
        stop_watch(self.watch.take()).await;
        self.report(Event::Ended(exit));
        exit
    }

    /// The next message of any part; `None` when the supervisor is gone.
    async fn next_message(&mut self) -> Option<Message> {
        #[cfg(feature = "proxy")]
        let proxy_message = next_of_proxy(&mut self.proxy);
        #[cfg(not(feature = "proxy"))]
        let proxy_message = std::future::pending::<Message>();
        tokio::select! {
            // The supervisor comes first, so that a flood of changes does not delay the proxy's switch.
            biased;
            event = self.supervisor.next_event() => event.map(Message::Supervisor),
            message = proxy_message => Some(message),
            Some(request) = self.watch_requests.recv() => Some(Message::Request(request)),
            message = next_of_watch(&mut self.watch) => Some(message),
        }
    }

    /// Brings the watch up to date. Its answer follows all changes that it has found.
    fn settle(&mut self, id: SyncId) {
        self.syncing.push(id);
        match &self.watch {
            Some(watch) => watch.handle().sync(id),
            None => self.settle_without_watch(),
        }
    }

    /// Asks the supervisor what the watch will not answer.
    fn settle_without_watch(&mut self) {
        for id in std::mem::take(&mut self.syncing) {
            self.supervisor.handle().send(Request::Settle(id));
        }
    }

    /// The watch is up to date: the supervisor answers now, unless the question was taken back.
    fn synced(&mut self, id: SyncId) {
        if let Some(index) = self.syncing.iter().position(|syncing| *syncing == id) {
            self.syncing.remove(index);
            self.supervisor.handle().send(Request::Settle(id));
        }
    }

    /// Passes a batch on to the supervisor, without the files that are only observed.
    fn route_watch(&mut self, event: watch::Event) {
        if let watch::Event::Synced(id) = event {
            self.synced(id);
        }
        if let watch::Event::Changed(batch) = &event {
            let mut batch = batch.clone();
            batch.changes.retain(|change| !self.observe_only.contains(&change.path));
            if !batch.changes.is_empty() {
                self.supervisor.handle().send(Request::Changed(batch));
            }
        }
        self.report(Event::Watch(event));
    }

    async fn route_supervisor(&mut self, event: supervise::Event) {
        if let (Some(watch), supervise::Event::Phase { phase: Phase::Starting { .. }, .. }) =
            (&self.watch, &event)
        {
            watch.handle().generation_started();
        }
        #[cfg(feature = "proxy")]
        self.command_proxy(&event).await;
        self.report(Event::Child(event));
    }

    /// Tells the proxy what the event means for clients. Waits only until devrun has stopped accepting on the command's
    /// own sockets.
    #[cfg(feature = "proxy")]
    async fn command_proxy(&mut self, event: &supervise::Event) {
        let Some(proxy) = self.proxy.as_ref().map(Proxy::handle) else { return };
        for command in self.routing.commands(event) {
            match command {
                ProxyCommand::Publish(upstream) => proxy.publish(upstream),
                ProxyCommand::Drain => proxy.drain(),
                ProxyCommand::Hold => proxy.hold(),
                ProxyCommand::Banner(report) => proxy.banner(report),
                ProxyCommand::ReleaseStreams(generation) => proxy.release_streams(generation),
                ProxyCommand::StartFallback(report) => {
                    let sockets = self.supervisor.answering_sockets(report.generation);
                    proxy.answer_on(sockets, report);
                }
                ProxyCommand::StopFallback => proxy.answer_no_more().await,
            }
        }
    }

    #[cfg(feature = "proxy")]
    fn route_proxy(&self, event: proxy::Event) {
        if let proxy::Event::Drained { generation } = event {
            self.supervisor.handle().send(Request::Drained(generation));
        }
        self.report(Event::Proxy(event));
    }

    /// Replaces the watch. The new one is in place before the old one makes its last rescan, so that no change is lost.
    async fn rewatch(&mut self, options: watch::Options) {
        let new = match Watch::start(with_observed(options, &self.observe_only)).await {
            Ok(new) => new,
            Err(error) => return self.route_watch(rewatch_warning(&error)),
        };
        if let Some(mut old) = self.watch.replace(new) {
            old.handle().rescan();
            // The last rescan also routes the events that the old watch still has.
            let last_rescan = async {
                while let Some(event) = old.next_event().await {
                    match event {
                        watch::Event::Rescanned { .. } => return,
                        event => self.route_watch(event),
                    }
                }
            };
            if tokio::time::timeout(LAST_RESCAN_TIMEOUT, last_rescan).await.is_err() {
                // The old watch still holds a burst back because git is at work. A restart covers its changes.
                self.supervisor.handle().send(Request::Restart);
            }
            old.stop().await;
            self.settle_without_watch();
        }
        self.report_summary();
    }

    fn report_summary(&self) {
        let summary = self.watch.as_ref().map(Watch::summary).unwrap_or_default();
        self.report(Event::Watching(summary));
    }

    /// Sends an event to the owner. The session goes on when the owner no longer receives.
    fn report(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

async fn next_of_watch(watch: &mut Option<Watch>) -> Message {
    match watch {
        Some(watch) => Message::Watch(watch.next_event().await),
        None => std::future::pending().await,
    }
}

#[cfg(feature = "proxy")]
async fn next_of_proxy(proxy: &mut Option<Proxy>) -> Message {
    match proxy {
        Some(proxy) => Message::Proxy(proxy.next_event().await),
        None => std::future::pending().await,
    }
}

/// Starts the proxy if one is configured. Sockets of [`supervise::Options::listen`] need one too: it answers on them while
/// no generation lives.
#[cfg(feature = "proxy")]
async fn start_proxy(options: &Options) -> Result<Option<Proxy>, Error> {
    let answers = options.supervise.listen.iter().any(|listen| listen.answer);
    let proxy = options.proxy.clone().or_else(|| answers.then(|| proxy::Options::new(Vec::new())));
    Ok(match proxy {
        Some(proxy) => Some(Proxy::start(proxy).await?),
        None => None,
    })
}

#[cfg(feature = "proxy")]
async fn stop_proxy(proxy: Option<Proxy>) {
    if let Some(proxy) = proxy {
        proxy.stop().await;
    }
}

async fn start_watch_and_supervisor(
    options: Options,
    observe_only: &[PathBuf],
) -> Result<(Option<Watch>, Supervisor), Error> {
    let mut watch = None;
    if options.watch_enabled {
        watch = Some(Watch::start(with_observed(options.watch, observe_only)).await?);
    }
    match Supervisor::start(options.supervise) {
        Ok(supervisor) => Ok((watch, supervisor)),
        Err(error) => {
            // The owner can try again at once: the watches are gone.
            stop_watch(watch).await;
            Err(error.into())
        }
    }
}

async fn stop_watch(watch: Option<Watch>) {
    if let Some(watch) = watch {
        watch.stop().await;
    }
}

/// The command as the error page shows it.
#[cfg(feature = "proxy")]
fn command_line(command: &supervise::Command) -> String {
    let words = std::iter::once(&command.program).chain(&command.args);
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The options of a watch that also watches the files that are only observed.
fn with_observed(mut options: watch::Options, observe_only: &[PathBuf]) -> watch::Options {
    options.always.extend_from_slice(observe_only);
    options
}

fn rewatch_warning(error: &watch::Error) -> watch::Event {
    let mut message = format!("what is watched stays as it was: failed to {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    watch::Event::Warning { message, remedy: crate::Remedy::None }
}
