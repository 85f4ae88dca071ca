//! The running proxy, its options, and the handle by which its owner steers it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::context::ProxyContext;
use super::event::{Event, EventSender};
use super::fallback::FallbackServer;
use super::listen::{accept, bind};
use crate::GenerationId;

/// Time for responses in flight to end when the proxy stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A running proxy. Dropping it closes its port and cuts the responses in flight.
///
/// ```
/// use devrun::proxy::{Event, FailureReport, Options, Proxy, Upstream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut proxy = Proxy::start(Options::new(vec!["127.0.0.1:0".parse()?])).await?;
/// let Some(Event::Listening { addresses }) = proxy.next_event().await else { panic!("not listening") };
///
/// // No generation serves yet, so this request waits. Then the server fails to start.
/// let mut client = tokio::net::TcpStream::connect(addresses[0]).await?;
/// client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
/// let report = FailureReport { headline: "exited with status 1".into(), ..FailureReport::default() };
/// proxy.handle().publish(Upstream::Down(report.into()));
///
/// let mut answer = String::new();
/// client.read_to_string(&mut answer).await?;
/// assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("exited with status 1"));
/// proxy.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    handle: Handle,
    reliable_events: mpsc::UnboundedReceiver<Event>,
    lossy_events: mpsc::Receiver<Event>,
}

impl Proxy {
    /// Binds the addresses and starts to accept connections. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Bind`] if an address is in use or not allowed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listeners = bind(&options.addresses)?;
        let (sender, reliable_events, lossy_events) = EventSender::new();
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let context = Arc::new(ProxyContext::new(options, sender));
        if !listeners.is_empty() {
            context.events.send(Event::Listening { addresses });
        }
        for listener in listeners {
            context.tasks.spawn(accept(Arc::clone(&context), listener));
        }
        let handle = Handle { context, fallback: Arc::default(), runtime: tokio::runtime::Handle::current() };
        Ok(Self { handle, reliable_events, lossy_events })
    }

    /// A handle to steer the proxy.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` once the proxy has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            Some(event) = self.reliable_events.recv() => Some(event),
            Some(event) = self.lossy_events.recv() => Some(event),
            else => None,
        }
    }

    /// Stops accepting and returns once the last connection is closed.
    ///
    /// Waiting requests are answered with 503 and event streams end. Other responses have one second to end
    /// before they are cut.
    pub async fn stop(self) {
        let context = Arc::clone(&self.handle.context);
        self.handle.fallback.stop().await;
        context.begin_stop();
        let tasks = &context.tasks;
        tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, tasks.wait()).await.is_err() {
            context.kill.cancel();
            tasks.wait().await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.handle.context.begin_stop();
        self.handle.context.kill.cancel();
    }
}

/// Steers a running proxy. Cheap to clone; no method blocks.
#[derive(Debug, Clone)]
pub struct Handle {
    context: Arc<ProxyContext>,
    fallback: Arc<FallbackServer>,
    runtime: tokio::runtime::Handle,
}

impl Handle {
    /// Sets the upstream of new requests. The generation that served before is drained: see
    /// [`Event::Drained`].
    ///
    /// With [`Upstream::Down`], waiting requests are answered at once.
    pub fn publish(&self, upstream: Upstream) {
        if let Some(retired) = self.context.gate.publish(upstream) {
            self.context.tasks.spawn_on(async move { retired.report_drain().await }, &self.runtime);
        }
    }

    /// Drains the serving generation, whose successor starts after its end. It gets new requests until those
    /// that are in flight now have ended. Then new requests wait, and so do those that came during the drain, have
    /// no response yet and can be sent again (RFC 9110, 9.2.2).
    pub fn drain(&self) {
        let Some(generation) = self.context.gate.drain() else { return };
        let context = Arc::clone(&self.context);
        let drain = async move {
            generation.report_drain().await;
            context.gate.retire(&generation);
            // Requests that move to the successor are not worth a report.
            generation.until_next_report().await;
            generation.report_drain().await;
        };
        self.context.tasks.spawn_on(drain, &self.runtime);
    }

    /// Lets new requests wait, and drains the serving generation.
    pub fn hold(&self) {
        self.publish(Upstream::Starting);
    }

    /// Shows a banner on HTML pages, because a newer generation failed while the old one serves. `None`
    /// removes the banner.
    pub fn banner(&self, report: Option<Arc<FailureReport>>) {
        self.context.gate.set_banner(report);
    }

    /// Ends the event streams and upgraded connections of a generation, so that their clients reconnect to
    /// new code.
    ///
    /// WebSocket clients get close code 1012. Streams that begin later end at once, so call this after the
    /// generation has stopped getting requests.
    pub fn release_streams(&self, generation: GenerationId) {
        self.context.gate.release_streams(generation);
    }

    /// Number of requests that wait until a generation is ready.
    #[must_use]
    pub fn held_requests(&self) -> usize {
        self.context.gate.held_requests()
    }

    /// Accepts on listening sockets (TCP or Unix stream) and answers 503 with the report, until
    /// [`Handle::answer_no_more`].
    ///
    /// The sockets must be non-blocking, and all processes that share a socket share that flag. If a socket
    /// becomes blocking, a server has taken it, and the proxy stops accepting on it.
    pub fn answer_on(&self, sockets: Vec<OwnedFd>, report: Arc<FailureReport>) {
        self.fallback.start(&self.context, &self.runtime, sockets, report);
    }

    /// Stops accepting on the sockets of [`Handle::answer_on`] and returns once no task accepts on them.
    /// Accepted connections still get an answer.
    pub async fn answer_no_more(&self) {
        self.fallback.stop().await;
    }
}

/// State of the server behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Upstream {
    /// No generation is ready: requests wait.
    #[default]
    Starting,
    /// A generation serves.
    Ready {
        /// The generation.
        generation: GenerationId,
        /// Its address.
        address: SocketAddr,
    },
    /// No generation serves until the next change: all requests, waiting ones included, are answered 503 with
    /// the report.
    Down(Arc<FailureReport>),
}

/// Reason why a generation does not serve, as the error page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    /// The failed generation.
    pub generation: GenerationId,
    /// One line: `exited with status 1 after 0.31 s`, `the build failed with status 101`.
    pub headline: String,
    /// The command, as typed.
    pub command: String,
    /// Paths of the changes that caused the restart, relative to the working directory.
    pub changed: Vec<String>,
    /// Last part of the output: raw bytes with ANSI escape sequences.
    pub output: Vec<u8>,
    /// Time for which the generation ran.
    pub ran: Duration,
}

impl Default for FailureReport {
    fn default() -> Self {
        Self {
            generation: GenerationId::FIRST,
            headline: String::new(),
            command: String::new(),
            changed: Vec::new(),
            output: Vec::new(),
            ran: Duration::ZERO,
        }
    }
}

/// Addresses and limits of the proxy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Addresses on which clients connect. All of them serve the same, as `localhost` stands for two
    /// addresses.
    ///
    /// Port 0 stands for a free port, the same one for all addresses with port 0. If the list is empty there
    /// is no proxy: devrun only answers on the sockets of [`super::Handle::answer_on`].
    pub addresses: Vec<SocketAddr>,
    /// Maximum time for which a request waits for a generation. After that it is answered with 503 and
    /// `Retry-After`.
    pub hold_timeout: Duration,
    /// Maximum number of waiting requests. Further ones are answered with 503 and `Retry-After`.
    pub hold_limit: usize,
    /// Maximum time from the last byte of a request to the head of its response; after that the answer is
    /// 504. `None`: no limit.
    pub answer_timeout: Option<Duration>,
    /// Maximum number of client connections. At the limit the proxy closes idle ones, the longest idle first;
    /// new ones wait in the kernel's backlog.
    pub connection_limit: usize,
    /// Whether HTML pages get the script of live reload.
    pub live_reload: bool,
    /// Whether requests get `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. If not, the
    /// client's own headers of these names pass unchanged.
    pub forwarded: bool,
    /// Host names under which devrun answers its own paths (`/__devrun/…`), besides IP addresses, `localhost`
    /// and names below it. The check stops pages of other sites from reading these paths by DNS rebinding.
    pub allowed_hosts: Vec<String>,
}

impl Options {
    /// The default limits for these addresses.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            addresses,
            hold_timeout: Duration::from_secs(60),
            hold_limit: 1000,
            answer_timeout: None,
            connection_limit: 10_000,
            live_reload: true,
            forwarded: true,
            allowed_hosts: Vec::new(),
        }
    }
}

/// Error of starting the proxy. The message completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be bound.
    #[error("listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the system call.
        source: io::Error,
    },
}
