//! The story of one request, from its arrival to its response.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response};

use super::client_request::ClientRequest;
use super::retry::RetryState;
use super::{attempt, respond};
use crate::GenerationId;
use crate::proxy::body::AnyBody;
use crate::proxy::connections::{BusyGuard, ClientConnection};
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::GateView;
use crate::proxy::headers;
use crate::proxy::in_flight::InFlightGuard;
use crate::proxy::pages::{ErrorResponse, PageOrigin, live_reload};

/// The client has left, so there is no one to answer.
#[derive(Debug, thiserror::Error)]
#[error("the client has left")]
pub(in crate::proxy) struct ClientGone;

/// Answers one request: with the upstream's response, or with one of devrun.
///
/// # Errors
/// [`ClientGone`] if the client left while its request was held, or broke off in its body.
pub(in crate::proxy) async fn handle(
    context: Arc<ProxyContext>,
    client: Arc<ClientConnection>,
    request: Request<Incoming>,
) -> Result<Response<AnyBody>, ClientGone> {
    let busy = BusyGuard::new(&client);
    let request = ClientRequest::new(client, request);
    let mut forwarder = Forwarder { context, request, last_generation: None };
    let response = match forwarder.run().await {
        Ok(response) => response,
        Err(Failure::ClientGone) => return Err(ClientGone),
        Err(Failure::Error(error)) => forwarder.error_response(&error),
    };
    Ok(response.map(|body| body.keep_busy(busy)))
}

/// Reason why a request gets no response from an upstream.
enum Failure {
    ClientGone,
    Error(ErrorResponse),
}

impl From<ErrorResponse> for Failure {
    fn from(error: ErrorResponse) -> Self {
        Self::Error(error)
    }
}

/// Forwards one request.
struct Forwarder {
    context: Arc<ProxyContext>,
    request: ClientRequest,
    /// The generation of the last attempt.
    last_generation: Option<GenerationId>,
}

impl Forwarder {
    async fn run(&mut self) -> Result<Response<AnyBody>, Failure> {
        headers::validate(self.request.head()).map_err(ErrorResponse::Invalid)?;
        if let Some(own) = live_reload::answer(&self.context, self.request.head()) {
            return Ok(own?);
        }
        if headers::is_loop(&self.request.head().headers, self.context.via()) {
            return Err(ErrorResponse::Loop.into());
        }
        let mut retries = RetryState::default();
        loop {
            let mut in_flight = self.admit().await?;
            if self.request.push_transport().is_some() {
                in_flight.become_stream();
            }
            let generation = Arc::clone(in_flight.generation());
            let (line, id, address) = (self.request.line(), generation.id(), generation.address());
            tracing::debug!(request = %line, generation = %id, %address, "forwarded");
            let error = match attempt::send(&self.context, &self.request, &generation).await {
                Ok(response) => {
                    let response = respond::to_client(&self.context, &mut self.request, response, in_flight)?;
                    return Ok(response);
                }
                Err(error) => error,
            };
            tracing::debug!(request = %line, generation = %id, ?error, "upstream attempt failed");
            // A request that waits for the next generation must not delay the drain of this one.
            drop(in_flight);
            if self.request.body().is_broken() {
                return Err(Failure::ClientGone);
            }
            retries.wait(&self.context, &self.request, error, &generation).await?;
        }
    }

    /// Waits until the gate admits the request to a generation.
    ///
    /// While a body is unread, hyper does not read, so it would not notice that the client leaves.
    async fn admit(&mut self) -> Result<InFlightGuard, Failure> {
        let in_flight = tokio::select! {
            biased;
            admitted = self.context.gate().admit(self.request.line()) => {
                admitted.map_err(ErrorResponse::Rejected)?
            }
            () = self.request.client().peer_closed(), if !self.request.body().is_empty() => {
                return Err(Failure::ClientGone);
            }
        };
        self.last_generation = Some(in_flight.generation().id());
        Ok(in_flight)
    }

    fn error_response(&self, error: &ErrorResponse) -> Response<AnyBody> {
        self.context.events().send_lossy(error.event(self.request.line()));
        let page_id = self.page_generation(error).map(|generation| self.context.page_id(generation));
        let origin = PageOrigin::Proxy(page_id.as_deref().unwrap_or_default());
        let mut response = error.response(self.request.is_navigation(), origin);
        let is_invalid = matches!(error, ErrorResponse::Invalid(_));
        if is_invalid {
            self.request.client().set_unread_request();
        }
        if is_invalid || self.request.body().is_unread() {
            // The rest of the request is discarded, and its connection closed. Behind an invalid request, such
            // as CONNECT, the next bytes need not be a request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The generation that an error page belongs to: the page reloads once another generation serves. Without
    /// one, any generation counts as another.
    fn page_generation(&self, error: &ErrorResponse) -> Option<GenerationId> {
        match (error, self.context.gate().view()) {
            (ErrorResponse::Rejected(_), _) => None,
            (_, GateView::Ready { generation, .. }) => Some(self.last_generation.unwrap_or(generation)),
            _ => self.last_generation,
        }
    }
}
