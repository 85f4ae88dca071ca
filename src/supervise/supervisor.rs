//! The one loop of the room: select -> input -> step -> perform.
//!
//! Decides nothing, `machine` does; does nothing, `performing` does.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::GenerationId;

use super::error::Error;
use super::event::{Event, Request, SupervisorExit};
use super::executor::{Hands, ProcessEvent};
use super::options::Options;
use super::process::{Subreaper, adopt_orphans, check_env_files};
use super::sockets::{Endpoint, InheritedListener};
use super::state_machine::{Input, Machine};

/// A running supervisor. Dropped, it kills what it runs at once.
///
/// ```
/// use devrun::supervise::{Command, ProcessExit, Event, SupervisorExit, OnExit, Options, Supervisor};
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

/// Tells a running supervisor what to do. Cheap to clone; never blocks; does nothing once it has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: UnboundedSender<Request>,
}

impl Handle {
    /// Sends a request.
    pub fn send(&self, request: Request) {
        // A supervisor that has ended has nothing left to do.
        let _ = self.requests.send(request);
    }
}

impl Supervisor {
    /// Opens the sockets and starts the first generation (unless postponed). Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] if an environment file cannot be used, a socket cannot be opened or the process cannot be prepared.
    pub fn start(options: Options) -> Result<Self, Error> {
        check_env_files(&options.command).map_err(Error::EnvFile)?;
        let sockets = options.listen.iter().map(|listen| InheritedListener::open(listen).map(Arc::new));
        let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
        let (requests, requested) = unbounded_channel();
        let (told, events) = unbounded_channel();
        let mut work = Box::new(Loop::new(options, sockets.clone(), requested, told)?);
        work.adopt().map_err(Error::Prepare)?;
        Ok(Self { handle: Handle { requests }, events, task: tokio::spawn(work.run()), sockets })
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` after [`Event::Ended`]. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Where the sockets of [`Options::listen`] listen, in that order; the ports are real ones, even where 0 was asked for.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.sockets.iter().map(|held| held.endpoint().clone()).collect()
    }

    /// The sockets that somebody may answer on after the end of this generation and until the next one starts,
    /// duplicated and made non-blocking; the next generation finds them as they were. None if it has started already.
    #[must_use]
    pub fn answering_sockets(&self, generation: GenerationId) -> Vec<OwnedFd> {
        let answering = self.sockets.iter().filter(|held| held.allows_answers());
        answering.filter_map(|held| held.lend(generation).ok().flatten()).collect()
    }

    /// Stops gently and returns once the last process of the tree is gone.
    pub async fn stop(mut self) -> SupervisorExit {
        self.handle.send(Request::Stop);
        let mut exit = SupervisorExit::Asked;
        while let Some(event) = self.next_event().await {
            if let Event::Ended(how) = event {
                exit = how;
            }
        }
        exit
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // The loop's own end kills what still runs.
        self.task.abort();
    }
}

#[derive(Debug)]
struct Loop {
    machine: Machine,
    hands: Hands,
    requests: UnboundedReceiver<Request>,
    happened: UnboundedReceiver<ProcessEvent>,
    orphans: Option<tokio::signal::unix::Signal>,
}

impl Loop {
    fn new(
        options: Options,
        sockets: Vec<Arc<InheritedListener>>,
        requests: UnboundedReceiver<Request>,
        told: UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let (happen, happened) = unbounded_channel();
        Ok(Self {
            machine: Machine::new(&options),
            hands: Hands::new(options, sockets, told, happen).map_err(Error::Prepare)?,
            orphans: None,
            requests,
            happened,
        })
    }

    fn adopt(&mut self) -> std::io::Result<()> {
        if self.hands.options.subreaper == Subreaper::Yes {
            adopt_orphans()?;
            self.orphans = Some(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())?);
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>) {
        loop {
            self.hands.look_around();
            self.settle();
            if let Some(exit) = self.hands.exit {
                return self.hands.end(exit).await;
            }
            self.hands.tell_orphan_killer(None);
            self.wait().await;
        }
    }

    /// Waits for one thing to happen.
    async fn wait(&mut self) {
        let deadline = self.hands.deadline().into_iter().chain(self.machine.deadline()).min();
        tokio::select! {
            biased;
            Some(happening) = self.happened.recv() => self.hands.took(happening),
            Some(request) = self.requests.recv() => self.requested(request),
            () = orphaned(&mut self.orphans) => self.hands.orphaned(),
            () = until(deadline) => self.hands.inputs.push_back(Input::TimePassed),
        }
    }

    fn requested(&mut self, request: Request) {
        if matches!(request, Request::Changed(_) | Request::Restart) {
            self.hands.look_now();
        }
        let input = match request {
            Request::Suspend => return self.hands.suspend(),
            Request::Resized => return self.hands.resized(),
            Request::Continue => return self.hands.go_on(),
            Request::Changed(batch) => Input::Changed(batch),
            Request::Restart => Input::Restart,
            Request::Drained(generation) => Input::Drained(generation),
            Request::Pause => Input::Pause,
            Request::Resume => Input::Resume,
            Request::Signal(signal) => Input::SendSignal(signal),
            Request::Stop => Input::Stop,
            Request::Kill => Input::Kill,
        };
        self.hands.inputs.push_back(input);
    }

    /// Runs the machine until nothing follows any more.
    fn settle(&mut self) {
        while let Some(input) = self.hands.inputs.pop_front() {
            // From time passing, most often nothing follows.
            let quiet = matches!(input, Input::TimePassed);
            if !quiet {
                tracing::debug!(?input, "told");
            }
            let actions = self.machine.step(input, Instant::now());
            if actions.is_empty() && !quiet {
                tracing::debug!("nothing follows");
            }
            for action in actions {
                tracing::debug!(?action, "decided");
                self.hands.perform(action);
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn orphaned(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
