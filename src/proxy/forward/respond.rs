//! Turns the upstream's response into the client's.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::{Method, Response, StatusCode, Version};

use super::handle::ClientRequest;
use crate::proxy::body::{AnyBody, BodyEnd, ResponseBody, full};
use crate::proxy::context::ProxyContext;
use crate::proxy::headers;
use crate::proxy::in_flight::InFlightGuard;
use crate::proxy::pages::{ErrorResponse, live_reload};
use crate::proxy::upgrade::{self, FrameBoundary};
use crate::proxy::upstream::ConnectionTask;

/// The upstream's response as the client gets it.
///
/// # Errors
/// [`ErrorResponse::BrokenOff`] if the response cannot be forwarded.
pub(super) fn to_client(
    context: &ProxyContext,
    request: &mut ClientRequest,
    (response, task): (Response<Incoming>, ConnectionTask),
    mut in_flight: InFlightGuard,
) -> Result<Response<AnyBody>, ErrorResponse> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return open_tunnel(context, request, response, in_flight, task);
    }
    let (mut head, body) = response.into_parts();
    let has_body = headers::has_body(&request.head.method, head.status);
    let end = body_end(&head.headers, has_body);
    adapt_headers(&mut head.headers, request, body.size_hint().exact().filter(|_| has_body))?;
    headers::rewrite_own_urls(&mut head.headers, in_flight.generation.address, &request.head);
    head.version = Version::HTTP_11;
    let is_endless = headers::is_endless(request.push_transport, &head.headers);
    if request.push_transport.is_some() && !is_endless {
        // The request was taken for a stream or a long poll until now.
        in_flight.become_finite();
    }
    let is_page = has_body || request.head.method == Method::HEAD;
    let generation = in_flight.generation.id;
    let tag = is_page.then(|| live_reload::prepare_page(context, &request.head, generation, &mut head));
    // The response to HEAD has the headers of the page with the tag.
    let tag = tag.flatten().filter(|_| has_body);
    let client = Arc::clone(&request.client);
    let mut body = ResponseBody::new(body, in_flight, task, end, client).with_appendix(tag);
    if is_endless {
        body.become_stream();
    }
    if request.head.version == Version::HTTP_10 && !head.headers.contains_key(CONTENT_LENGTH) {
        body.end_by_close();
    }
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// How the end of the body shows that it is complete (RFC 9112, 6.3). Reads the headers as the upstream sent
/// them.
fn body_end(headers: &HeaderMap, has_body: bool) -> BodyEnd {
    // hyper ignores the length beside a transfer coding, as RFC 9112 demands.
    let has_coding = headers.contains_key(TRANSFER_ENCODING);
    let is_framed = headers::is_chunked(headers) || (headers.contains_key(CONTENT_LENGTH) && !has_coding);
    if is_framed || !has_body { BodyEnd::Framed } else { BodyEnd::Close }
}

/// Replaces the headers of the upstream's connection by headers for the client's connection.
fn adapt_headers(
    headers: &mut HeaderMap,
    request: &ClientRequest,
    body_length: Option<u64>,
) -> Result<(), ErrorResponse> {
    // The upstream does not read the rest of the request, so no further request can follow on this
    // connection.
    let closes = !request.body.progress().is_ended && headers::has_token(headers, CONNECTION, "close");
    if headers::has_unknown_coding(headers) {
        return Err(broken_off("its answer has a transfer coding besides chunked"));
    }
    headers::strip_hop_by_hop(headers);
    if let Some(length) = body_length
        && headers.contains_key(CONTENT_LENGTH)
    {
        // hyper accepts `5, 5` and two headers `5` as 5. The client gets one value.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if headers::is_too_large(headers) {
        return Err(broken_off("the head of its answer is too large"));
    }
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(())
}

/// Connects both sides of an upgrade, and returns the response that confirms it.
fn open_tunnel(
    context: &ProxyContext,
    request: &mut ClientRequest,
    mut response: Response<Incoming>,
    mut in_flight: InFlightGuard,
    task: ConnectionTask,
) -> Result<Response<AnyBody>, ErrorResponse> {
    let upstream = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    let protocol = head.headers.get(UPGRADE).cloned();
    let (Some(client), Some(protocol)) = (request.on_upgrade.take(), protocol) else {
        return Err(broken_off("it switched protocols unasked"));
    };
    in_flight.become_stream();
    headers::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    head.headers.insert(UPGRADE, protocol);
    head.version = Version::HTTP_11;
    let frames = is_websocket.then(FrameBoundary::default);
    let kill = context.kill.clone();
    context.tasks.spawn(async move {
        let copied = upgrade::copy(client, upstream, in_flight, task, frames);
        if let Some(Err(error)) = kill.run_until_cancelled(copied).await {
            tracing::debug!(%error, "upgraded connection failed");
        }
    });
    Ok(Response::from_parts(head, full("")))
}

fn broken_off(detail: &str) -> ErrorResponse {
    ErrorResponse::BrokenOff(detail.to_owned(), None)
}
