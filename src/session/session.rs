//! The public side of a session: its handles, options, events and errors.

use std::path::PathBuf;
#[cfg(feature = "proxy")]
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::task::{SessionTask, WatchRequest};
use crate::SyncId;
use crate::rules;
use crate::supervise::{self, Command, Request, SupervisorExit};
use crate::watch::{self, Summary};

/// Default timeout for responses in flight on an old generation.
#[cfg(feature = "proxy")]
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A running session. Dropping it requests a gentle stop, but does not wait for the end.
///
/// ```
/// use devrun::supervise::{self, Phase};
/// use devrun::{Command, Event, Options, Session};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("app.py"), "one")?;
/// let command = Command::new("sleep").arg("1000");
/// let mut session = Session::start(Options::in_directory(dir.path(), command)).await?;
/// while let Some(event) = session.next_event().await {
///     let Event::Child(supervise::Event::Phase { generation, phase: Phase::Ready { .. } }) = event else { continue };
///     if generation.number() == 2 {
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
    task: JoinHandle<SupervisorExit>,
}

/// Sends requests to a running session. Cheap to clone. No method blocks. Each returns whether the session still runs; a
/// request to an ended session does nothing.
#[derive(Debug, Clone)]
pub struct Handle {
    supervisor: supervise::Handle,
    watch_requests: UnboundedSender<WatchRequest>,
    #[cfg(feature = "proxy")]
    proxy: Option<crate::proxy::Handle>,
}

impl Session {
    /// Opens the proxy's port, places the watches, then starts the command: no change after the first start is missed.
    ///
    /// Call it inside a tokio runtime. With [`supervise::Options::parent_death_signal`], call it on a thread that lives as
    /// long as the process.
    ///
    /// # Errors
    /// [`Error`] if one part cannot start; then nothing is left running.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let (event_sender, events) = unbounded_channel();
        let (watch_requests, requested) = unbounded_channel();
        let task = SessionTask::start(options, requested, event_sender).await?;
        let handle = Handle {
            supervisor: task.supervisor(),
            watch_requests,
            #[cfg(feature = "proxy")]
            proxy: task.proxy(),
        };
        Ok(Self { handle, events, task: tokio::spawn(task.run()) })
    }

    /// A handle that sends requests to this session.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` after [`Event::Ended`]. Cancel-safe. Events are kept until they are fetched, and
    /// the session does not wait for that.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Restarts the command, as after a change. Returns whether the session still runs.
    pub fn restart(&self) -> bool {
        self.handle.send(Request::Restart)
    }

    /// Stops gently, and returns when the last process of the command's tree is gone.
    pub async fn stop(mut self) -> SupervisorExit {
        self.handle.send(Request::Stop);
        (&mut self.task).await.unwrap_or(SupervisorExit::Asked)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.handle.send(Request::Stop);
    }
}

impl Handle {
    /// Sends a request to the supervisor.
    pub fn send(&self, request: Request) -> bool {
        self.supervisor.send(request)
    }

    /// Asks what became of every edit and request up to now. [`supervise::Event::Settled`] answers once, with this `id`:
    /// [`Request::Settle`] says when. The watch is brought up to date first ([`watch::Handle::sync`]), so that an edit that
    /// was complete before this call is part of the answer.
    ///
    /// ```
    /// use devrun::supervise::{self, Outcome};
    /// use devrun::{Command, Event, Options, Session, SyncId};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let dir = tempfile::tempdir()?;
    /// let command = Command::new("sleep").arg("1000");
    /// let mut session = Session::start(Options::in_directory(dir.path(), command)).await?;
    /// let id = SyncId::new(1);
    /// session.handle().settle(id);
    /// while let Some(event) = session.next_event().await {
    ///     if let Event::Child(supervise::Event::Settled { id: answered, outcome }) = event
    ///         && answered == id
    ///     {
    ///         assert!(matches!(outcome, Outcome::Ready { .. }));
    ///         break;
    ///     }
    /// }
    /// session.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn settle(&self, id: SyncId) -> bool {
        self.watch_requests.send(WatchRequest::Settle(id)).is_ok()
    }

    /// Takes a [`Handle::settle`] back that is not answered yet.
    pub fn forget(&self, id: SyncId) -> bool {
        self.watch_requests.send(WatchRequest::Forget(id)).is_ok()
    }

    /// Compares all watched files with the snapshot now, as after an overflow of the kernel's queue.
    pub fn rescan(&self) -> bool {
        self.watch_requests.send(WatchRequest::Rescan).is_ok()
    }

    /// Number of requests that wait at the proxy for a generation; `None` without a proxy.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn held_requests(&self) -> Option<usize> {
        self.proxy.as_ref().map(crate::proxy::Handle::held_requests)
    }

    /// Replaces the watch; the command goes on. [`Event::Watching`] reports that the new watch is in place. If it cannot
    /// start, [`watch::Event::Warning`] says why, and the old watch stays.
    pub fn rewatch(&self, options: watch::Options) -> bool {
        self.watch_requests.send(WatchRequest::Rewatch(Box::new(options))).is_ok()
    }
}

/// The options of a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The options of the watch.
    pub watch: watch::Options,
    /// Whether anything is watched. `false`: the session only supervises.
    pub watch_enabled: bool,
    /// Files whose changes are reported but restart nothing, such as a configuration file of the owner. They are watched
    /// even if a rule ignores them. Relative paths are relative to `watch.rules.base`.
    pub observe_only: Vec<PathBuf>,
    /// What runs.
    pub supervise: supervise::Options,
    /// The port that clients connect to; [`Options::with_proxy`] sets it. `None`: clients connect to the command
    /// directly.
    #[cfg(feature = "proxy")]
    pub proxy: Option<crate::proxy::Options>,
    /// How a user starts the command after [`Request::Halt`], such as `` `devrun start` starts it ``. Clients get this text
    /// with the reason for which nothing serves.
    #[cfg(feature = "proxy")]
    pub start_hint: Option<String>,
}

impl Options {
    /// The defaults for a command in the working directory of this process. See [`Options::in_directory`].
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self::in_directory(".", command)
    }

    /// The defaults for a command in a directory: the command runs there, the directory is watched in auto mode, other
    /// paths of the options are relative to it, and there is no proxy.
    #[must_use]
    pub fn in_directory(dir: impl Into<PathBuf>, mut command: Command) -> Self {
        let dir = dir.into();
        command.current_dir = Some(command.current_dir.map_or_else(|| dir.clone(), |own| dir.join(own)));
        Self {
            watch: watch::Options::new(rules::Options::new(dir)),
            watch_enabled: true,
            observe_only: Vec::new(),
            supervise: supervise::Options::new(command),
            #[cfg(feature = "proxy")]
            proxy: None,
            #[cfg(feature = "proxy")]
            start_hint: None,
        }
    }

    /// Adds a proxy. Each generation gets a port of its own as `{port}` in the command and in `$PORT`, responses in flight
    /// have 30 s to finish, and the command's output is captured for error pages and [`supervise::ExitReport::output`].
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn with_proxy(mut self, proxy: crate::proxy::Options) -> Self {
        self.supervise.port = supervise::Port::Own;
        self.supervise.drain_timeout = Some(DRAIN_TIMEOUT);
        self.supervise.capture = supervise::Capture::All;
        self.proxy = Some(proxy);
        self
    }
}

/// What a session reports to its owner.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The watches are in place: a change from now on is seen. This is the first event, sent before the first start of
    /// the command. It comes again after [`Handle::rewatch`].
    Watching(Summary),
    /// An event of the watch.
    Watch(watch::Event),
    /// An event of the supervisor.
    Child(supervise::Event),
    /// An event of the proxy.
    #[cfg(feature = "proxy")]
    Proxy(crate::proxy::Event),
    /// The session has ended, and no process of the command lives. This is the last event.
    Ended(SupervisorExit),
}

#[cfg(feature = "serde")]
impl Event {
    /// The event as a JSON object, with absolute paths.
    ///
    /// ```
    /// let event = devrun::Event::Ended(devrun::supervise::SupervisorExit::Asked);
    /// assert_eq!(serde_json::to_string(&event.json())?, r#"{"event":"ended"}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn json(&self) -> super::EventJson<'_> {
        super::EventJson::new(self)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

/// Why a session cannot start. Its text completes a sentence that begins with "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watch cannot start.
    #[error(transparent)]
    Watch(#[from] crate::watch::Error),
    /// The supervisor cannot start.
    #[error(transparent)]
    Supervise(#[from] crate::supervise::Error),
    /// The proxy cannot listen.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(#[from] crate::proxy::Error),
    /// [`Options::proxy`] has an address, but `supervise.port` is [`supervise::Port::None`], so that the proxy could not
    /// find the command. [`Options::with_proxy`] sets both.
    #[cfg(feature = "proxy")]
    #[error("start the proxy: the command gets no port")]
    NoPort,
}
