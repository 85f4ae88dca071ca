//! The running proxy, and the handle by which its owner steers it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::context::ProxyContext;
use super::error::Error;
use super::event::{Event, EventReceiver, EventSender};
use super::fallback::FallbackServer;
use super::listen::{accept, bind};
use super::options::Options;
use super::upstream::{FailureReport, Upstream};
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
    events: EventReceiver,
}

impl Proxy {
    /// Binds the addresses and starts to accept connections. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Bind`] if an address is in use or not allowed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listeners = bind(&options.addresses)?;
        let (sender, events) = EventSender::new();
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let context = Arc::new(ProxyContext::new(options, sender));
        if !listeners.is_empty() {
            context.events().send(Event::Listening { addresses });
        }
        for listener in listeners {
            context.tasks().spawn(accept(Arc::clone(&context), listener));
        }
        let runtime = tokio::runtime::Handle::current();
        Ok(Self { handle: Handle { context, fallback: Arc::default(), runtime }, events })
    }

    /// A handle to steer the proxy.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` once the proxy has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Stops accepting and returns once the last connection is closed.
    ///
    /// Waiting requests are answered with 503 and event streams end. Other responses have one second to end
    /// before they are cut.
    pub async fn stop(self) {
        let context = Arc::clone(&self.handle.context);
        self.handle.fallback.stop().await;
        context.begin_stop();
        let tasks = context.tasks();
        tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, tasks.wait()).await.is_err() {
            context.kill();
            tasks.wait().await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.handle.context.begin_stop();
        self.handle.context.kill();
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
        if let Some(retired) = self.context.gate().publish(upstream) {
            self.context.tasks().spawn_on(retired.report_drain(), &self.runtime);
        }
    }

    /// Lets new requests wait and drains the serving generation. For generations that do not overlap.
    pub fn hold(&self) {
        self.publish(Upstream::Starting);
    }

    /// Shows a banner on HTML pages, because a newer generation failed while the old one serves. `None`
    /// removes the banner.
    pub fn banner(&self, report: Option<Arc<FailureReport>>) {
        self.context.gate().set_banner(report);
    }

    /// Ends the event streams and upgraded connections of a generation, so that their clients reconnect to
    /// new code.
    ///
    /// WebSocket clients get close code 1012. Streams that begin later end at once, so call this after the
    /// generation has stopped getting requests.
    pub fn release_streams(&self, generation: GenerationId) {
        self.context.gate().release_streams(generation);
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
