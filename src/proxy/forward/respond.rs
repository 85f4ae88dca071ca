//! Turns the upstream's response into the client's.

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::http::response;
use hyper::{Method, Response, StatusCode, Version};

use super::attempt::UpstreamResponse;
use super::client_request::ClientRequest;
use crate::proxy::body::{AnyBody, BodyEnd, ResponseBody};
use crate::proxy::connections::ConnectionTask;
use crate::proxy::context::ProxyContext;
use crate::proxy::headers;
use crate::proxy::in_flight::InFlightGuard;
use crate::proxy::pages::{ErrorResponse, inject, live_reload};
use crate::proxy::upgrade::{Protocol, Tunnel};

/// The upstream's response as the client gets it.
///
/// # Errors
/// [`ErrorResponse::BrokenOff`] if the response cannot be forwarded.
pub(super) fn to_client(
    context: &ProxyContext,
    request: &mut ClientRequest,
    response: UpstreamResponse,
    in_flight: InFlightGuard,
) -> Result<Response<AnyBody>, ErrorResponse> {
    let (response, task) = response.into_parts();
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return open_tunnel(context, request, response, in_flight, task);
    }
    let (mut head, body) = response.into_parts();
    let has_body = headers::has_body(request.method(), head.status);
    let end = body_end(&head.headers, has_body);
    adapt_headers(&mut head.headers, request, body.size_hint().exact().filter(|_| has_body))?;
    headers::rewrite_own_urls(&mut head.headers, in_flight.generation().address(), request.head());
    head.version = Version::HTTP_11;
    let mut body = ResponseBody::new(body, in_flight, task, end, Arc::clone(request.client()));
    if headers::is_endless(request.push_transport(), &head.headers) {
        body.become_stream();
    } else if request.push_transport().is_some() {
        body.become_finite();
    }
    if has_body || *request.method() == Method::HEAD {
        inject_script(context, request, &mut head, &mut body);
    }
    if request.head().version == Version::HTTP_10 && !head.headers.contains_key(CONTENT_LENGTH) {
        body.set_client_needs_close();
    }
    Ok(Response::from_parts(head, AnyBody::upstream(body)))
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
    let closes = request.body().is_unread() && headers::closes_connection(headers);
    headers::strip_hop_by_hop(headers)
        .map_err(|_| broken_off("its answer has a transfer coding besides chunked"))?;
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

/// Appends the script tag of live reload to a page. The response to HEAD has the headers of that page.
fn inject_script(
    context: &ProxyContext,
    request: &ClientRequest,
    head: &mut response::Parts,
    body: &mut ResponseBody,
) {
    if !context.has_live_reload() || !headers::may_get_script(&request.head().headers) {
        return;
    }
    match inject::script_nonce(head.status, &head.headers) {
        Ok(nonce) => {
            let page_id = context.page_id(body.generation());
            let tag = live_reload::script_tag(&page_id, request.method(), nonce.as_deref());
            inject::adjust_headers(&mut head.headers, tag.len());
            if *request.method() != Method::HEAD {
                body.append(tag);
            }
        }
        Err(inject::Skip::Policy) => {
            tracing::debug!(
                request = %request.line(),
                "no live reload: the page's Content-Security-Policy forbids it"
            );
        }
        Err(inject::Skip::NotAPage) => {}
    }
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
    let (Some(client), Some(protocol_name)) = (request.take_upgrade(), protocol) else {
        return Err(broken_off("it switched protocols unasked"));
    };
    in_flight.become_stream();
    let is_websocket = protocol_name.as_bytes().eq_ignore_ascii_case(b"websocket");
    let protocol = if is_websocket { Protocol::WebSocket } else { Protocol::Other };
    // A response that switches protocols has no body, so its transfer coding does not matter.
    let _ = headers::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers.insert(UPGRADE, protocol_name);
    head.version = Version::HTTP_11;
    let tunnel = Tunnel::new(client, upstream, in_flight, task, protocol);
    context.tasks().spawn(tunnel.run(context.kill_token().clone()));
    Ok(Response::from_parts(head, AnyBody::empty()))
}

fn broken_off(detail: &str) -> ErrorResponse {
    ErrorResponse::BrokenOff(detail.to_owned(), None)
}
