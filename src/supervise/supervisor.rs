//! The supervisor, its handle, and its loop: an input comes, the state machine decides, the executor
//! performs.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::GenerationId;

use super::env_file::EnvFileError;
use super::event::{Event, Request, SupervisorExit};
use super::executor::{Executor, ProcessEvent};
use super::options::Options;
use super::process::{Subreaper, check_env_files};
use super::sockets::{Endpoint, InheritedListener};
use super::state_machine::{Input, Machine};
use super::sys::wait::adopt_orphans;

/// A running supervisor. Dropping it kills all of its processes at once. So does the end of this process, unless
/// [`Options::orphan_killer`] is `None`.
///
/// ```
/// use devrun::supervise::{Command, Event, OnExit, Options, ProcessExit, Supervisor, SupervisorExit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = Options::new(Command::new("sh").args(["-c", "exit 3"]));
/// options.on_exit = OnExit::Quit;
/// let mut supervisor = Supervisor::start(options)?;
/// while let Some(event) = supervisor.next_event().await {
///     if let Event::Ended(exit) = event {
///         assert_eq!(exit, SupervisorExit::Child(ProcessExit::Status(3)));
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Supervisor {
    handle: Handle,
    events: UnboundedReceiver<Event>,
    task: JoinHandle<()>,
    sockets: Vec<Arc<InheritedListener>>,
}

impl Supervisor {
    /// Opens the sockets and starts the first generation, unless [`Options::postpone`] is set. Must be called
    /// in a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] if an environment file cannot be used, a socket cannot be opened, or this process cannot be
    /// prepared.
    pub fn start(options: Options) -> Result<Self, Error> {
        check_env_files(&options.command).map_err(Error::EnvFile)?;
        let sockets = options.listen.iter().map(|listen| InheritedListener::open(listen).map(Arc::new));
        let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
        let (request_sender, requests) = unbounded_channel();
        let (event_sender, events) = unbounded_channel();
        let (process_event_sender, process_events) = unbounded_channel();
        let options = Arc::new(options);
        let executor =
            Executor::new(Arc::clone(&options), sockets.clone(), event_sender, process_event_sender)
                .map_err(Error::Prepare)?;
        let adopts = options.subreaper == Subreaper::Yes;
        let sigchld = adopts.then(|| adopt_orphans().and_then(|()| signal(SignalKind::child())));
        let sigchld = sigchld.transpose().map_err(Error::Prepare)?;
        let machine = Machine::new(options);
        // Boxed, because the task is large and spawning moves it.
        let task = Box::new(SupervisorTask { machine, executor, requests, process_events, sigchld });
        Ok(Self {
            handle: Handle { requests: request_sender },
            events,
            task: tokio::spawn(task.run()),
            sockets,
        })
    }

    /// A handle that sends requests.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event. Returns `None` after [`Event::Ended`]. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The addresses of the sockets of [`Options::listen`], in the same order. Port 0 is replaced by the port
    /// that the kernel chose.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.sockets.iter().map(|socket| socket.listen.endpoint.clone()).collect()
    }

    /// Duplicates of the sockets with [`super::Listen::answer`], to answer on them after `generation` has
    /// ended and until the next one starts.
    ///
    /// The duplicates are non-blocking, and the next generation finds the sockets in their former mode.
    /// Returns none if the next generation has started already.
    #[must_use]
    pub fn answering_sockets(&self, generation: GenerationId) -> Vec<OwnedFd> {
        let answering = self.sockets.iter().filter(|socket| socket.listen.answer);
        answering.filter_map(|socket| socket.lend(generation).ok().flatten()).collect()
    }

    /// Stops gently, and returns after the last process has ended.
    pub async fn stop(mut self) -> SupervisorExit {
        self.handle.send(Request::Stop);
        let mut exit = SupervisorExit::Asked;
        while let Some(event) = self.next_event().await {
            if let Event::Ended(ended) = event {
                exit = ended;
            }
        }
        exit
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // This drops the executor, which kills what still runs.
        self.task.abort();
    }
}

/// An error of [`Supervisor::start`]. Its message completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listening socket could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address, as it was given.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// The process could not start the orphan killer, become a subreaper, handle SIGCHLD, or open its output
    /// streams.
    #[error("prepare for children")]
    Prepare(#[source] io::Error),
    /// An environment file cannot be used.
    #[error("read the variables of {}", .0.file.display())]
    EnvFile(#[source] EnvFileError),
}

/// Sends requests to a running supervisor. Cheap to clone. Sending never blocks, and has no effect after the
/// end.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: UnboundedSender<Request>,
}

impl Handle {
    /// Sends a request. Returns whether the supervisor still runs; a request to an ended one does nothing.
    pub fn send(&self, request: Request) -> bool {
        self.requests.send(request).is_ok()
    }
}

/// The task that a [`Supervisor`] runs on.
#[derive(Debug)]
struct SupervisorTask {
    machine: Machine,
    executor: Executor,
    requests: UnboundedReceiver<Request>,
    process_events: UnboundedReceiver<ProcessEvent>,
    /// SIGCHLD, if this process adopts orphans.
    sigchld: Option<Signal>,
}

impl SupervisorTask {
    async fn run(mut self: Box<Self>) {
        loop {
            self.executor.poll();
            self.run_machine();
            if let Some(exit) = self.executor.exit() {
                return self.executor.finish(exit).await;
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        let deadline = self.executor.deadline().into_iter().chain(self.machine.deadline()).min();
        tokio::select! {
            biased;
            Some(event) = self.process_events.recv() => self.executor.handle(event),
            Some(request) = self.requests.recv() => self.handle_request(request),
            Some(()) = async { self.sigchld.as_mut()?.recv().await } => self.executor.handle_sigchld(),
            Some(()) = after(deadline) => self.executor.push_input(Input::TimePassed),
        }
    }

    fn handle_request(&mut self, request: Request) {
        if matches!(request, Request::Changed(_) | Request::Restart | Request::Halt) {
            self.executor.poll_readiness_now();
        }
        match &request {
            Request::Suspend => return self.executor.suspend(),
            Request::Resized => return self.executor.terminal_resized(),
            Request::Continue => return self.executor.resume(),
            Request::Input { generation, bytes } => return self.executor.write_input(*generation, bytes),
            Request::Changed(batch) => self.executor.sources_changed(batch),
            _ => {}
        }
        self.executor.push_input(Input::Request(request));
    }

    /// Feeds the state machine until no input is left. Performing an action may add inputs.
    fn run_machine(&mut self) {
        while let Some(input) = self.executor.next_input() {
            // Most often, passing time leads to no action.
            let is_time = matches!(input, Input::TimePassed);
            match &input {
                Input::TimePassed => {}
                Input::Request(request) => tracing::debug!(input = ?request, "input"),
                input => tracing::debug!(?input, "input"),
            }
            let actions = self.machine.step(input, Instant::now());
            if actions.is_empty() && !is_time {
                tracing::debug!("no action");
            }
            for action in actions {
                tracing::debug!(?action, "action");
                self.executor.perform(action);
            }
        }
    }
}

/// Completes at the deadline, or at once with `None` if there is none.
async fn after(deadline: Option<Instant>) -> Option<()> {
    sleep_until(deadline?.into()).await;
    Some(())
}
