//! Admission of requests: lets them to the serving generation, or holds them until a generation is ready.
//!
//! The number of held requests and their waiting time are bounded. The gate is the only place that knows
//! which generation serves; it touches no socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{Event, EventSender};
use super::in_flight::{Generation, InFlightGuard, RequestLine};
use super::proxy::{FailureReport, Upstream};
use crate::{GenerationId, sync};

/// Admits requests to the generation that serves.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Version of the state; wakes waiting requests and the event streams of pages.
    version: watch::Sender<u64>,
    hold_limit: usize,
    hold_timeout: Duration,
    events: EventSender,
}

#[derive(Debug, Default)]
struct State {
    /// The generation that serves, or the report if none does until the next change. `None`: requests wait.
    serving: Option<Result<Arc<Generation>, Arc<FailureReport>>>,
    banner: Option<Arc<FailureReport>>,
    /// Number of held requests.
    held: usize,
    /// The serving generation, and older ones that may still have requests in flight or open streams.
    generations: Vec<Arc<Generation>>,
    is_closed: bool,
}

/// Reason why the gate rejects a request.
#[derive(Debug, Clone)]
pub(super) enum Rejection {
    /// The maximum number of requests wait already.
    TooMany,
    /// The request has waited for the maximum time.
    TimedOut(Duration),
    /// No generation serves until the next change.
    Down(Arc<FailureReport>),
    /// The proxy stops.
    Stopping,
}

/// State of the gate as pages see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GateView {
    /// No generation is ready.
    Starting,
    /// A generation serves.
    Ready {
        generation: GenerationId,
        /// Report of a newer generation that failed.
        banner: Option<Arc<FailureReport>>,
        /// Pages of older generations must not reload yet, because their scripts wait for responses.
        is_draining: bool,
    },
    /// No generation serves until the next change.
    Down(Arc<FailureReport>),
}

impl Gate {
    pub(super) fn new(hold_limit: usize, hold_timeout: Duration, events: EventSender) -> Self {
        Self { state: Mutex::default(), version: watch::Sender::new(0), hold_limit, hold_timeout, events }
    }

    /// Waits until a generation is ready and counts the request as in flight on it.
    pub(super) async fn admit(&self, line: &RequestLine) -> Result<InFlightGuard, Rejection> {
        if let Some(admission) = self.try_admit(line) {
            return admission;
        }
        let _slot = self.take_slot().ok_or(Rejection::TooMany)?;
        tracing::debug!(request = %line, "held until a generation is ready");
        let deadline = Instant::now() + self.hold_timeout;
        let mut version = self.version.subscribe();
        loop {
            if let Some(admission) = self.try_admit(line) {
                return admission;
            }
            if tokio::time::timeout_at(deadline, version.changed()).await.is_err() {
                return Err(Rejection::TimedOut(self.hold_timeout));
            }
        }
    }

    /// Number of requests that wait.
    pub(super) fn held_requests(&self) -> usize {
        self.state().held
    }

    /// Admits or rejects a request; `None` if it must wait.
    fn try_admit(&self, line: &RequestLine) -> Option<Result<InFlightGuard, Rejection>> {
        let state = self.state();
        if state.is_closed {
            return Some(Err(Rejection::Stopping));
        }
        Some(match state.serving.as_ref()? {
            Ok(generation) => Ok(generation.begin_request(line.clone())),
            Err(report) => Err(Rejection::Down(Arc::clone(report))),
        })
    }

    fn take_slot(&self) -> Option<HoldSlot<'_>> {
        let mut state = self.state();
        if state.held >= self.hold_limit {
            return None;
        }
        state.held += 1;
        if state.held.is_power_of_two() {
            self.events.send_lossy(Event::Held { requests: state.held });
        }
        Some(HoldSlot(self))
    }

    /// Waits until the generation gets no new requests, or the proxy stops.
    pub(super) async fn retirement_of(&self, generation: &Generation) {
        let mut version = self.version.subscribe();
        while !generation.is_retired() && !self.state().is_closed {
            if version.changed().await.is_err() {
                return;
            }
        }
    }

    /// Sets what serves. Returns the retired generation if it has requests in flight, so that its drain can
    /// be reported.
    pub(super) fn publish(&self, upstream: Upstream) -> Option<Arc<Generation>> {
        let mut state = self.state();
        let serving = match upstream {
            Upstream::Starting => None,
            Upstream::Down(report) => Some(Err(report)),
            Upstream::Ready { generation, address } => {
                Some(Ok(self.find_or_add(&mut state, generation, address)))
            }
        };
        let old = std::mem::replace(&mut state.serving, serving);
        let draining = match (old, &state.serving) {
            (Some(Ok(old)), Some(Ok(new))) if Arc::ptr_eq(&old, new) => None,
            (Some(Ok(old)), Some(Ok(new))) if old.id == new.id => {
                old.supersede();
                None
            }
            (Some(Ok(old)), _) => old.retire().then_some(old),
            _ => None,
        };
        // A generation without other references has neither requests nor streams.
        state.generations.retain(|known| Arc::strong_count(known) > 1 || !known.is_retired());
        self.bump_version();
        draining
    }

    /// Begins to drain the generation that serves, and returns it. It gets new requests as long as requests from
    /// before are in flight, then call [`Gate::retire`]. `None` if none is in flight: new requests wait at once.
    pub(super) fn drain(&self) -> Option<Arc<Generation>> {
        let mut state = self.state();
        let serving = state.serving.clone()?.ok()?;
        if serving.begin_drain() {
            return Some(serving);
        }
        self.retire_in(&mut state, &serving);
        None
    }

    /// Lets new requests wait if this generation still serves.
    pub(super) fn retire(&self, generation: &Arc<Generation>) {
        self.retire_in(&mut self.state(), generation);
    }

    fn retire_in(&self, state: &mut State, generation: &Arc<Generation>) {
        let is_it = |serving: &mut _| matches!(serving, Ok(known) if Arc::ptr_eq(known, generation));
        if state.serving.take_if(is_it).is_some() {
            generation.retire();
            self.bump_version();
        }
    }

    fn find_or_add(&self, state: &mut State, id: GenerationId, address: SocketAddr) -> Arc<Generation> {
        let known = state.generations.iter().find(|known| known.id == id && known.address == address);
        if let Some(known) = known.filter(|known| known.reinstate()) {
            return Arc::clone(known);
        }
        let generation = Arc::new(Generation::new(id, address, self.events.clone()));
        state.generations.push(Arc::clone(&generation));
        generation
    }

    /// Sets the report of a newer generation that failed while an older one serves.
    pub(super) fn set_banner(&self, report: Option<Arc<FailureReport>>) {
        let mut state = self.state();
        if state.banner != report {
            state.banner = report;
            self.bump_version();
        }
    }

    /// Ends the streams of a generation, and streams that begin later.
    pub(super) fn release_streams(&self, id: GenerationId) {
        for generation in self.state().generations.iter().filter(|known| known.id == id) {
            generation.release().cancel();
        }
    }

    /// Rejects all requests from now on and ends all streams.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        for generation in &state.generations {
            generation.release().cancel();
        }
        self.bump_version();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// State of the gate as pages see it.
    pub(super) fn view(&self) -> GateView {
        let state = self.state();
        match &state.serving {
            None => GateView::Starting,
            Some(Ok(generation)) => GateView::Ready {
                generation: generation.id,
                banner: state.banner.clone(),
                is_draining: state.generations.iter().any(|known| known.delays_reload()),
            },
            Some(Err(report)) => GateView::Down(Arc::clone(report)),
        }
    }

    /// Receives a new number whenever [`Gate::view`] may have changed, but for the end of a drain.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn bump_version(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }
}

/// Counts one held request. Dropped when the request is admitted or rejected, or its client leaves.
struct HoldSlot<'gate>(&'gate Gate);

impl Drop for HoldSlot<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.held -= 1;
        if state.held == 0 {
            self.0.events.send_lossy(Event::Held { requests: 0 });
        }
    }
}
