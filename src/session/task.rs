//! Session: the worker's door. Begins the other rooms, and the task that routes between them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

#[cfg(feature = "proxy")]
use crate::proxy::{self, Proxy};
use crate::supervise::{self, Request, Supervisor, SupervisorExit};
use crate::watch::{self, Watch};

use super::error::Error;
use super::event::Event;
use super::options::Options;
use super::rooms::{Order, Rooms, Router, tell, with_told};
#[cfg(feature = "proxy")]
use super::routes::Routes;

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
    task: JoinHandle<SupervisorExit>,
}

/// Tells a running session what to do. Cheap to clone; never blocks; does nothing once the session has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    child: supervise::Handle,
    orders: UnboundedSender<Order>,
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
    /// Starts watching, opens the proxy, then starts the child: when the child starts, the watches are in place.
    /// Must be called in a tokio runtime; with [`supervise::Options::parent_death_signal`] on a thread that lives as
    /// long as the process.
    ///
    /// # Errors
    /// [`Error`] if one of the rooms cannot begin; nothing is left running then.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let told_only = Arc::new(absolute(&options));
        #[cfg(feature = "proxy")]
        let proxy = match proxy_options(&options) {
            Some(proxy) => Some(Proxy::start(proxy).await?),
            None => None,
        };
        let (events, receiver) = mpsc::unbounded_channel();
        let started = start_watch_and_child(&options, &told_only, &events).await;
        #[cfg(feature = "proxy")]
        let proxy = match (started.is_err(), proxy) {
            // Whoever tries again at once finds the port free.
            (true, Some(proxy)) => {
                proxy.stop().await;
                None
            }
            (_, proxy) => proxy,
        };
        let (watch, supervisor) = started?;
        let (orders, ordered) = mpsc::unbounded_channel();
        let handle = Handle { child: supervisor.handle(), orders };
        let router = Router {
            watch_handle: watch.as_ref().map(Watch::handle),
            child: handle.child.clone(),
            events,
            told_only,
            #[cfg(feature = "proxy")]
            proxy: proxy.as_ref().map(Proxy::handle),
            #[cfg(feature = "proxy")]
            routes: Routes::new(base(&options), command_line(&options.supervise.command)),
        };
        let rooms = Rooms {
            supervisor,
            watch,
            orders: ordered,
            #[cfg(feature = "proxy")]
            proxy,
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
    pub async fn stop(mut self) -> SupervisorExit {
        self.handle.send(Request::Stop);
        (&mut self.task).await.unwrap_or(SupervisorExit::Asked)
    }
}

/// Starts the watch, then the child: when the child starts, the watches are in place.
async fn start_watch_and_child(
    options: &Options,
    told_only: &[PathBuf],
    events: &UnboundedSender<Event>,
) -> Result<(Option<Watch>, Supervisor), Error> {
    let watch = if options.watching {
        Some(Watch::start(with_told(options.watch.clone(), told_only)).await?)
    } else {
        None
    };
    let summary = watch.as_ref().map(Watch::summary).unwrap_or_default();
    tell(events, Event::Watching(summary));
    match Supervisor::start(options.supervise.clone()) {
        Ok(supervisor) => Ok((watch, supervisor)),
        Err(error) => {
            if let Some(watch) = watch {
                watch.stop().await;
            }
            Err(error.into())
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.handle.send(Request::Stop);
    }
}

/// The proxy's options. Shared sockets alone need one too: it answers on them while no generation lives.
#[cfg(feature = "proxy")]
fn proxy_options(options: &Options) -> Option<proxy::Options> {
    let answers = options.supervise.listen.iter().any(|listen| listen.answer);
    options.proxy.clone().or_else(|| answers.then(|| proxy::Options::new(Vec::new())))
}

/// What relative paths are relative to.
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
    let base = base(options);
    options.told_only.iter().map(|path| base.join(path)).collect()
}
