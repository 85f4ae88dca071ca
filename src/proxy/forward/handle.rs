//! One request from its arrival to its response.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::request;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, Version};

use super::attempt::{self, RetryState};
use super::respond;
use crate::GenerationId;
use crate::proxy::body::{AnyBody, RequestBody};
use crate::proxy::client::ClientConnection;
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::GateView;
use crate::proxy::headers::{self, PushTransport};
use crate::proxy::in_flight::{InFlightGuard, RequestLine};
use crate::proxy::pages::{ErrorResponse, PageOrigin, live_reload};

/// Answers one request: with the upstream's response, or with one of devrun.
///
/// # Errors
/// If the client left while its request was held, or broke off in its body.
pub(crate) async fn handle(
    context: Arc<ProxyContext>,
    client: Arc<ClientConnection>,
    request: Request<Incoming>,
) -> io::Result<Response<AnyBody>> {
    let request = ClientRequest::new(client, request);
    let mut forwarder = Forwarder { context, request, last_generation: None };
    match forwarder.run().await {
        Ok(response) => Ok(response),
        Err(Some(error)) => Ok(forwarder.error_response(&error)),
        Err(None) => Err(io::Error::other("the client has left")),
    }
}

/// A request as it came from the client. It can be sent to an upstream more than once.
pub(super) struct ClientRequest {
    pub client: Arc<ClientConnection>,
    pub line: RequestLine,
    pub head: Arc<request::Parts>,
    pub body: Arc<RequestBody>,
    /// How the server sends its messages to the client by this request, if it does.
    pub push_transport: Option<PushTransport>,
    /// Protocol to which the client wants to upgrade.
    pub upgrade: Option<HeaderValue>,
    /// The client's side of the upgrade, if the client asked for one.
    pub on_upgrade: Option<OnUpgrade>,
}

impl ClientRequest {
    fn new(client: Arc<ClientConnection>, mut request: Request<Incoming>) -> Self {
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let expects_continue = head.version == Version::HTTP_11
            && headers::text(&head.headers, "expect")
                .is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue"));
        let body = RequestBody::new(body, &client, expects_continue);
        let upgrade = headers::requested_upgrade(&head).cloned();
        Self {
            client,
            line: RequestLine::new(&head),
            push_transport: PushTransport::of(&head).filter(|_| body.is_empty()),
            body,
            head: Arc::new(head),
            on_upgrade: upgrade.is_some().then_some(on_upgrade),
            upgrade,
        }
    }

    /// Whether it can be sent again to another generation (RFC 9110, 9.2.2).
    pub(super) fn is_repeatable(&self) -> bool {
        self.head.method.is_idempotent() && !self.body.progress().is_started
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
    /// # Errors
    /// The error response, or `None` if the client has left.
    async fn run(&mut self) -> Result<Response<AnyBody>, Option<ErrorResponse>> {
        let head = &self.request.head;
        headers::validate(head).map_err(ErrorResponse::Invalid)?;
        if let Some(own) = live_reload::answer(&self.context, head) {
            return Ok(own?);
        }
        if headers::is_loop(&head.headers, &self.context.via) {
            return Err(ErrorResponse::Loop.into());
        }
        let mut retries = RetryState::default();
        loop {
            let mut in_flight = self.admit().await?;
            if self.request.push_transport.is_some() {
                in_flight.become_stream();
            }
            let generation = Arc::clone(&in_flight.generation);
            let (line, id, address) = (&self.request.line, generation.id, generation.address);
            tracing::debug!(request = %line, generation = %id, %address, "forwarded");
            let may_move = in_flight.is_late() && self.request.is_repeatable();
            let error = match attempt::send(&self.context, &self.request, &generation, may_move).await {
                Ok(response) => {
                    return Ok(respond::to_client(&self.context, &mut self.request, response, in_flight)?);
                }
                Err(error) => error,
            };
            tracing::debug!(request = %line, generation = %id, ?error, "upstream attempt failed");
            // A request that waits for the next generation must not delay the drain of this one.
            drop(in_flight);
            if self.request.body.progress().is_broken {
                return Err(None);
            }
            retries.wait(&self.context, &self.request, error, &generation).await?;
        }
    }

    /// Waits until the gate admits the request to a generation.
    ///
    /// While a body is unread, hyper does not read, so it would not notice that the client leaves.
    async fn admit(&mut self) -> Result<InFlightGuard, Option<ErrorResponse>> {
        let in_flight = tokio::select! {
            biased;
            admitted = self.context.gate.admit(&self.request.line) => {
                admitted.map_err(ErrorResponse::Rejected)?
            }
            () = self.request.client.peer_closed(), if !self.request.body.is_empty() => {
                return Err(None);
            }
        };
        self.last_generation = Some(in_flight.generation.id);
        Ok(in_flight)
    }

    fn error_response(&self, error: &ErrorResponse) -> Response<AnyBody> {
        self.context.events.send_lossy(error.event(&self.request.line));
        let page_id = self.page_generation(error).map(|generation| self.context.page_id(generation));
        let origin = PageOrigin::Proxy(page_id.as_deref().unwrap_or_default());
        let mut response = error.response(headers::is_navigation(&self.request.head.headers), origin);
        let is_invalid = matches!(error, ErrorResponse::Invalid(_));
        if is_invalid {
            self.request.client.set_unread_request();
        }
        if is_invalid || !self.request.body.progress().is_ended {
            // The rest of the request is discarded, and its connection closed. Behind an invalid request, such
            // as CONNECT, the next bytes need not be a request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The generation that an error page belongs to: the page reloads once another generation serves. Without
    /// one, any generation counts as another.
    fn page_generation(&self, error: &ErrorResponse) -> Option<GenerationId> {
        match (error, self.context.gate.view()) {
            (ErrorResponse::Rejected(_), _) => None,
            (_, GateView::Ready { generation, .. }) => Some(self.last_generation.unwrap_or(generation)),
            _ => self.last_generation,
        }
    }
}
