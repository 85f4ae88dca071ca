//! The client: connects to a socket, and asks.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use rustix::process::geteuid;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

use super::json_rpc::{call_line, notification_line, parse_notification};
use super::lines::LineReader;
use super::protocol::{
    Accepted, AttachParams, ClientNotification, ErrorObject, Hello, HelloParams, LogsParams, Nothing,
    Request, ServerNotification, Services, Status, WaitParams, Waited, Why, WhyParams,
};

/// Maximum length of an answer in bytes.
const MAX_ANSWER_LENGTH: usize = 16 * 1024 * 1024;

/// A connection to a [`Server`](super::Server). One request runs at a time.
#[derive(Debug)]
pub struct Client {
    lines: LineReader,
    writer: OwnedWriteHalf,
    last_id: u64,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server listens on the socket.
    #[error("connect to the control socket")]
    Connect(#[source] io::Error),
    /// The server belongs to another user.
    #[error("use a control socket that belongs to another user")]
    OtherUser,
    /// The connection has failed.
    #[error("talk to the running devrun")]
    Connection(#[source] io::Error),
    /// The server has closed the connection, because it has ended or the client was too slow.
    #[error("get an answer: devrun has ended")]
    Closed,
    /// The server has sent something that is no answer.
    #[error("read the answer of the running devrun: {0}")]
    Malformed(String),
    /// The server refuses the request.
    #[error("{}", .0.message)]
    Refused(ErrorObject),
}

/// What comes during a request whose answer is a stream.
#[derive(Debug)]
enum Received {
    Notification(ServerNotification),
    Answer(Value),
}

impl Client {
    /// Connects to a socket, which [`Directory`](super::Directory) finds.
    ///
    /// # Errors
    /// [`Error::Connect`] if no server listens there; the kind is [`io::ErrorKind::ConnectionRefused`] or
    /// [`io::ErrorKind::NotFound`] if it has ended.
    pub async fn connect(socket: &Path) -> Result<Self, Error> {
        let stream = UnixStream::connect(socket).await.map_err(Error::Connect)?;
        let server = stream.peer_cred().map_err(Error::Connect)?;
        if server.uid() != geteuid().as_raw() {
            return Err(Error::OtherUser);
        }
        let (reader, writer) = stream.into_split();
        Ok(Self { lines: LineReader::new(reader, MAX_ANSWER_LENGTH), writer, last_id: 0 })
    }

    /// The instance, and the versions of both sides.
    ///
    /// # Errors
    /// [`Error`]; that of the other methods too.
    pub async fn hello(&mut self) -> Result<Hello, Error> {
        self.call(&Request::Hello(HelloParams::default())).await
    }

    /// How services are; without names, all.
    pub async fn status(&mut self, services: &[String]) -> Result<Status, Error> {
        self.call(&Request::Status(named(services))).await
    }

    /// The last restarts.
    pub async fn why(&mut self, params: WhyParams) -> Result<Why, Error> {
        self.call(&Request::Why(params)).await
    }

    /// Restarts services, and returns before they have restarted.
    pub async fn restart(&mut self, services: &[String]) -> Result<Accepted, Error> {
        self.call(&Request::Restart(named(services))).await
    }

    /// Stops services; the server goes on.
    pub async fn stop(&mut self, services: &[String]) -> Result<Accepted, Error> {
        self.call(&Request::Stop(named(services))).await
    }

    /// Starts services that do not run.
    pub async fn start(&mut self, services: &[String]) -> Result<Accepted, Error> {
        self.call(&Request::Start(named(services))).await
    }

    /// Lets changes restart nothing until [`Client::resume`].
    pub async fn pause(&mut self, services: &[String]) -> Result<Accepted, Error> {
        self.call(&Request::Pause(named(services))).await
    }

    /// Lets changes restart the services again.
    pub async fn resume(&mut self, services: &[String]) -> Result<Accepted, Error> {
        self.call(&Request::Resume(named(services))).await
    }

    /// Waits until every change that was complete before the call runs, or has failed.
    ///
    /// The server brings the watch up to date first. So a client that has written a file, and then calls this, never
    /// gets an answer about the code before.
    pub async fn wait(&mut self, params: WaitParams) -> Result<Waited, Error> {
        self.call(&Request::Wait(params)).await
    }

    /// Ends the server with all its services. Returns when the request was accepted; [`Client::closed`] waits for the
    /// end.
    pub async fn down(&mut self) -> Result<Accepted, Error> {
        self.call(&Request::Down(Nothing {})).await
    }

    /// Waits until the server closes the connection.
    pub async fn closed(mut self) {
        while let Ok(Some(_)) = self.lines.next().await {}
    }

    /// Calls `each` for the output of services: for the kept output, and with `follow` for further output until the
    /// server ends. If `each` breaks, the call ends; the connection cannot be used afterwards.
    pub async fn logs(
        &mut self,
        params: LogsParams,
        mut each: impl FnMut(ServerNotification) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.send(&Request::Logs(params)).await?;
        while let Received::Notification(notification) = self.receive().await? {
            if each(notification).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Asks to be attached to a service. Afterwards, [`Client::notify`] sends it input, and
    /// [`Client::next_notification`] returns its output.
    pub async fn attach(&mut self, service: Option<String>) -> Result<(), Error> {
        self.send(&Request::Attach(AttachParams { service })).await
    }

    /// The next notification of a service to which the client is attached; `None` when its generation has ended.
    /// Cancel-safe.
    pub async fn next_notification(&mut self) -> Result<Option<ServerNotification>, Error> {
        match self.receive().await? {
            Received::Notification(notification) => Ok(Some(notification)),
            Received::Answer(_) => Ok(None),
        }
    }

    /// Sends a notification to a service to which the client is attached.
    pub async fn notify(&mut self, notification: &ClientNotification) -> Result<(), Error> {
        self.writer.write_all(&notification_line(notification)).await.map_err(Error::Connection)
    }

    /// Sends any request, and returns its answer. Notifications before it are dropped.
    pub async fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Error> {
        self.send(request).await?;
        loop {
            if let Received::Answer(answer) = self.receive().await? {
                return serde_json::from_value(answer).map_err(|error| Error::Malformed(error.to_string()));
            }
        }
    }

    async fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.last_id += 1;
        match self.writer.write_all(&call_line(self.last_id, request)).await {
            Ok(()) => Ok(()),
            // A server that refuses a client sends the reason before it closes the connection.
            Err(_) => self.receive().await.and(Err(Error::Closed)),
        }
    }

    async fn receive(&mut self) -> Result<Received, Error> {
        loop {
            let line = self.lines.next().await.map_err(Error::Connection)?.ok_or(Error::Closed)?;
            if let Some(notification) = parse_notification(&line) {
                return Ok(Received::Notification(notification));
            }
            let mut message: Value =
                serde_json::from_slice(&line).map_err(|error| Error::Malformed(error.to_string()))?;
            if let Some(error) = message.get_mut("error") {
                let error = serde_json::from_value(error.take());
                return Err(error.map_or_else(|error| Error::Malformed(error.to_string()), Error::Refused));
            }
            // A notification that this version does not know has no id.
            if message.get("id").is_some() {
                let answer = message.get_mut("result").map(Value::take).unwrap_or_default();
                return Ok(Received::Answer(answer));
            }
        }
    }
}

fn named(services: &[String]) -> Services {
    Services { services: services.to_vec() }
}
