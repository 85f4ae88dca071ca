//! Sends a request to an upstream once, on a fresh connection.

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

use super::client_request::ClientRequest;
use crate::proxy::body::{AttemptBody, RequestBody};
use crate::proxy::connections::{ConnectionTask, UpstreamStream, connect};
use crate::proxy::context::ProxyContext;
use crate::proxy::headers::{self, Forwarding, MAX_HEAD_BYTES, MAX_HEADERS};
use crate::proxy::in_flight::Generation;

/// Head of an upstream's response, and the connection on which its body comes.
pub(super) struct UpstreamResponse {
    response: Response<Incoming>,
    task: ConnectionTask,
}

impl UpstreamResponse {
    pub(super) fn into_parts(self) -> (Response<Incoming>, ConnectionTask) {
        (self.response, self.task)
    }
}

/// Reason why an attempt brought no response.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The upstream did not accept the connection.
    Connect(io::Error),
    /// The upstream broke off before its response.
    BrokenOff(String),
    /// The upstream did not answer in time.
    TimedOut(Duration),
    /// The client waited for a message of a generation whose streams are released.
    Released,
}

/// Sends the request to a generation and waits for the head of its response.
pub(super) async fn send(
    context: &ProxyContext,
    request: &ClientRequest,
    generation: &Generation,
) -> Result<UpstreamResponse, AttemptError> {
    let stream = connect(generation.address()).await.map_err(AttemptError::Connect)?;
    let handshake = http1::Builder::new()
        .preserve_header_case(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // As curl and browsers do. hyper frames the message for the client anew, so no request can be
        // smuggled.
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake::<_, AttemptBody>(TokioIo::new(UpstreamStream::new(stream)));
    let (mut sender, connection) = handshake.await.map_err(broken_off)?;
    let task = ConnectionTask::new(&tokio::spawn(connection.with_upgrades()));
    let response = sender.send_request(upstream_request(context, request, generation.address()));
    tokio::pin!(response);
    tokio::select! {
        biased;
        response = &mut response => {
            let response = response.map_err(broken_off)?;
            Ok(UpstreamResponse { response, task })
        }
        limit = overdue(context.answer_timeout(), request.body()) => Err(AttemptError::TimedOut(limit)),
        () = generation.release_token().cancelled(), if request.push_transport().is_some() => {
            Err(AttemptError::Released)
        }
    }
}

/// The request as the upstream gets it.
fn upstream_request(
    context: &ProxyContext,
    request: &ClientRequest,
    upstream: SocketAddr,
) -> Request<AttemptBody> {
    let head = request.head();
    let mut upstream_request = Request::new(request.body().for_attempt());
    *upstream_request.method_mut() = head.method.clone();
    *upstream_request.uri_mut() = headers::request_target(&head.uri);
    *upstream_request.headers_mut() = headers::request_headers(
        head,
        &Forwarding {
            peer: context.adds_forwarded().then(|| request.client().peer().ip()),
            via: context.via(),
            upgrade: request.upgrade(),
            is_chunked: request.body().is_chunked(),
            may_get_script: context.has_live_reload() && headers::may_get_script(&head.headers),
        },
    );
    *upstream_request.extensions_mut() = head.extensions.clone();
    forward_interim_responses(request, upstream, &mut upstream_request);
    upstream_request
}

fn forward_interim_responses(
    request: &ClientRequest,
    upstream: SocketAddr,
    upstream_request: &mut Request<AttemptBody>,
) {
    if request.head().version != Version::HTTP_11 {
        return;
    }
    let (body, client) = (request.body().clone(), Arc::clone(request.client()));
    let head = Arc::clone(request.head());
    hyper::ext::on_informational(upstream_request, move |interim| match interim.status() {
        // hyper sends it to the client when the body is read.
        StatusCode::CONTINUE => body.continue_sending(),
        status => {
            let mut fields = interim.headers().clone();
            headers::rewrite_own_urls(&mut fields, upstream, &head);
            client.write_interim(&headers::interim_response(status, &fields));
        }
    });
}

/// Waits until the time limit has passed since the upstream got the last bytes of the request. Returns the
/// limit.
async fn overdue(limit: Option<Duration>, body: &RequestBody) -> Duration {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut last = Instant::now();
    loop {
        tokio::time::sleep_until(last + limit).await;
        match body.last_progress() {
            Some(progress) if progress > last => last = progress,
            _ => return limit,
        }
    }
}

fn broken_off(error: hyper::Error) -> AttemptError {
    AttemptError::BrokenOff(with_causes(&error))
}

/// An error with its causes, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
