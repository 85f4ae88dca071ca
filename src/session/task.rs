//! Session: Batch -> Request, Phase -> Upstream, everything -> Event. One routing task; it decides nothing.

#[cfg(feature = "proxy")]
use std::path::PathBuf;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

#[cfg(feature = "proxy")]
use crate::front::{self, Front};
use crate::supervise::{self, Exit, Request, Supervisor};
use crate::watch::{self, Control, Watch};

use super::error::Error;
use super::event::Event;
use super::options::Options;
#[cfg(feature = "proxy")]
use super::routes::{Order, Routes};

/// A running session. Dropping it asks for a gentle stop too, but does not wait for it.
#[derive(Debug)]
pub struct Session {
    handle: Handle,
    events: UnboundedReceiver<Event>,
    task: JoinHandle<Exit>,
}

/// Tells a running session what to do. Cheap to clone; never blocks; does nothing once the session has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    child: supervise::Handle,
    watch: Option<Control>,
}

impl Handle {
    /// Sends a request to the supervisor.
    pub fn send(&self, request: Request) {
        self.child.send(request);
    }

    /// Compares everything with the snapshot now, as after a queue overflow.
    pub fn rescan(&self) {
        if let Some(watch) = &self.watch {
            watch.rescan();
        }
    }
}

impl Session {
    /// Opens the front, starts watching, then starts the child: when the child starts, the watches are in place.
    /// Must be called in a tokio runtime; with [`supervise::Options::parent_death_signal`] on a thread that lives as
    /// long as the process.
    ///
    /// # Errors
    /// [`Error`] if one of the rooms cannot begin; nothing is left running then.
    pub async fn start(options: Options) -> Result<Self, Error> {
        #[cfg(feature = "proxy")]
        let front = match front_options(&options) {
            Some(front) => Some(Front::start(front).await?),
            None => None,
        };
        let watch = match options.watching {
            true => Some(Watch::start(options.watch.clone()).await?),
            false => None,
        };
        let (events, receiver) = mpsc::unbounded_channel();
        // Sent before the supervisor exists, so that it is the first event whatever the child does.
        let summary = watch.as_ref().map(Watch::summary).unwrap_or_default();
        tell(&events, Event::Watching(summary));
        let supervisor = Supervisor::start(options.supervise.clone())?;
        let handle = Handle { child: supervisor.handle(), watch: watch.as_ref().map(Watch::control) };
        let router = Router {
            control: handle.watch.clone(),
            child: handle.child.clone(),
            events,
            #[cfg(feature = "proxy")]
            front: front.as_ref().map(Front::handle),
            #[cfg(feature = "proxy")]
            routes: Routes::new(base(&options), command_line(&options.supervise.command)),
        };
        let rooms = Rooms {
            supervisor,
            watch,
            #[cfg(feature = "proxy")]
            front,
        };
        Ok(Self { handle, events: receiver, task: tokio::spawn(rooms.route(router)) })
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

impl Drop for Session {
    fn drop(&mut self) {
        self.handle.send(Request::Stop);
    }
}

/// The rooms of one session, owned by its task.
struct Rooms {
    supervisor: Supervisor,
    watch: Option<Watch>,
    #[cfg(feature = "proxy")]
    front: Option<Front>,
}

/// Where things go.
struct Router {
    control: Option<Control>,
    child: supervise::Handle,
    events: UnboundedSender<Event>,
    #[cfg(feature = "proxy")]
    front: Option<front::Handle>,
    #[cfg(feature = "proxy")]
    routes: Routes,
}

/// One event from one room.
enum Heard {
    Watch(watch::Event),
    WatchEnded,
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
            heard = next_of_watch(&mut self.watch) => Some(heard),
        }
    }

    /// Routes what the child does. Waits only until devrun no longer accepts on the shared sockets.
    async fn child(&mut self, router: &mut Router, event: supervise::Event) {
        router.started(&event);
        #[cfg(feature = "proxy")]
        if let Some(front) = router.front.clone() {
            for order in router.orders(&event) {
                match order {
                    Order::Publish(upstream) => front.publish(upstream),
                    Order::Hold => front.hold(),
                    Order::Banner(report) => front.banner(report),
                    Order::ReleaseStreams(generation) => front.release_streams(generation),
                    Order::Answer(report) => front.answer_on(self.supervisor.answering_sockets(), report),
                    Order::AnswerNoMore => front.answer_no_more().await,
                }
            }
        }
        tell(&router.events, Event::Child(event));
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
            self.child.send(Request::Changed(batch.clone()));
        }
        tell(&self.events, Event::Watch(event));
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
    fn orders(&mut self, event: &supervise::Event) -> Vec<Order> {
        match event {
            supervise::Event::Restarting { because, .. } => {
                self.routes.restarting(because.as_deref());
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
