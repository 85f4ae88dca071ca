//! One client of the server: reads its requests one after the other, and answers them.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until, timeout};

use super::clock::micros;
use super::hub::{Hub, PendingWait};
use super::json_rpc::{Call, Refusal, answer_line, notification_line, parse_call};
use super::lines::LineReader;
use super::protocol::{
    Accepted, ErrorObject, Hello, HelloParams, Request, ServiceOutcome, Services, Status, VERSION,
    WaitOutcome, WaitParams, Waited, WaitedService, Why, WhyParams,
};
use super::server::OwnerRequest;
use super::stream::LogStream;
use crate::supervise;

/// Maximum length of a request in bytes.
const MAX_REQUEST_LENGTH: usize = 64 * 1024;
/// Timeout for the first request of a client.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for a further request of a client.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Time after which a client that takes no bytes is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connected client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) lines: LineReader,
    writer: OwnedWriteHalf,
    pub(super) hub: Arc<Hub>,
    owner: UnboundedSender<OwnerRequest>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, hub: Arc<Hub>, owner: UnboundedSender<OwnerRequest>) -> Self {
        let (reader, writer) = stream.into_split();
        Self { lines: LineReader::new(reader, MAX_REQUEST_LENGTH), writer, hub, owner }
    }

    /// Tells a client of an error before its first request. Does not wait for the client.
    pub(super) fn refuse(stream: &UnixStream, error: ErrorObject) {
        let line = answer_line(Value::Null, Err(error));
        // An empty socket has room for a line. A client that is gone misses nothing.
        let _ = rustix::io::write(stream.as_fd(), &line);
    }

    /// Answers requests until the client leaves.
    ///
    /// # Errors
    /// If the client sends a line that is too long, reads too slowly, or the socket fails.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut patience = FIRST_REQUEST_TIMEOUT;
        loop {
            let line = match timeout(patience, self.lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) | Err(_) => return Ok(()),
                Ok(Err(error)) => {
                    let message = format!("the line is longer than {MAX_REQUEST_LENGTH} bytes");
                    let refusal = ErrorObject::new(ErrorObject::INVALID_REQUEST, message, "");
                    self.write(&answer_line(Value::Null, Err(refusal))).await?;
                    return Err(error);
                }
            };
            patience = IDLE_TIMEOUT;
            match parse_call(&line) {
                Ok(Call { id, request }) => {
                    let answer = self.answer(request).await?;
                    self.write(&answer_line(id, answer)).await?;
                }
                Err(Refusal { id, error }) => self.write(&answer_line(id, Err(error))).await?,
            }
        }
    }

    /// Sends bytes to the client.
    ///
    /// # Errors
    /// If the client takes no bytes for too long, or has left.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = timeout(WRITE_TIMEOUT, self.writer.write_all(bytes)).await;
        write.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly")))
    }

    /// Sends the client a notification.
    pub(super) async fn notify(&mut self, notification: &impl Serialize) -> io::Result<()> {
        self.write(&notification_line(notification)).await
    }

    async fn answer(&mut self, request: Request) -> io::Result<Result<Value, ErrorObject>> {
        use supervise::Request as To;
        let answer = match request {
            Request::Hello(params) => self.hello(params).and_then(|answer| to_value(&answer)),
            Request::Status(Services { services }) => {
                self.status(&services).and_then(|answer| to_value(&answer))
            }
            Request::Why(params) => self.why(&params).and_then(|answer| to_value(&answer)),
            Request::Restart(services) => self.send(&services, &To::Restart),
            Request::Stop(services) => self.send(&services, &To::Halt),
            Request::Start(services) => self.send(&services, &To::Start),
            Request::Pause(services) => self.send(&services, &To::Pause),
            Request::Resume(services) => self.send(&services, &To::Resume),
            Request::Wait(params) => match self.wait(&params).await {
                Some(answer) => answer.and_then(|answer| to_value(&answer)),
                None => return Err(io::ErrorKind::ConnectionReset.into()),
            },
            Request::Logs(params) => return LogStream::new(self).logs(&params).await,
            Request::Attach(params) => return LogStream::new(self).attach(&params).await,
            Request::Down(_) => {
                // The owner may be ending already.
                let _ = self.owner.send(OwnerRequest::Down);
                to_value(&Accepted { services: self.hub.names() })
            }
        };
        Ok(answer)
    }

    fn hello(&self, params: HelloParams) -> Result<Hello, ErrorObject> {
        if params.protocol != VERSION {
            let message =
                format!("this devrun speaks version {VERSION} of the protocol, not {}", params.protocol);
            let remedy = "use the devrun of the same version on both sides";
            return Err(ErrorObject::new(ErrorObject::UNKNOWN_PROTOCOL, message, remedy));
        }
        Ok(Hello {
            protocol: VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.hub.instance().clone(),
            services: self.hub.names(),
        })
    }

    fn status(&self, names: &[String]) -> Result<Status, ErrorObject> {
        let names = self.hub.named(names)?;
        let services = names.iter().filter_map(|name| self.hub.status(name)).collect();
        Ok(Status { instance: self.hub.instance().clone(), services })
    }

    fn why(&self, params: &WhyParams) -> Result<Why, ErrorObject> {
        let names = self.hub.named(&params.services)?;
        let limit = params.limit.unwrap_or(usize::MAX);
        Ok(Why { services: names.iter().filter_map(|name| self.hub.history(name, limit)).collect() })
    }

    fn send(&self, services: &Services, request: &supervise::Request) -> Result<Value, ErrorObject> {
        let services = self.hub.named(&services.services)?;
        self.hub.send(&services, request);
        to_value(&Accepted { services })
    }

    /// Waits for the named services. `None` if the client leaves.
    async fn wait(&mut self, params: &WaitParams) -> Option<Result<Waited, ErrorObject>> {
        let begin = Instant::now();
        // A deadline that the clock cannot hold is none.
        let limit = params.timeout_ms.and_then(|millis| begin.checked_add(Duration::from_millis(millis)));
        let names = match self.hub.named(&params.services) {
            Ok(names) => names,
            Err(error) => return Some(Err(error)),
        };
        let hub = Arc::clone(&self.hub);
        let pending: Vec<_> = names.into_iter().map(|name| (hub.wait(&name), name)).collect();
        let services = tokio::select! {
            services = wait_for_each(&hub, pending, limit) => services,
            () = self.lines.until_closed() => return None,
        };
        let outcome = if services.iter().all(|service| service.outcome.is_success()) {
            WaitOutcome::Ready
        } else if services.iter().all(|one| one.outcome.is_success() || one.outcome == ServiceOutcome::Late) {
            WaitOutcome::Late
        } else {
            WaitOutcome::Failed
        };
        Some(Ok(Waited { outcome, took_us: micros(begin.elapsed()), services }))
    }
}

/// Waits for each service until the limit.
async fn wait_for_each(
    hub: &Hub,
    pending: Vec<(Option<PendingWait<'_>>, String)>,
    limit: Option<Instant>,
) -> Vec<WaitedService> {
    let mut services = Vec::with_capacity(pending.len());
    for (wait, service) in pending {
        let late = async {
            match limit {
                Some(limit) => sleep_until(limit).await,
                None => std::future::pending().await,
            }
        };
        let none =
            |outcome| WaitedService { service: service.clone(), outcome, generation: None, failure: None };
        services.push(tokio::select! {
            biased;
            answer = wait_for_one(hub, wait, &service) => answer.unwrap_or_else(|| none(ServiceOutcome::Halted)),
            () = late => none(ServiceOutcome::Late),
        });
    }
    services
}

/// Waits for one service, and for its settle time. `None` if the service is gone.
async fn wait_for_one<'a>(
    hub: &'a Hub,
    mut wait: Option<PendingWait<'a>>,
    service: &str,
) -> Option<WaitedService> {
    loop {
        let answer = wait?.answer().await?;
        let generation = answer.generation.filter(|_| answer.outcome == ServiceOutcome::Ready);
        let Some(generation) = generation else { return Some(answer) };
        let Some(left) = hub.settling(service, generation) else { return Some(answer) };
        tokio::select! {
            () = tokio::time::sleep(left) => return Some(answer),
            // What became of the changes is asked again.
            () = hub.ended(service, generation) => wait = hub.wait(service),
        }
    }
}

fn to_value(answer: &impl Serialize) -> Result<Value, ErrorObject> {
    // Serializing fails for maps with keys that are not text, and no answer has one.
    serde_json::to_value(answer)
        .map_err(|error| ErrorObject::new(ErrorObject::INVALID_REQUEST, error.to_string(), ""))
}
