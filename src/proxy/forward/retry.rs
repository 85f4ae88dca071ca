//! What follows a failed attempt: a wait for the next one, or an error response.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::AttemptError;
use super::client_request::ClientRequest;
use crate::proxy::connections::{is_listening, is_local_shortage};
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::GateView;
use crate::proxy::in_flight::Generation;
use crate::proxy::pages::ErrorResponse;

/// Maximum time for a published upstream to refuse connections. It may bind late, or has just died.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum delay between two attempts to connect.
const MIN_CONNECT_DELAY: Duration = Duration::from_millis(5);
/// Maximum delay between two attempts to connect.
const MAX_CONNECT_DELAY: Duration = Duration::from_millis(250);
/// Maximum time from the death of an upstream until the owner publishes it.
const DEATH_NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

/// The failed attempts of one request so far.
#[derive(Debug, Default)]
pub(super) struct RetryState {
    /// The request was sent to a generation that died. It is sent again only once.
    was_resent: bool,
    /// Time since when the upstream refuses connections.
    refused_since: Option<Instant>,
}

impl RetryState {
    /// Waits until the request may be sent again.
    ///
    /// # Errors
    /// The error response, if the request must not be sent again.
    pub(super) async fn wait(
        &mut self,
        context: &ProxyContext,
        request: &ClientRequest,
        error: AttemptError,
        generation: &Generation,
    ) -> Result<(), ErrorResponse> {
        match error {
            AttemptError::Connect(error) => self.wait_after_refusal(context, error, generation).await,
            AttemptError::BrokenOff(detail) => {
                self.wait_after_break(context, request, detail, generation).await
            }
            AttemptError::TimedOut(limit) => Err(ErrorResponse::TimedOut(limit)),
            AttemptError::Released => {
                context.gate().retirement_of(generation).await;
                Ok(())
            }
        }
    }

    async fn wait_after_refusal(
        &mut self,
        context: &ProxyContext,
        error: io::Error,
        generation: &Generation,
    ) -> Result<(), ErrorResponse> {
        let now = Instant::now();
        let refused_for = now.duration_since(*self.refused_since.get_or_insert(now));
        // The upstream is not at fault if devrun lacks descriptors, so the request waits like a held one.
        let is_shortage = is_local_shortage(&error);
        let timeout = if is_shortage { context.gate().hold_timeout() } else { REFUSED_TIMEOUT };
        if refused_for >= timeout {
            return Err(ErrorResponse::Unreachable(generation.address(), error));
        }
        if is_shortage {
            context.slots().request_close();
        }
        // The delay grows, so that a thousand requests to a dead server cost little.
        let delay = (MIN_CONNECT_DELAY + refused_for / 4).min(MAX_CONNECT_DELAY);
        if tokio::time::timeout(delay, context.gate().retirement_of(generation)).await.is_ok() {
            self.refused_since = None;
        }
        Ok(())
    }

    /// Sends the request to the next generation if its own has died and the request is safe to repeat (RFC
    /// 9110, 9.2.2).
    async fn wait_after_break(
        &mut self,
        context: &ProxyContext,
        request: &ClientRequest,
        detail: String,
        generation: &Generation,
    ) -> Result<(), ErrorResponse> {
        if is_listening(generation.address()).await && !generation.is_retired() {
            return Err(ErrorResponse::BrokenOff(detail, None));
        }
        let retirement = context.gate().retirement_of(generation);
        let is_retired = tokio::time::timeout(DEATH_NOTICE_TIMEOUT, retirement).await.is_ok();
        if let GateView::Down(report) = context.gate().view() {
            return Err(ErrorResponse::BrokenOff(detail, Some(report)));
        }
        let is_repeatable = request.method().is_idempotent() && !request.body().is_started();
        if !is_retired || self.was_resent || !is_repeatable {
            return Err(ErrorResponse::BrokenOff(detail, None));
        }
        self.was_resent = true;
        Ok(())
    }
}
