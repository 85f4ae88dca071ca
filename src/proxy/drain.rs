//! One generation's requests in flight: who is on board, and the moment the last one is off.
//!
//! Knows no gate and no sockets; decides nothing about restarts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, Uri};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::event::{Event, Teller};

/// How often an owner hears of a drain that goes on.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How long pages wait with their reload for a script's request that has no answer yet: it may be one that waits for news
/// for as long as it can.
const FETCH_PATIENCE: Duration = Duration::from_secs(10);

/// A request's first line, without its version, and who asked: cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RequestLine {
    method: Method,
    uri: Uri,
    /// A page's script asks, and would lose the answer if the page reloaded itself.
    fetched: bool,
}

impl RequestLine {
    pub(super) fn new(method: Method, uri: Uri, fetched: bool) -> Self {
        Self { method, uri, fetched }
    }
}

impl std::fmt::Display for RequestLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        write!(f, "{} {path}", self.method)
    }
}

/// One generation as the proxy sees it: an address, and what is in flight on it.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) address: SocketAddr,
    /// Ends its event streams and upgraded connections.
    pub(super) release: CancellationToken,
    ledger: Mutex<Ledger>,
    empty: Notify,
    teller: Teller,
    /// Counted up whenever pages may want to look again.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ledger {
    next: u64,
    flights: BTreeMap<u64, Arc<Flight>>,
    /// Since when it no longer gets new requests.
    retired: Option<Instant>,
    /// [`Event::Drained`] was sent.
    drained: bool,
}

#[derive(Debug)]
struct Flight {
    line: RequestLine,
    since: Instant,
    bytes: AtomicU64,
}

impl Generation {
    pub(super) fn new(number: u64, address: SocketAddr, teller: Teller, changed: watch::Sender<u64>) -> Self {
        Self {
            number,
            address,
            release: CancellationToken::new(),
            ledger: Mutex::default(),
            empty: Notify::new(),
            teller,
            changed,
        }
    }

    /// A request goes on board. The caller holds the gate's lock, so that none boards a retired generation.
    pub(super) fn board(self: &Arc<Self>, line: RequestLine) -> Seat {
        let flight = Arc::new(Flight { line, since: Instant::now(), bytes: AtomicU64::new(0) });
        let mut ledger = self.ledger();
        let number = ledger.next;
        ledger.next += 1;
        ledger.flights.insert(number, Arc::clone(&flight));
        Seat { generation: Arc::clone(self), flight, number: Some(number) }
    }

    /// It gets no new requests any more. Returns whether something is in flight, so that its drain should be reported.
    pub(super) fn retire(&self) -> bool {
        let mut ledger = self.ledger();
        ledger.retired.get_or_insert_with(Instant::now);
        self.settle(&mut ledger);
        !ledger.drained
    }

    /// It gets no new requests any more, and nobody is to hear of it: its server goes on under another address.
    pub(super) fn supersede(&self) {
        let mut ledger = self.ledger();
        ledger.retired.get_or_insert_with(Instant::now);
        ledger.drained = true;
    }

    /// It gets requests again, unless it was already given up. Returns whether it does.
    pub(super) fn reinstate(&self) -> bool {
        let mut ledger = self.ledger();
        if !ledger.drained {
            ledger.retired = None;
        }
        ledger.retired.is_none()
    }

    pub(super) fn is_retired(&self) -> bool {
        self.ledger().retired.is_some()
    }

    /// Tells what is in flight, at once and then each second, until nothing is.
    pub(super) async fn report(self: Arc<Self>) {
        while let Some(event) = self.in_flight() {
            self.teller.tell(event);
            let _ = tokio::time::timeout(REPORT_INTERVAL, self.empty.notified()).await;
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn in_flight(&self) -> Option<Event> {
        let ledger = self.ledger();
        let (_, oldest) =
            ledger.flights.first_key_value().filter(|_| ledger.retired.is_some() && !ledger.drained)?;
        Some(Event::InFlight {
            generation: self.number,
            responses: ledger.flights.len(),
            bytes: ledger.flights.values().map(|flight| flight.bytes.load(Ordering::Relaxed)).sum(),
            oldest: oldest.line.to_string(),
            since: oldest.since.elapsed(),
        })
    }

    /// Whether pages should wait with their reload for what their scripts have asked for.
    pub(super) fn holds_up_reload(&self) -> bool {
        let ledger = self.ledger();
        let Some(retired) = ledger.retired else { return false };
        let patient = retired.elapsed() < FETCH_PATIENCE;
        let mut fetched = ledger.flights.values().filter(|flight| flight.line.fetched);
        fetched.any(|flight| patient || flight.bytes.load(Ordering::Relaxed) > 0)
    }

    fn alight(&self, number: u64) {
        let mut ledger = self.ledger();
        let flight = ledger.flights.remove(&number);
        self.settle(&mut ledger);
        if ledger.retired.is_some() && flight.is_some_and(|flight| flight.line.fetched) {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn settle(&self, ledger: &mut Ledger) {
        if ledger.retired.is_some() && !ledger.drained && ledger.flights.is_empty() {
            ledger.drained = true;
            self.empty.notify_one();
            self.teller.tell(Event::Drained { generation: self.number });
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place on a generation: it counts as in flight until this is dropped, or has become a stream.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) generation: Arc<Generation>,
    flight: Arc<Flight>,
    number: Option<u64>,
}

impl Seat {
    /// It is an event stream or an upgraded connection: nobody waits for its end.
    pub(super) fn become_stream(&mut self) {
        if let Some(number) = self.number.take() {
            self.generation.alight(number);
        }
    }

    /// So many bytes of its answer have been passed on.
    pub(super) fn count(&self, bytes: usize) {
        self.flight.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.become_stream();
    }
}
