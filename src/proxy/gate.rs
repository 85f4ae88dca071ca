//! Lets requests to the generation that serves, and holds them until one is ready, bounded in number and time.
//!
//! The one place that knows what serves. Never touches a socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::drain::{Generation, RequestLine, Seat};
use super::event::{Event, Teller};
use super::upstream::{FailureReport, Upstream};

/// What the gate lets requests to.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Counts what pages and waiting requests want to hear of.
    changed: watch::Sender<u64>,
    hold_limit: usize,
    hold_timeout: Duration,
    teller: Teller,
}

#[derive(Debug, Default)]
struct State {
    serving: Serving,
    banner: Option<Arc<FailureReport>>,
    held: usize,
    /// Generations that may still have something in flight or streams open, the serving one included.
    known: Vec<Arc<Generation>>,
    closed: bool,
}

#[derive(Debug, Default)]
enum Serving {
    #[default]
    Nothing,
    Generation(Arc<Generation>),
    Down(Arc<FailureReport>),
}

/// Why a request was not let through.
#[derive(Debug, Clone)]
pub(super) enum Denied {
    /// Too many wait already.
    Full,
    /// It has waited as long as it may.
    TimedOut(Duration),
    /// There will be no server until the next change.
    Down(Arc<FailureReport>),
    /// The proxy is being stopped.
    Closed,
}

/// What a page needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// Nothing is ready yet.
    Starting,
    /// A generation serves.
    Ready {
        /// Which.
        generation: u64,
        /// A newer one that failed.
        failed: Option<Arc<FailureReport>>,
        /// Pages of older ones should not reload yet: what their scripts have asked for is still on its way.
        patience: bool,
    },
    /// Nothing will be, until the next change.
    Down(Arc<FailureReport>),
}

enum Entry {
    Open(Seat),
    Denied(Denied),
    Wait,
}

impl Gate {
    pub(super) fn new(hold_limit: usize, hold_timeout: Duration, teller: Teller) -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(0), hold_limit, hold_timeout, teller }
    }

    /// Waits until a generation is ready and goes on board.
    pub(super) async fn enter(&self, line: &RequestLine) -> Result<Seat, Denied> {
        match self.try_enter(line) {
            Entry::Open(seat) => Ok(seat),
            Entry::Denied(denied) => Err(denied),
            Entry::Wait => self.wait(line).await,
        }
    }

    async fn wait(&self, line: &RequestLine) -> Result<Seat, Denied> {
        let _place = self.take_place().ok_or(Denied::Full)?;
        tracing::debug!(request = %line, "held until a generation is ready");
        let deadline = Instant::now() + self.hold_timeout;
        let mut changed = self.changed.subscribe();
        loop {
            match self.try_enter(line) {
                Entry::Open(seat) => return Ok(seat),
                Entry::Denied(denied) => return Err(denied),
                Entry::Wait => {}
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Err(Denied::TimedOut(self.hold_timeout));
            }
        }
    }

    fn try_enter(&self, line: &RequestLine) -> Entry {
        let state = self.state();
        if state.closed {
            return Entry::Denied(Denied::Closed);
        }
        match &state.serving {
            Serving::Generation(generation) => Entry::Open(generation.board(line.clone())),
            Serving::Down(report) => Entry::Denied(Denied::Down(Arc::clone(report))),
            Serving::Nothing => Entry::Wait,
        }
    }

    fn take_place(&self) -> Option<Place<'_>> {
        let mut state = self.state();
        if state.held >= self.hold_limit {
            return None;
        }
        state.held += 1;
        if state.held.is_power_of_two() {
            self.teller.note(Event::Held { requests: state.held });
        }
        Some(Place(self))
    }

    /// How long a request is held at most.
    pub(super) fn hold_timeout(&self) -> Duration {
        self.hold_timeout
    }

    /// Waits until this generation no longer gets requests, or the proxy is stopped.
    pub(super) async fn replaced(&self, generation: &Generation) {
        let mut changed = self.changed.subscribe();
        while !generation.is_retired() && !self.state().closed {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// What serves from now on. Returns the generation whose drain is to be reported, if it is to be.
    pub(super) fn publish(&self, upstream: Upstream) -> Option<Arc<Generation>> {
        let mut state = self.state();
        let serving = match upstream {
            Upstream::Starting => Serving::Nothing,
            Upstream::Down(report) => Serving::Down(report),
            Upstream::Ready { generation, address } => {
                Serving::Generation(self.find(&mut state, generation, address))
            }
        };
        self.replace(&mut state, serving)
    }

    fn find(&self, state: &mut State, number: u64, address: SocketAddr) -> Arc<Generation> {
        let known = state.known.iter().find(|known| known.number == number && known.address == address);
        if let Some(known) = known.filter(|known| known.reinstate()) {
            return Arc::clone(known);
        }
        let generation =
            Arc::new(Generation::new(number, address, self.teller.clone(), self.changed.clone()));
        state.known.push(Arc::clone(&generation));
        generation
    }

    fn replace(&self, state: &mut State, serving: Serving) -> Option<Arc<Generation>> {
        let old = std::mem::replace(&mut state.serving, serving);
        let retired = match (old, &state.serving) {
            (Serving::Generation(old), Serving::Generation(new)) if Arc::ptr_eq(&old, new) => None,
            (Serving::Generation(old), Serving::Generation(new)) if old.number == new.number => {
                old.supersede();
                None
            }
            (Serving::Generation(old), _) => old.retire().then_some(old),
            _ => None,
        };
        // A generation that nobody refers to any more has neither requests nor streams.
        state.known.retain(|known| Arc::strong_count(known) > 1 || !known.is_retired());
        self.changed.send_modify(|count| *count += 1);
        retired
    }

    /// The newer generation that failed while this one serves on.
    pub(super) fn set_banner(&self, report: Option<Arc<FailureReport>>) {
        let mut state = self.state();
        if state.banner != report {
            state.banner = report;
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// Ends the streams of a generation, those that have yet to begin included.
    pub(super) fn release(&self, number: u64) {
        for generation in self.state().known.iter().filter(|known| known.number == number) {
            generation.release.cancel();
        }
    }

    /// Lets nothing through any more and ends all streams.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for generation in &state.known {
            generation.release.cancel();
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// What a page is told now.
    pub(super) fn view(&self) -> View {
        let state = self.state();
        match &state.serving {
            Serving::Nothing => View::Starting,
            Serving::Generation(generation) => View::Ready {
                generation: generation.number,
                failed: state.banner.clone(),
                patience: state.known.iter().any(|known| known.holds_up_reload()),
            },
            Serving::Down(report) => View::Down(Arc::clone(report)),
        }
    }

    /// Counts up whenever [`Gate::view`] may have changed.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A held request's place; given back when it is let through, denied, or its client leaves.
struct Place<'gate>(&'gate Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.held -= 1;
        if state.held == 0 {
            self.0.teller.note(Event::Held { requests: 0 });
        }
    }
}
