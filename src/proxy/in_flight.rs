//! The requests in flight on one generation, and its drain: the wait until the last of them has ended.
//!
//! Nothing here decides about a restart.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hyper::http::request;
use hyper::{Method, Uri};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::event::{Event, EventSender};
use super::headers;
use crate::{GenerationId, sync};

/// Interval between two [`Event::InFlight`] of a drain.
const DRAIN_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time for which a script's request without response bytes delays the reload of pages. It may be a
/// long poll, whose response comes late or never.
const FETCH_GRACE: Duration = Duration::from_secs(10);

/// Time for which a script's request delays the reload of pages after its response has been sent. The browser
/// still receives the end, and the script saves a download only then.
const FETCH_READ_TIME: Duration = Duration::from_secs(1);

/// The first line of a request without its version. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RequestLine {
    method: Method,
    uri: Uri,
    /// A script of a page sent the request, with `fetch` or `XMLHttpRequest`. It would lose the response if the page reloaded.
    is_fetch: bool,
}

impl RequestLine {
    pub(super) fn new(head: &request::Parts) -> Self {
        let is_fetch = headers::text(&head.headers, "sec-fetch-dest") == Some("empty");
        Self { method: head.method.clone(), uri: head.uri.clone(), is_fetch }
    }
}

impl std::fmt::Display for RequestLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        write!(f, "{} {path}", self.method)
    }
}

/// A generation as the proxy sees it: an address, and the requests in flight on it.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) id: GenerationId,
    pub(super) address: SocketAddr,
    /// Its server is known to answer in plain HTTP.
    speaks_http: AtomicBool,
    /// Cancelled to end the generation's event streams and upgraded connections. Later streams end at once.
    release: CancellationToken,
    table: Mutex<InFlightTable>,
    drained: Notify,
    events: EventSender,
}

#[derive(Debug, Default)]
struct InFlightTable {
    next_key: u64,
    /// By key, so the oldest comes first.
    requests: BTreeMap<u64, Arc<InFlight>>,
    /// A drain began that lets new requests in. Requests with a lower key were in flight before.
    drain_before: Option<u64>,
    /// Time since when the generation gets no new requests.
    retired: Option<Instant>,
    /// Time at which the last request of a page's script ended.
    last_fetch_end: Option<Instant>,
    /// [`Event::Drained`] was sent, or must not be sent.
    is_drained: bool,
}

impl InFlightTable {
    /// The requests that a drain waits for, the oldest first: all, or those from before it as long as it lets new
    /// ones in.
    fn awaited(&self) -> impl Iterator<Item = &InFlight> {
        let end = match self.retired {
            _ if self.is_drained => 0,
            Some(_) => u64::MAX,
            None => self.drain_before.unwrap_or(0),
        };
        self.requests.range(..end).map(|(_, request)| &**request)
    }
}

#[derive(Debug)]
struct InFlight {
    line: RequestLine,
    since: Instant,
    /// Number of bytes of the response's body sent so far.
    bytes: AtomicU64,
}

impl Generation {
    pub(super) fn new(id: GenerationId, address: SocketAddr, events: EventSender) -> Self {
        let (release, drained) = (CancellationToken::new(), Notify::new());
        let (speaks_http, table) = (AtomicBool::new(false), Mutex::default());
        Self { id, address, speaks_http, release, table, drained, events }
    }

    /// Whether its server is known to answer in plain HTTP.
    pub(super) fn speaks_http(&self) -> bool {
        self.speaks_http.load(Ordering::Relaxed)
    }

    /// The server has answered in plain HTTP.
    pub(super) fn set_speaks_http(&self) {
        self.speaks_http.store(true, Ordering::Relaxed);
    }

    /// Cancelled when the generation's event streams and upgraded connections must end.
    pub(super) fn release(&self) -> &CancellationToken {
        &self.release
    }

    /// Counts a request as in flight. The caller holds the gate's lock, so the generation is not retired.
    pub(super) fn begin_request(self: &Arc<Self>, line: RequestLine) -> InFlightGuard {
        let request = Arc::new(InFlight { line, since: Instant::now(), bytes: AtomicU64::new(0) });
        let mut table = self.table();
        let key = table.next_key;
        table.next_key += 1;
        table.requests.insert(key, Arc::clone(&request));
        let is_late = table.drain_before.is_some();
        InFlightGuard { generation: Arc::clone(self), request, key, is_late }
    }

    /// Begins a drain that lets new requests in. Returns whether requests are in flight.
    pub(super) fn begin_drain(&self) -> bool {
        let mut table = self.table();
        table.drain_before = Some(table.next_key).filter(|_| !table.requests.is_empty());
        table.drain_before.is_some()
    }

    /// Marks the generation as one that gets no new requests. Returns whether it has requests in flight and no
    /// drain that began before reports them.
    pub(super) fn retire(&self) -> bool {
        let mut table = self.table();
        table.retired.get_or_insert_with(Instant::now);
        self.check_drained(&mut table);
        !table.is_drained && table.drain_before.is_none()
    }

    /// Retires the generation without [`Event::Drained`], because the same server continues at another
    /// address.
    pub(super) fn supersede(&self) {
        let mut table = self.table();
        table.retired.get_or_insert_with(Instant::now);
        table.is_drained = true;
    }

    /// Lets a retired generation serve again, unless it is drained. Returns whether it serves.
    pub(super) fn reinstate(&self) -> bool {
        let mut table = self.table();
        if !table.is_drained {
            (table.retired, table.drain_before) = (None, None);
        }
        table.retired.is_none()
    }

    pub(super) fn is_retired(&self) -> bool {
        self.table().retired.is_some()
    }

    /// Sends [`Event::InFlight`] at once and then every second, until no request is in flight that the drain
    /// waits for.
    pub(super) async fn report_drain(&self) {
        while let Some(event) = self.in_flight_event() {
            self.events.send(event);
            self.until_next_report().await;
        }
    }

    /// Waits until the next [`Event::InFlight`] is due, or nothing is in flight that the drain waits for.
    pub(super) async fn until_next_report(&self) {
        let _ = tokio::time::timeout(DRAIN_REPORT_INTERVAL, self.drained.notified()).await;
    }

    fn in_flight_event(&self) -> Option<Event> {
        let table = self.table();
        let (mut oldest, mut responses, mut bytes) = (None, 0, 0);
        for request in table.awaited() {
            oldest = oldest.or(Some(request));
            responses += 1;
            bytes += request.bytes.load(Ordering::Relaxed);
        }
        let oldest = oldest?;
        Some(Event::InFlight {
            generation: self.id,
            responses,
            bytes,
            oldest: oldest.line.to_string(),
            since: oldest.since.elapsed(),
        })
    }

    /// Whether pages must wait with their reload, because their scripts wait for responses of this
    /// generation.
    pub(super) fn delays_reload(&self) -> bool {
        let table = self.table();
        let Some(retired) = table.retired else { return false };
        let in_grace = retired.elapsed() < FETCH_GRACE;
        let mut fetches = table.requests.values().filter(|request| request.line.is_fetch);
        fetches.any(|request| in_grace || request.bytes.load(Ordering::Relaxed) > 0)
            || table.last_fetch_end.is_some_and(|end| end.elapsed() < FETCH_READ_TIME)
    }

    /// Sends [`Event::Drained`] when the generation is retired and its last request has ended.
    fn check_drained(&self, table: &mut InFlightTable) {
        if table.retired.is_some() && !table.is_drained && table.requests.is_empty() {
            table.is_drained = true;
            self.drained.notify_one();
            self.events.send(Event::Drained { generation: self.id });
        }
    }

    fn table(&self) -> MutexGuard<'_, InFlightTable> {
        sync::lock(&self.table)
    }
}

/// Counts a request as in flight on its generation until dropped, or until the response turns out to be a
/// stream.
#[derive(Debug)]
pub(super) struct InFlightGuard {
    pub(super) generation: Arc<Generation>,
    request: Arc<InFlight>,
    key: u64,
    /// The request came during a drain that lets new requests in.
    is_late: bool,
}

impl InFlightGuard {
    /// Stops counting the request, because it is an endless stream, a long poll or an upgraded connection,
    /// which no drain waits for.
    pub(super) fn become_stream(&mut self) {
        let generation = &self.generation;
        let mut table = generation.table();
        let request = table.requests.remove(&self.key);
        generation.check_drained(&mut table);
        if table.drain_before.is_some() && table.awaited().next().is_none() {
            generation.drained.notify_one();
        }
        if request.is_some_and(|request| request.line.is_fetch) {
            table.last_fetch_end = Some(Instant::now());
        }
    }

    /// Counts the request after all, because its response has an end, unless [`Event::Drained`] was sent.
    pub(super) fn become_finite(&mut self) {
        let mut table = self.generation.table();
        if !table.is_drained {
            table.requests.insert(self.key, Arc::clone(&self.request));
        }
    }

    /// Whether the request came during a drain that lets new requests in.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Adds bytes of the response's body that were sent.
    pub(super) fn add_bytes(&self, bytes: usize) {
        self.request.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.become_stream();
    }
}
