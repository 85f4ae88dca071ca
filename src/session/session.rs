//! The public handles of a session.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::supervise::{self, Request, SupervisorExit};
use crate::watch;

use super::error::Error;
use super::event::Event;
use super::options::Options;
use super::task::{Started, WatchRequest, start};

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
/// let mut options = Options::new(Command::new("sleep").arg("1000"));
/// options.watch.rules.base = dir.path().to_owned();
/// options.watch.roots = vec![".".into()];
///
/// let mut session = Session::start(options).await?;
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

/// Sends requests to a running session. Cheap to clone. No method blocks, and none does anything after the session's end.
#[derive(Debug, Clone)]
pub struct Handle {
    supervisor: supervise::Handle,
    watch_requests: UnboundedSender<WatchRequest>,
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
        let Started { task, supervisor, watch_requests, events } = start(options).await?;
        Ok(Self { handle: Handle { supervisor, watch_requests }, events, task: tokio::spawn(task.run()) })
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
    pub fn send(&self, request: Request) {
        self.supervisor.send(request);
    }

    /// Compares all watched files with the snapshot now, as after an overflow of the kernel's queue.
    pub fn rescan(&self) {
        let _ = self.watch_requests.send(WatchRequest::Rescan);
    }

    /// Replaces the watch; the command goes on. [`Event::Watching`] reports that the new watch is in place. If it cannot
    /// start, [`watch::Event::Warning`] says why, and the old watch stays.
    pub fn rewatch(&self, options: watch::Options) {
        let _ = self.watch_requests.send(WatchRequest::Rewatch(Box::new(options)));
    }
}
