//! Session: Batch -> Request, Phase -> Upstream, everything -> Event. One routing task; it decides nothing.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

#[cfg(feature = "proxy")]
use crate::front::{self, Front};
use crate::supervise::{self, Exit, Prepared, Request, Supervisor};
use crate::watch::{self, Control, Standby, Watch, WatchBeginning};

use super::error::Error;
use super::event::Event;
use super::options::Options;
#[cfg(feature = "proxy")]
use super::routes::{Route, Routes};

/// How long a watch that is replaced may take to say what it has seen.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A running session. Dropping it asks for a gentle stop too, but does not wait for it.
///
/// ```
/// use devrun::supervise::{self, Phase};
/// use devrun::{Command, Event, Options, Session};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("app.py"), "one")?;
/// let mut options = Options::new(Command::new("sleep").arg("1000"));
/// options.watch.rules.base = dir.path().to_owned();
/// options.watch.roots = vec![".".into()];
///
/// let mut session = Session::start(options).await?;
/// while let Some(event) = session.next_event().await {
///     let Event::Child(supervise::Event::Phase { generation, phase: Phase::Ready { .. } }) = event else { continue };
///     if generation == 2 {
///         break;
///     }
///     std::fs::write(dir.path().join("app.py"), "two")?;
/// }
/// session.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    handle: Handle,
    events: UnboundedReceiver<Event>,
    task: JoinHandle<Exit>,
}

/// A session that has begun to watch, and has started nothing yet. Dropped, it leaves nothing.
#[derive(Debug)]
#[must_use = "without `wait` nothing is started"]
pub struct SessionBeginning {
    told_only: Arc<Vec<PathBuf>>,
    watch: Option<WatchBeginning>,
}

/// Tells a running session what to do. Cheap to clone; never blocks; does nothing once the session has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    child: supervise::Handle,
    orders: UnboundedSender<Order>,
}

/// What the owner wants of the watch.
#[derive(Debug)]
enum Order {
    Rescan,
    Rewatch(Box<watch::Options>),
}

impl Handle {
    /// Sends a request to the supervisor.
    pub fn send(&self, request: Request) {
        self.child.send(request);
    }

    /// Compares everything with the snapshot now, as after a queue overflow.
    pub fn rescan(&self) {
        let _ = self.orders.send(Order::Rescan);
    }

    /// Watches something else, or in another way, from now on; the child goes on. [`Event::Watching`] tells when
    /// it is in effect; if it cannot be, [`watch::Event::Warning`] says why and all stays as it was.
    pub fn rewatch(&self, options: watch::Options) {
        let _ = self.orders.send(Order::Rewatch(Box::new(options)));
    }
}

impl Session {
    /// Starts watching, opens the front, then starts the child: when the child starts, the watches are in place.
    /// Must be called in a tokio runtime; with [`supervise::Options::parent_death_signal`] on a thread that lives as
    /// long as the process.
    ///
    /// # Errors
    /// [`Error`] if one of the rooms cannot begin; nothing is left running then.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::begin(&options, None)?.wait(options).await
    }

    /// As [`Session::start`], but only begins to watch, on the thread that stands by if there is one: the first look at the
    /// sources then goes on beside whatever the program has to do before it can wait for it. Needs no runtime yet.
    ///
    /// # Errors
    /// [`Error::Watch`] if watching cannot begin.
    pub fn begin(options: &Options, standby: Option<Standby>) -> Result<SessionBeginning, Error> {
        let told_only = Arc::new(absolute(options));
        let watch = match options.watching {
            true => Some(Watch::begin(with_told(options.watch.clone(), &told_only), standby)?),
            false => None,
        };
        Ok(SessionBeginning { told_only, watch })
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` after [`Event::Ended`]. Cancel-safe. The session goes on whether or not
    /// events are fetched; they are kept until then.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Stops gently and returns once the last process of the child's tree is gone.
    pub async fn stop(mut self) -> Exit {
        self.handle.send(Request::Stop);
        (&mut self.task).await.unwrap_or(Exit::Asked)
    }
}

impl SessionBeginning {
    /// Opens the front and, once the watches are in place, starts the child. What is to be watched, and whether, is settled;
    /// the other options may have been filled in since.
    ///
    /// # Errors
    /// As for [`Session::start`].
    pub async fn wait(self, options: Options) -> Result<Session, Error> {
        let Self { told_only, watch } = self;
        #[cfg(feature = "proxy")]
        let front = match front_options(&options).map(Front::start) {
            Some(front) => match front.await {
                Ok(front) => Some(front),
                Err(error) => {
                    // Whoever tries again at once finds no watches left of this.
                    if let Some(Ok(watch)) = wait(watch).await.transpose() {
                        watch.stop().await;
                    }
                    return Err(error.into());
                }
            },
            None => None,
        };
        let (events, receiver) = mpsc::unbounded_channel();
        let begun = begin(watch, &options, &events).await;
        #[cfg(feature = "proxy")]
        let front = match (begun.is_err(), front) {
            // Whoever tries again at once finds the port free.
            (true, Some(front)) => {
                front.stop().await;
                None
            }
            (_, front) => front,
        };
        let (watch, supervisor) = begun?;
        let (orders, ordered) = mpsc::unbounded_channel();
        let handle = Handle { child: supervisor.handle(), orders };
        let router = Router {
            control: watch.as_ref().map(Watch::control),
            child: handle.child.clone(),
            events,
            told_only,
            #[cfg(feature = "proxy")]
            front: front.as_ref().map(Front::handle),
            #[cfg(feature = "proxy")]
            routes: Routes::new(base(&options), command_line(&options.supervise.command)),
        };
        let rooms = Rooms {
            supervisor,
            watch,
            orders: ordered,
            #[cfg(feature = "proxy")]
            front,
        };
        Ok(Session { handle, events: receiver, task: tokio::spawn(rooms.route(router)) })
    }
}

async fn wait(watch: Option<WatchBeginning>) -> Result<Option<Watch>, watch::Error> {
    match watch {
        Some(watch) => watch.wait().await.map(Some),
        None => Ok(None),
    }
}

/// Waits for the watch, then starts the child.
async fn begin(
    watch: Option<WatchBeginning>,
    options: &Options,
    events: &UnboundedSender<Event>,
) -> Result<(Option<Watch>, Supervisor), Error> {
    // While the watches are placed on a thread of their own, all is prepared for the child.
    let prepared = Prepared::new(options.supervise.clone());
    let watch = wait(watch).await?;
    // Sent before the supervisor begins, so that it is the first event whatever the child does.
    let summary = watch.as_ref().map(Watch::summary).unwrap_or_default();
    tell(events, Event::Watching(summary));
    Ok((watch, prepared?.start()?))
}

impl Drop for Session {
    fn drop(&mut self) {
        self.handle.send(Request::Stop);
    }
}

/// The rooms of one session, owned by its task.
struct Rooms {
    supervisor: Supervisor,
    watch: Option<Watch>,
    orders: UnboundedReceiver<Order>,
    #[cfg(feature = "proxy")]
    front: Option<Front>,
}

/// Where things go.
struct Router {
    control: Option<Control>,
    child: supervise::Handle,
    events: UnboundedSender<Event>,
    told_only: Arc<Vec<PathBuf>>,
    #[cfg(feature = "proxy")]
    front: Option<front::Handle>,
    #[cfg(feature = "proxy")]
    routes: Routes,
}

/// One event from one room.
enum Heard {
    Watch(watch::Event),
    WatchEnded,
    Order(Order),
    Child(supervise::Event),
    #[cfg(feature = "proxy")]
    Front(front::Event),
    #[cfg(feature = "proxy")]
    FrontEnded,
}

impl Rooms {
    /// The loop: hears one room, routes, until the supervisor has ended; then closes the others.
    async fn route(mut self, mut router: Router) -> Exit {
        let exit = loop {
            match self.hear().await {
                Some(Heard::Watch(event)) => router.watch(event),
                Some(Heard::WatchEnded) => self.watch = None,
                Some(Heard::Order(order)) => self.order(&mut router, order).await,
                Some(Heard::Child(supervise::Event::Ended(exit))) => break exit,
                Some(Heard::Child(event)) => self.child(&mut router, event).await,
                #[cfg(feature = "proxy")]
                Some(Heard::Front(event)) => router.front(event),
                #[cfg(feature = "proxy")]
                Some(Heard::FrontEnded) => self.front = None,
                None => break Exit::Asked,
            }
        };
        self.close().await;
        tell(&router.events, Event::Ended(exit));
        exit
    }

    /// The next event of any room; `None` once the supervisor is gone.
    async fn hear(&mut self) -> Option<Heard> {
        #[cfg(feature = "proxy")]
        let front = next_of_front(&mut self.front);
        #[cfg(not(feature = "proxy"))]
        let front = std::future::pending::<Heard>();
        tokio::select! {
            // The child's phases first: what the front hears must not lag behind a flood of changes.
            biased;
            event = self.supervisor.next_event() => event.map(Heard::Child),
            heard = front => Some(heard),
            Some(order) = self.orders.recv() => Some(Heard::Order(order)),
            heard = next_of_watch(&mut self.watch) => Some(heard),
        }
    }

    /// Routes what the child does. Waits only until devrun no longer accepts on the shared sockets.
    async fn child(&mut self, router: &mut Router, event: supervise::Event) {
        router.started(&event);
        #[cfg(feature = "proxy")]
        if let Some(front) = router.front.clone() {
            for route in router.routes(&event) {
                match route {
                    Route::Publish(upstream) => front.publish(upstream),
                    Route::Hold => front.hold(),
                    Route::Banner(report) => front.banner(report),
                    Route::ReleaseStreams(generation) => front.release_streams(generation),
                    Route::Answer(report) => {
                        let sockets = self.supervisor.answering_sockets(report.generation);
                        front.answer_on(sockets, report);
                    }
                    Route::AnswerNoMore => front.answer_no_more().await,
                }
            }
        }
        tell(&router.events, Event::Child(event));
    }

    async fn order(&mut self, router: &mut Router, order: Order) {
        match order {
            Order::Rescan => {
                if let Some(watch) = &self.watch {
                    watch.control().rescan();
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
        router.control = Some(fresh.control());
        if let Some(mut old) = self.watch.replace(fresh) {
            old.control().rescan();
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
        if let Some(front) = self.front {
            front.stop().await;
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
        if let Some(control) = &self.control {
            control.child_started();
        }
    }

    #[cfg(feature = "proxy")]
    fn front(&self, event: front::Event) {
        if let front::Event::Drained { generation } = event {
            self.child.send(Request::Drained(generation));
        }
        tell(&self.events, Event::Front(event));
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
async fn next_of_front(front: &mut Option<Front>) -> Heard {
    match front {
        Some(front) => front.next_event().await.map_or(Heard::FrontEnded, Heard::Front),
        None => std::future::pending().await,
    }
}

/// Tells the owner. One who no longer listens is not an error: the session goes on until it is stopped.
fn tell(events: &UnboundedSender<Event>, event: Event) {
    let _ = events.send(event);
}

/// The front's options. Shared sockets alone need one too: it answers on them while no generation lives.
#[cfg(feature = "proxy")]
fn front_options(options: &Options) -> Option<front::Options> {
    let answers = options.supervise.listen.iter().any(|listen| listen.answer);
    options.front.clone().or_else(|| answers.then(|| front::Options::new(Vec::new())))
}

#[cfg(feature = "proxy")]
fn base(options: &Options) -> PathBuf {
    let base = &options.watch.rules.base;
    base.canonicalize().unwrap_or_else(|_| base.clone())
}

/// The command as the page shows it.
#[cfg(feature = "proxy")]
fn command_line(command: &supervise::Command) -> String {
    let words = std::iter::once(&command.program).chain(&command.args);
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The files that are told only, absolute.
fn absolute(options: &Options) -> Vec<PathBuf> {
    let base = &options.watch.rules.base;
    let base = base.canonicalize().unwrap_or_else(|_| base.clone());
    options.told_only.iter().map(|path| base.join(path)).collect()
}

/// A watch that also sees these files.
fn with_told(mut options: watch::Options, told_only: &[PathBuf]) -> watch::Options {
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
