//! The running proxy, and the handle that tells it what serves.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Answerers;
use super::bind::bind;
use super::error::Error;
use super::event::{Event, Listener, Teller};
use super::options::Options;
use super::port::Port;
use super::serve::accept;
use super::upstream::{FailureReport, Upstream};

/// How long a stop waits for what is in flight.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// A running proxy. Dropped, it closes its port and cuts what is in flight.
///
/// ```
/// use devrun::proxy::{Event, Proxy, Options, FailureReport, Upstream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut proxy = Proxy::start(Options::new(vec!["127.0.0.1:0".parse()?])).await?;
/// let Some(Event::Listening { addresses }) = proxy.next_event().await else { panic!("not listening") };
///
/// // Nothing serves yet: this request would wait. Then the server turns out to be broken.
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
    events: Listener,
}

/// Tells a running proxy what serves. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Handle {
    port: Arc<Port>,
    answerers: Arc<Answerers>,
    runtime: tokio::runtime::Handle,
}

impl Handle {
    /// What serves new requests from now on. A generation that served before is drained: see [`Event::Drained`]. With
    /// [`Upstream::Down`], the requests that wait are answered at once.
    pub fn publish(&self, upstream: Upstream) {
        if let Some(retired) = self.port.gate.publish(upstream) {
            self.port.tasks.spawn_on(retired.report(), &self.runtime);
        }
    }

    /// Closes the gate: new requests wait, the serving generation is drained. For generations that take turns.
    pub fn hold(&self) {
        self.publish(Upstream::Starting);
    }

    /// The old generation serves on because this one failed: HTML pages show a banner. `None` takes it away.
    pub fn banner(&self, report: Option<Arc<FailureReport>>) {
        self.port.gate.set_banner(report);
    }

    /// Ends event streams and upgraded connections of this generation (close code 1012 for WebSockets), so that they
    /// come back to new code; also those that have yet to begin. To be called once the generation no longer gets requests.
    pub fn release_streams(&self, generation: u64) {
        self.port.gate.release(generation);
    }

    /// Accepts on these sockets (TCP, or Unix streams) and answers 503 with the report, until [`Handle::answer_no_more`].
    ///
    /// They must be non-blocking, which whoever shares them sees too. One that is made blocking is left alone from then on:
    /// a server has it.
    pub fn answer_on(&self, sockets: Vec<OwnedFd>, report: Arc<FailureReport>) {
        self.answerers.start(&self.port, &self.runtime, sockets, report);
    }

    /// Stops accepting on the sockets of [`Handle::answer_on`]; returns once none of them is being accepted on. Whoever was
    /// accepted gets an answer.
    pub async fn answer_no_more(&self) {
        self.answerers.stop().await;
    }
}

impl Proxy {
    /// Opens the port and begins to serve. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Bind`] if an address is in use or not allowed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listeners = bind(&options.addresses)?;
        let (teller, events) = Teller::new();
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let port = Arc::new(Port::new(options, teller));
        if !listeners.is_empty() {
            port.teller.tell(Event::Listening { addresses });
        }
        for listener in listeners {
            port.tasks.spawn(accept(Arc::clone(&port), listener));
        }
        let runtime = tokio::runtime::Handle::current();
        Ok(Self { handle: Handle { port, answerers: Arc::default(), runtime }, events })
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the next event; `None` once it has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.next().await
    }

    /// Stops accepting, ends what is in flight, and returns once the last connection is closed: what waits is answered
    /// 503, streams are ended, answers have a second to come to an end and are then cut.
    pub async fn stop(self) {
        let port = Arc::clone(&self.handle.port);
        self.handle.answerers.stop().await;
        port.stop.cancel();
        port.gate.close();
        port.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, port.tasks.wait()).await.is_err() {
            port.kill.cancel();
            port.tasks.wait().await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let port = &self.handle.port;
        port.stop.cancel();
        port.gate.close();
        port.kill.cancel();
    }
}
