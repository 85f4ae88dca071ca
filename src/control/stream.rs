//! The requests whose answer is a stream: the output of services, and an attached client.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use super::clock::unix_us;
use super::connection::Connection;
use super::json_rpc::parse_notification;
use super::protocol::{
    AttachParams, Bytes, ClientNotification, ErrorObject, LogEntry, LogsParams, ServerNotification,
};
use crate::GenerationId;
use crate::supervise::{LogPosition, OutputLog, Request, Signal};

/// Maximum number of bytes that are read from a log at a time.
const READ_SIZE: usize = 64 * 1024;
/// Number of bytes of earlier output that an attached client gets first, so that it sees a prompt.
const ATTACH_TAIL: u64 = 2048;

/// Sends output to a client.
#[derive(Debug)]
pub(super) struct LogStream<'a> {
    connection: &'a mut Connection,
}

/// The output of one service, and how far the client has got it.
#[derive(Debug)]
struct Reader {
    service: String,
    log: OutputLog,
    position: LogPosition,
}

impl<'a> LogStream<'a> {
    pub(super) fn new(connection: &'a mut Connection) -> Self {
        Self { connection }
    }

    /// Sends the kept output of services, and further output if the client asks for it.
    ///
    /// # Errors
    /// If the client leaves or reads too slowly.
    pub(super) async fn logs(&mut self, params: &LogsParams) -> io::Result<Result<Value, ErrorObject>> {
        let mut readers = match self.readers(&params.services) {
            Ok(readers) => readers,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            for reader in &mut readers {
                self.send_new(reader, params).await?;
            }
            if !params.follow {
                return Ok(Ok(json!({})));
            }
            tokio::select! {
                () = any_changed(&readers) => {}
                () = self.connection.lines.until_closed() => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }

    /// Passes input of the client to the running generation, and its output to the client, until it ends.
    ///
    /// # Errors
    /// If the client leaves or reads too slowly.
    pub(super) async fn attach(&mut self, params: &AttachParams) -> io::Result<Result<Value, ErrorObject>> {
        let hub = Arc::clone(&self.connection.hub);
        let (service, generation) = match hub.attachable(params.service.as_deref()) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let mut readers = match self.readers(std::slice::from_ref(&service)) {
            Ok(readers) => readers,
            Err(error) => return Ok(Err(error)),
        };
        let all = LogsParams { generation: Some(generation), ..LogsParams::default() };
        for reader in &mut readers {
            reader.position = reader.log.before_end(ATTACH_TAIL);
        }
        let mut version = hub.version();
        loop {
            for reader in &mut readers {
                self.send_new(reader, &all).await?;
            }
            if !hub.runs(&service, generation) {
                return Ok(Ok(json!({})));
            }
            let line = tokio::select! {
                () = any_changed(&readers) => continue,
                // The hub lives as long as this connection.
                _ = version.changed() => continue,
                line = self.connection.lines.next() => line?,
            };
            let Some(line) = line else { return Err(io::ErrorKind::ConnectionReset.into()) };
            match parse_notification(&line) {
                Some(notification) => {
                    hub.send(std::slice::from_ref(&service), &to_request(notification, generation))
                }
                None => {
                    let message = "an attached client sends the notifications input and interrupt";
                    return Ok(Err(ErrorObject::new(ErrorObject::INVALID_REQUEST, message, "")));
                }
            }
        }
    }

    fn readers(&self, names: &[String]) -> Result<Vec<Reader>, ErrorObject> {
        let names = self.connection.hub.named(names)?;
        let reader = |service: String| {
            let Some(log) = self.connection.hub.log(&service) else {
                let message = format!("the output of {service:?} does not pass through devrun");
                let remedy = "the service has the terminal of devrun: read its output there";
                return Err(ErrorObject::new(ErrorObject::NOT_POSSIBLE, message, remedy));
            };
            Ok(Reader { position: log.start(), service, log })
        };
        names.into_iter().map(reader).collect()
    }

    /// Sends what the client has not got yet.
    async fn send_new(&mut self, reader: &mut Reader, params: &LogsParams) -> io::Result<()> {
        loop {
            let chunk = reader.log.read(reader.position, READ_SIZE);
            if chunk.dropped > 0 && params.generation.is_none() && params.since_us.is_none() {
                let (service, bytes) = (reader.service.clone(), chunk.dropped);
                self.connection.notify(&ServerNotification::Dropped { service, bytes }).await?;
            }
            for entry in &chunk.entries {
                let (generation, time_us) = (entry.generation.number(), unix_us(entry.time));
                let is_wanted = params.generation.is_none_or(|wanted| wanted == generation)
                    && params.since_us.is_none_or(|since| since <= time_us);
                if is_wanted {
                    let entry = LogEntry {
                        service: reader.service.clone(),
                        generation,
                        stream: entry.stream.as_str().to_owned(),
                        time_us,
                        output: Bytes::new(&entry.bytes),
                    };
                    self.connection.notify(&ServerNotification::Log(entry)).await?;
                }
            }
            if chunk.next == reader.position {
                return Ok(());
            }
            reader.position = chunk.next;
        }
    }
}

fn to_request(notification: ClientNotification, generation: u64) -> Request {
    match notification {
        ClientNotification::Input(bytes) => {
            Request::Input { generation: GenerationId::new(generation), bytes: bytes.to_vec() }
        }
        ClientNotification::Interrupt(_) => Request::Signal(Signal::INT),
    }
}

/// Completes when one of the logs has more than its reader has got.
async fn any_changed(readers: &[Reader]) {
    let mut changes: Vec<_> =
        readers.iter().map(|reader| Box::pin(reader.log.changed(reader.position))).collect();
    std::future::poll_fn(|context| {
        use std::future::Future as _;
        let is_ready = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
        if is_ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
