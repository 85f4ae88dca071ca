//! The server: its options, its thread, and the accept loop.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use super::connection::Connection;
use super::directory::{BoundSocket, Directory, SocketFile};
use super::hub::Hub;
use super::protocol::ErrorObject;
use crate::session::{Event, Handle};
use crate::supervise::{self, OutputLog, Port};
use crate::watch::Compare;

/// Maximum number of clients at a time.
const MAX_CLIENTS: usize = 64;
/// [`Service::settle_time`] of a command without a port or a socket.
const SETTLE_TIME: Duration = Duration::from_secs(1);
/// Delay after a refused client, so that a flood of connections costs little.
const REFUSAL_DELAY: Duration = Duration::from_millis(10);
/// Delay before the next client is accepted after an error of the system, such as too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The options of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The directory of the project, absolute and without links: a client finds the server by it.
    pub project: PathBuf,
    /// The name of this instance. If another instance of the project has it, a number is added.
    pub name: String,
    /// The directory of the socket.
    pub directory: Directory,
}

impl Options {
    /// The options for a project.
    #[must_use]
    pub fn new(project: impl Into<PathBuf>, name: impl Into<String>, directory: Directory) -> Self {
        Self { project: project.into(), name: name.into(), directory }
    }
}

/// A service: a session with a name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Service {
    /// The name.
    pub name: String,
    /// The command line, for people.
    pub command: String,
    /// The session.
    pub session: Handle,
    /// The output of the command; `None`: clients cannot read it.
    pub log: Option<OutputLog>,
    /// How the watch of the session compares files.
    pub compare: Compare,
    /// How long a generation must have run before `wait` answers that it is ready. Without a port or a socket a generation is
    /// ready as soon as it runs, so its first errors come later.
    pub settle_time: Duration,
    /// Whether the command reads the input of attached clients, because its standard input is a pipe of devrun.
    pub is_attachable: bool,
}

impl Service {
    /// A service with a session. The session's options say how it compares files, and whether it has a log and an input.
    #[must_use]
    pub fn new(name: impl Into<String>, session: Handle, options: &crate::session::Options) -> Self {
        let supervise::Options { command, port, listen, .. } = &options.supervise;
        let has_readiness = *port != Port::None || !listen.is_empty();
        let words = std::iter::once(&command.program).chain(&command.args);
        Self {
            name: name.into(),
            command: words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            session,
            log: options.supervise.log.clone(),
            compare: options.watch.compare,
            settle_time: if has_readiness { Duration::ZERO } else { SETTLE_TIME },
            is_attachable: command.stdin.is_attachable(),
        }
    }
}

/// What the owner of a server has to do for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerRequest {
    /// End, after all sessions were stopped.
    Down,
}

/// A server for the services of one instance. Dropping it removes the socket and disconnects its clients.
///
/// The owner adds its sessions, passes their events on, and performs [`OwnerRequest`]s. The program `examples/control.rs`
/// shows that.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    socket: SocketFile,
    requests: UnboundedReceiver<OwnerRequest>,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The socket cannot be made.
    #[error("listen in the directory of control sockets")]
    Listen(#[source] io::Error),
    /// The system starts no thread, or gives it no descriptor.
    #[error("start the thread of the control socket")]
    Thread(#[source] io::Error),
}

impl Server {
    /// Listens, on a separate thread.
    ///
    /// # Errors
    /// [`StartError`] if the socket or the thread cannot be made.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let bound = options.directory.bind(&options.project, &options.name).map_err(StartError::Listen)?;
        let BoundSocket { listener, socket } = bound;
        let hub = Arc::new(Hub::new(options, socket.name.clone()));
        let (request_sender, requests) = unbounded_channel();
        let (end, ended) = oneshot::channel();
        let (hub_of_thread, path) = (Arc::clone(&hub), socket.path.clone());
        let (started, start) = std::sync::mpsc::channel();
        // The runtime is made and dropped by its thread, because the caller may be in a runtime of its own.
        let run = move || match runtime_for(listener) {
            Ok((runtime, listener)) => {
                let _ = started.send(Ok(()));
                let accepting = Accepting { listener, hub: hub_of_thread, requests: request_sender };
                runtime.block_on(async {
                    tokio::select! {
                        () = accepting.run() => {}
                        _ = ended => {}
                    }
                });
            }
            Err(error) => _ = started.send(Err(error)),
        };
        let thread = std::thread::Builder::new().name("devrun-control".to_owned()).spawn(run);
        // A thread that ends without a word has failed, too.
        let no_word = |_| Err(io::ErrorKind::BrokenPipe.into());
        if let Err(error) = thread.and_then(|_| start.recv().unwrap_or_else(no_word)) {
            let _ = std::fs::remove_file(path);
            return Err(StartError::Thread(error));
        }
        Ok(Self { hub, socket, requests, _end: end })
    }

    /// The name of this instance, which may have got a number.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.socket.name
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.socket.path
    }

    /// Adds a service, or replaces the session of one with the same name, which keeps its history.
    pub fn add(&self, service: Service) {
        self.hub.add(service);
    }

    /// Follows an event of a service's session. Call it for each event, in order.
    pub fn observe(&self, service: &str, event: &Event) {
        self.hub.observe(service, event, Instant::now());
    }

    /// Waits for a request that concerns the owner. Cancel-safe. Never completes after the thread has ended.
    pub async fn next_request(&mut self) -> OwnerRequest {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A successor cannot have this name before the file is gone.
        let _ = std::fs::remove_file(&self.socket.path);
    }
}

/// A runtime, and the listener in it.
fn runtime_for(listener: std::os::unix::net::UnixListener) -> io::Result<(Runtime, UnixListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _entered = runtime.enter();
        UnixListener::from_std(listener)?
    };
    Ok((runtime, listener))
}

/// Accepts clients.
#[derive(Debug)]
struct Accepting {
    listener: UnixListener,
    hub: Arc<Hub>,
    requests: UnboundedSender<OwnerRequest>,
}

impl Accepting {
    async fn run(self) {
        let slots = Arc::new(Semaphore::new(MAX_CLIENTS));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a client of the control socket");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            };
            if !is_same_user(&stream) {
                continue;
            }
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                let message = format!("{MAX_CLIENTS} clients are connected already");
                let error = ErrorObject::new(ErrorObject::TOO_MANY_CLIENTS, message, "close one of them");
                Connection::refuse(&stream, error);
                tokio::time::sleep(REFUSAL_DELAY).await;
                continue;
            };
            let connection = Connection::new(stream, Arc::clone(&self.hub), self.requests.clone());
            tokio::spawn(async move {
                if let Err(error) = connection.run().await {
                    tracing::debug!(%error, "a client of the control socket was disconnected");
                }
                drop(slot);
            });
        }
    }
}

/// Whether the client is a process of the same user. The directory keeps others away already.
fn is_same_user(stream: &UnixStream) -> bool {
    let user = stream.peer_cred().map(|peer| peer.uid());
    let is_same = user.as_ref().is_ok_and(|user| *user == geteuid().as_raw());
    if !is_same {
        tracing::debug!(?user, "refused a client of the control socket that is another user's");
    }
    is_same
}
