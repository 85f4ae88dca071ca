//! Sends a request to an upstream once, on a fresh connection, and decides what follows a failed attempt.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::handle::ClientRequest;
use crate::proxy::body::{AttemptBody, RequestBody};
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::GateView;
use crate::proxy::headers::{self, Forwarding, MAX_HEAD_BYTES, MAX_HEADERS};
use crate::proxy::in_flight::Generation;
use crate::proxy::pages::ErrorResponse;
use crate::proxy::upstream::{ConnectionTask, UpstreamStream, connect, is_listening, is_local_shortage};
use crate::tls;

/// Maximum time for a published upstream to refuse connections. It may bind late, or has just died.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum delay between two attempts to connect.
const MIN_CONNECT_DELAY: Duration = Duration::from_millis(5);
/// Maximum delay between two attempts to connect.
const MAX_CONNECT_DELAY: Duration = Duration::from_millis(250);
/// Maximum time from the death of an upstream until the owner publishes it.
const DEATH_NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reason why an attempt brought no response.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The upstream did not accept the connection.
    Connect(io::Error),
    /// The upstream broke off before its response.
    BrokenOff(String),
    /// The upstream answers in TLS only.
    ExpectsTls,
    /// The upstream did not answer in time.
    TimedOut(Duration),
    /// The client waited for a message of a generation whose streams are released, or for the response of a
    /// generation that has drained.
    Released,
}

/// Sends the request to a generation. Returns its response, and the connection on which the body comes. `may_move`:
/// the request is given up when the generation gets no new requests.
pub(super) async fn send(
    context: &ProxyContext,
    request: &ClientRequest,
    generation: &Generation,
    may_move: bool,
) -> Result<(Response<Incoming>, ConnectionTask), AttemptError> {
    let stream = connect(generation.address).await.map_err(AttemptError::Connect)?;
    let handshake = http1::Builder::new()
        .preserve_header_case(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // curl and browsers accept these faults too. hyper frames the message for the client anew, so no
        // request can be smuggled.
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake::<_, AttemptBody>(TokioIo::new(UpstreamStream::new(stream)));
    let (mut sender, connection) = handshake.await.map_err(broken_off)?;
    let task = ConnectionTask::new(tokio::spawn(connection.with_upgrades()));
    let response = sender.send_request(upstream_request(context, request, generation.address));
    tokio::pin!(response);
    tokio::select! {
        biased;
        response = &mut response => {
            let response = response.map_err(broken_off)?;
            if refuses_plain_http(generation, response.status()).await {
                return Err(AttemptError::ExpectsTls);
            }
            Ok((response, task))
        }
        limit = overdue(context.options.answer_timeout, &request.body) => Err(AttemptError::TimedOut(limit)),
        () = generation.release().cancelled(), if request.push_transport.is_some() => {
            Err(AttemptError::Released)
        }
        () = context.gate.retirement_of(generation), if may_move && request.is_repeatable() => {
            Err(AttemptError::Released)
        }
    }
}

/// Whether this is the answer of a TLS server to plain HTTP. nginx, Apache and Go answer 400 to every such request.
async fn refuses_plain_http(generation: &Generation, status: StatusCode) -> bool {
    let is_known = status != StatusCode::BAD_REQUEST || generation.speaks_http();
    let expects_tls = !is_known && tls::is_expected_at(generation.address).await;
    if !expects_tls {
        generation.set_speaks_http();
    }
    expects_tls
}

/// The request as the upstream gets it.
fn upstream_request(
    context: &ProxyContext,
    request: &ClientRequest,
    upstream: SocketAddr,
) -> Request<AttemptBody> {
    let head = &request.head;
    let mut upstream_request = Request::new(request.body.for_attempt());
    *upstream_request.method_mut() = head.method.clone();
    *upstream_request.uri_mut() = headers::request_target(&head.uri);
    *upstream_request.headers_mut() = headers::request_headers(
        head,
        &Forwarding {
            peer: context.options.forwarded.then(|| request.client.peer.ip()),
            via: &context.via,
            upgrade: request.upgrade.as_ref(),
            is_chunked: request.body.is_chunked(),
            may_get_script: context.options.live_reload && headers::may_get_script(&head.headers),
        },
    );
    *upstream_request.extensions_mut() = head.extensions.clone();
    if head.version != Version::HTTP_11 {
        return upstream_request;
    }
    let (body, client, head) = (Arc::clone(&request.body), Arc::clone(&request.client), Arc::clone(head));
    hyper::ext::on_informational(&mut upstream_request, move |interim| match interim.status() {
        // hyper sends it to the client when the body is read.
        StatusCode::CONTINUE => body.proceed(),
        status => {
            let mut fields = interim.headers().clone();
            headers::rewrite_own_urls(&mut fields, upstream, &head);
            client.write_interim(&headers::interim_response(status, &fields));
        }
    });
    upstream_request
}

/// Waits until the time limit has passed since the upstream got the last bytes of the request. Returns the
/// limit.
async fn overdue(limit: Option<Duration>, body: &RequestBody) -> Duration {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut last = Instant::now();
    loop {
        tokio::time::sleep_until(last + limit).await;
        let progress = body.progress().last;
        if progress <= last {
            return limit;
        }
        last = progress;
    }
}

fn broken_off(error: hyper::Error) -> AttemptError {
    let causes = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
    AttemptError::BrokenOff(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

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
            AttemptError::ExpectsTls => Err(ErrorResponse::ExpectsTls(generation.address)),
            AttemptError::TimedOut(limit) => Err(ErrorResponse::TimedOut(limit)),
            AttemptError::Released => {
                context.gate.retirement_of(generation).await;
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
        let timeout = if is_shortage { context.options.hold_timeout } else { REFUSED_TIMEOUT };
        if refused_for >= timeout {
            return Err(ErrorResponse::Unreachable(generation.address, error));
        }
        if is_shortage {
            context.slots.request_close();
        }
        // The delay grows, so that a thousand requests to a dead server cost little.
        let delay = (MIN_CONNECT_DELAY + refused_for / 4).min(MAX_CONNECT_DELAY);
        if tokio::time::timeout(delay, context.gate.retirement_of(generation)).await.is_ok() {
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
        if is_listening(generation.address).await && !generation.is_retired() {
            // Most TLS servers close the connection, or send an alert.
            if !generation.speaks_http() && tls::is_expected_at(generation.address).await {
                return Err(ErrorResponse::ExpectsTls(generation.address));
            }
            return Err(ErrorResponse::BrokenOff(detail, None));
        }
        let retirement = context.gate.retirement_of(generation);
        let is_retired = tokio::time::timeout(DEATH_NOTICE_TIMEOUT, retirement).await.is_ok();
        if let GateView::Down(report) = context.gate.view() {
            return Err(ErrorResponse::BrokenOff(detail, Some(report)));
        }
        if !is_retired || self.was_resent || !request.is_repeatable() {
            return Err(ErrorResponse::BrokenOff(detail, None));
        }
        self.was_resent = true;
        Ok(())
    }
}
