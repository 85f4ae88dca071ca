//! A proxy for tests, servers that follow a script on raw sockets, and clients that read every byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devrun::GenerationId;
use devrun::proxy::{Event, FailureReport, Handle, Options, Proxy, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::sandbox::PATIENCE;

/// Awaits a future; panics after the deadline.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("gave up waiting until {what}"),
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A proxy with its events collected.
pub(crate) struct TestProxy {
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
    events: Arc<Mutex<Vec<Event>>>,
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl TestProxy {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(vec!["127.0.0.1:0".parse().unwrap()]);
        set(&mut options);
        let mut proxy = Proxy::start(options).await.unwrap();
        let handle = proxy.handle();
        let Some(Event::Listening { addresses }) = proxy.next_event().await else { panic!("no address") };
        let events = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&events);
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = proxy.next_event() => collected.lock().unwrap().extend(event),
                    _ = &mut stopped => return proxy.stop().await,
                }
            }
        });
        Self { handle, address: addresses[0], events, stop, task }
    }

    /// Makes the server serve as this generation.
    pub(crate) fn ready(&self, generation: u64, server: &ScriptedServer) {
        self.handle
            .publish(Upstream::Ready { generation: GenerationId::new(generation), address: server.address });
    }

    pub(crate) fn down(&self, report: FailureReport) {
        self.handle.publish(Upstream::Down(Arc::new(report)));
    }

    pub(crate) async fn client(&self) -> Connection {
        Connection::connect(self.address).await
    }

    /// Sends one request on a new connection and returns the answer.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    }

    /// Sends the text of a request on a new connection and returns the answer.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer(request.starts_with("HEAD")).await
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// The number of events that report a generation as drained.
    pub(crate) fn drained(&self, number: u64) -> usize {
        let events = self.events();
        events
            .iter()
            .filter(|event| matches!(event, Event::Drained { generation } if generation.number() == number))
            .count()
    }

    /// Waits until the proxy holds this number of requests.
    pub(crate) async fn held(&self, count: usize) {
        self.reported_held(count, 1).await;
    }

    /// Waits until this number of events has reported `count` held requests.
    pub(crate) async fn reported_held(&self, count: usize, times: usize) {
        let is_it = |event: &&Event| matches!(event, Event::Held { requests } if *requests == count);
        until("requests are held", || self.events().iter().filter(is_it).count() >= times).await;
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        soon("the proxy stops", self.task).await.unwrap();
    }
}

/// A server that runs a script on each connection. When it is dropped, its port refuses clients and its
/// connections are cut.
pub(crate) struct ScriptedServer {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
    /// Number of accepted connections.
    accepted: Arc<Mutex<usize>>,
    /// Number of connections that have ended, by the script or by the proxy.
    ended: Arc<Mutex<usize>>,
}

impl ScriptedServer {
    pub(crate) async fn start<F>(part: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), part)
    }

    pub(crate) fn on<F>(listener: TcpListener, part: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let (accepted, ended) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let (accepting, ending) = (Arc::clone(&accepted), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            let mut parts = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *accepting.lock().unwrap() += 1;
                let ending = Arc::clone(&ending);
                let playing = part(Connection::new(stream));
                parts.spawn(async move {
                    playing.await;
                    *ending.lock().unwrap() += 1;
                });
            }
        });
        Self { address, task, accepted, ended }
    }

    /// Answers every request on every connection with this text.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::start(move |mut client| async move {
            client.request().await;
            client.send(&plain(text)).await;
        })
        .await
    }

    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.lock().unwrap()
    }

    pub(crate) fn ended(&self) -> usize {
        *self.ended.lock().unwrap()
    }

    /// Drops the server and waits until its port is closed.
    pub(crate) async fn die(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A plain answer with `Content-Length`.
pub(crate) fn plain(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

/// One end of a connection, of a client or of a scripted server, read byte by byte.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer as it was received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
    /// Whether the answer ended as its head declares. Otherwise the connection was cut.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The value of a header. The case of the name does not count.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// The value of a header in a head. The case of the name does not count.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    /// Treats the bytes as received and unread.
    pub(crate) fn prepared(stream: TcpStream, buffer: Vec<u8>) -> Self {
        Self { stream, buffer }
    }

    /// Puts a head back that a script has read to learn that a request has arrived.
    pub(crate) fn prepared_with(mut self, head: String) -> Self {
        self.buffer.splice(0..0, head.into_bytes());
        self
    }

    /// Sends bytes. The peer may have closed the connection.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads more bytes. Returns false at the end of the stream, or if the connection was cut.
    async fn more(&mut self) -> bool {
        matches!(soon("bytes come", self.stream.read_buf(&mut self.buffer)).await, Ok(1..))
    }

    /// Whether the connection has ended without an answer.
    pub(crate) async fn ended(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }

    /// Reads all bytes to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads a head. Returns `None` if the connection ends first.
    pub(crate) async fn try_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.buffer.drain(..end + 4).collect::<Vec<_>>();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(crate) async fn head(&mut self) -> String {
        self.try_head().await.expect("a head arrives")
    }

    /// Reads this number of bytes, or fewer if the stream ends first.
    pub(crate) async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.more().await {}
        let length = length.min(self.buffer.len());
        self.buffer.drain(..length).collect()
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect::<Vec<_>>();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads one chunk of a chunked body. It is empty at the end of the body, and `None` if the connection
    /// was cut.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(self.line().await?.trim(), 16).expect("a chunk's length");
        if length == 0 {
            return Some(Vec::new());
        }
        let chunk = self.take(length).await;
        (chunk.len() == length && self.line().await?.is_empty()).then_some(chunk)
    }

    /// Reads a complete request: head and body.
    pub(crate) async fn request(&mut self) -> (String, Vec<u8>) {
        let head = self.try_head().await.unwrap_or_default();
        let (body, _, _) = self.body(&head, false).await;
        (head, body)
    }

    /// Reads an answer until it ends or the connection is cut.
    pub(crate) async fn answer(&mut self, to_head: bool) -> Answer {
        let Some(head) = self.try_head().await else {
            let body = std::mem::take(&mut self.buffer);
            return Answer { status: 0, head: String::new(), body, trailers: String::new(), whole: false };
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let bodiless = to_head || status == 304 || status == 204 || status < 200;
        let (body, trailers, whole) = match bodiless {
            true => (Vec::new(), String::new(), true),
            false => self.body(&head, true).await,
        };
        Answer { status, head, body, trailers, whole }
    }

    async fn body(&mut self, head: &str, answer: bool) -> (Vec<u8>, String, bool) {
        if header(head, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.chunked().await;
        }
        if let Some(length) = header(head, "content-length") {
            let length = length.parse().unwrap();
            let body = self.take(length).await;
            let whole = body.len() == length;
            return (body, String::new(), whole);
        }
        if answer { self.until_close().await } else { (Vec::new(), String::new(), true) }
    }

    async fn chunked(&mut self) -> (Vec<u8>, String, bool) {
        let mut body = Vec::new();
        loop {
            match self.chunk().await {
                None => return (body, String::new(), false),
                Some(chunk) if chunk.is_empty() => break,
                Some(chunk) => body.extend(chunk),
            }
        }
        let mut trailers = String::new();
        while let Some(line) = self.line().await {
            if line.is_empty() {
                return (body, trailers, true);
            }
            trailers.push_str(&line);
            trailers.push('\n');
        }
        (body, trailers, false)
    }

    /// Reads a body that ends with the connection. A reset cuts it.
    async fn until_close(&mut self) -> (Vec<u8>, String, bool) {
        let whole = loop {
            match soon("bytes come", self.stream.read_buf(&mut self.buffer)).await {
                Ok(0) => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        (std::mem::take(&mut self.buffer), String::new(), whole)
    }
}
