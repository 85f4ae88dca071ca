//! The end of what a client says: its socket comes to it, and the body of its request knows whether that was all.
//!
//! hyper asks the socket for more in both cases, to fill a body or to see whether the client is still there.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What the two have to tell each other.
#[derive(Debug, Default)]
pub(super) struct End(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// There is nothing more on the socket, and hyper has taken all before.
    reached: bool,
    /// The body lacks something, and so will it for ever.
    short: bool,
    socket: Option<Waker>,
    body: Option<Waker>,
}

impl End {
    /// The socket is at its end. Ready once it is known that the body is not.
    pub(super) fn poll_short(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.short {
            return Poll::Ready(());
        }
        state.reached = true;
        state.socket = Some(cx.waker().clone());
        let body = state.body.take();
        drop(state);
        body.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Whether all there is has been given to the body. To be asked before the body is.
    pub(super) fn is_reached(&self) -> bool {
        self.state().reached
    }

    /// The body waits for more; `reached` is what was known before it was asked.
    pub(super) fn wait(&self, reached: bool, cx: &mut Context<'_>) {
        let mut state = self.state();
        state.short |= reached;
        let wake = match (reached, state.reached) {
            (true, _) => state.socket.take(),
            // Meanwhile: it has to be asked again.
            (false, true) => Some(cx.waker().clone()),
            (false, false) => {
                state.body = Some(cx.waker().clone());
                None
            }
        };
        drop(state);
        wake.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
