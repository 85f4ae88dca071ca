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
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::event::{Event, EventSender};
use super::headers;
use crate::{GenerationId, sync};

/// Interval between two [`Event::InFlight`] of a drain.
const DRAIN_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time for which a script's request without response bytes delays the reload of pages. It may be a
/// long poll, whose response comes late or never.
const FETCH_GRACE: Duration = Duration::from_secs(10);

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
    pub(super) speaks_http: AtomicBool,
    /// Cancelled to end the generation's event streams and upgraded connections. Later streams end at once.
    pub(super) release: CancellationToken,
    table: Mutex<InFlightTable>,
    drained: Notify,
    events: EventSender,
    /// Version of the gate's view; counts up when pages may reload.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct InFlightTable {
    next_key: u64,
    /// By key, so the oldest comes first.
    requests: BTreeMap<u64, Arc<InFlight>>,
    /// Time since when the generation gets no new requests.
    retired: Option<Instant>,
    /// [`Event::Drained`] was sent, or must not be sent.
    is_drained: bool,
}

#[derive(Debug)]
struct InFlight {
    line: RequestLine,
    since: Instant,
    /// Number of bytes of the response's body sent so far.
    bytes: AtomicU64,
}

impl Generation {
    pub(super) fn new(
        id: GenerationId,
        address: SocketAddr,
        events: EventSender,
        version: watch::Sender<u64>,
    ) -> Self {
        let (release, drained) = (CancellationToken::new(), Notify::new());
        let (speaks_http, table) = (AtomicBool::new(false), Mutex::default());
        Self { id, address, speaks_http, release, table, drained, events, version }
    }

    /// Counts a request as in flight. The caller holds the gate's lock, so the generation is not retired.
    pub(super) fn begin_request(self: &Arc<Self>, line: RequestLine) -> InFlightGuard {
        let request = Arc::new(InFlight { line, since: Instant::now(), bytes: AtomicU64::new(0) });
        let mut table = self.table();
        let key = table.next_key;
        table.next_key += 1;
        table.requests.insert(key, Arc::clone(&request));
        InFlightGuard { generation: Arc::clone(self), request, key }
    }

    /// Marks the generation as one that gets no new requests. Returns whether it has requests in flight.
    pub(super) fn retire(&self) -> bool {
        let mut table = self.table();
        table.retired.get_or_insert_with(Instant::now);
        self.check_drained(&mut table);
        !table.is_drained
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
            table.retired = None;
        }
        table.retired.is_none()
    }

    pub(super) fn is_retired(&self) -> bool {
        self.table().retired.is_some()
    }

    /// Sends [`Event::InFlight`] at once and then every second, until nothing is in flight.
    pub(super) async fn report_drain(self: Arc<Self>) {
        while let Some(event) = self.in_flight_event() {
            self.events.send(event);
            let _ = tokio::time::timeout(DRAIN_REPORT_INTERVAL, self.drained.notified()).await;
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn in_flight_event(&self) -> Option<Event> {
        let table = self.table();
        if table.retired.is_none() || table.is_drained {
            return None;
        }
        let (_, oldest) = table.requests.first_key_value()?;
        Some(Event::InFlight {
            generation: self.id,
            responses: table.requests.len(),
            bytes: table.requests.values().map(|request| request.bytes.load(Ordering::Relaxed)).sum(),
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
}

impl InFlightGuard {
    /// Stops counting the request, because it is an endless stream, a long poll or an upgraded connection,
    /// which no drain waits for.
    pub(super) fn become_stream(&mut self) {
        let generation = &self.generation;
        let mut table = generation.table();
        let request = table.requests.remove(&self.key);
        generation.check_drained(&mut table);
        if table.retired.is_some() && request.is_some_and(|request| request.line.is_fetch) {
            generation.version.send_modify(|version| *version += 1);
        }
    }

    /// Counts the request after all, because its response has an end, unless [`Event::Drained`] was sent.
    pub(super) fn become_finite(&mut self) {
        let mut table = self.generation.table();
        if !table.is_drained {
            table.requests.insert(self.key, Arc::clone(&self.request));
        }
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
