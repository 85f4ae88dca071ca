//! Live reload: devrun's own paths, and the script tag that HTML responses get.
//!
//! The tag is appended behind the page, where every browser runs it, so the body need not be searched.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
};
use hyper::http::{request, response};
use hyper::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::error_response::{ErrorResponse, json_string, own_response, report_page};
use crate::GenerationId;
use crate::proxy::body::{AnyBody, full, streamed};
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::GateView;
use crate::proxy::headers::{self, media_type};
use crate::proxy::in_flight::RequestLine;

/// Prefix of devrun's own paths, which never reach the upstream.
const PREFIX: &str = "/__devrun/";
/// Interval at which an event stream looks whether a drain has ended.
const DRAIN_RECHECK_INTERVAL: Duration = Duration::from_millis(100);
const SCRIPT: &str = include_str!("assets/client.js");

/// Answers a request for one of devrun's own paths; `None` if the path is the upstream's.
pub(crate) fn answer(
    context: &Arc<ProxyContext>,
    head: &request::Parts,
) -> Option<Result<Response<AnyBody>, ErrorResponse>> {
    Some(own_path(context, head)?.and_then(|path| match path {
        "client.js" => Ok(script()),
        "events" => Ok(state_events(Arc::clone(context))),
        "report" => Ok(report_page(context)),
        _ => Err(ErrorResponse::NoSuchPath(head.uri.path().to_owned())),
    }))
}

/// The part behind the prefix of one of devrun's own paths; `None` if the path is the upstream's.
pub(crate) fn own_path<'a>(
    context: &ProxyContext,
    head: &'a request::Parts,
) -> Option<Result<&'a str, ErrorResponse>> {
    let path = head.uri.path().strip_prefix(PREFIX)?;
    let host = match head.uri.authority() {
        Some(host) => Some(host.as_str()),
        None => headers::text(&head.headers, HOST.as_str()),
    };
    let host = host.unwrap_or_default();
    Some(if !context.is_allowed_host(host) {
        Err(ErrorResponse::ForbiddenHost(host.to_owned()))
    } else if !matches!(head.method, Method::GET | Method::HEAD) {
        Err(ErrorResponse::ReadOnly(head.uri.path().to_owned()))
    } else {
        Ok(path)
    })
}

/// The response with the script of live reload.
pub(crate) fn script() -> Response<AnyBody> {
    own_response(StatusCode::OK, "text/javascript; charset=utf-8", full(SCRIPT))
}

/// The response with an event stream, whose events `task` sends.
pub(crate) fn event_stream<F>(task: impl FnOnce(mpsc::Sender<Bytes>) -> F) -> Response<AnyBody>
where
    F: Future<Output = ()> + Send + 'static,
{
    own_response(StatusCode::OK, "text/event-stream", streamed(task))
}

/// An event stream with the gate's state: one event at first, and one for each change. There are no keep-alive
/// comments, so an idle page costs nothing.
fn state_events(context: Arc<ProxyContext>) -> Response<AnyBody> {
    event_stream(|events| async move {
        let mut version = context.gate.subscribe();
        let mut last_sent = None;
        while !context.gate.is_closed() {
            let view = context.gate.view();
            if last_sent.as_ref() != Some(&view) {
                let retry = if last_sent.is_none() { "retry: 500\n" } else { "" };
                let event = format!("{retry}{}", state_event(&context, &view));
                last_sent = Some(view);
                if events.send(event.into()).await.is_err() {
                    return;
                }
            }
            let is_draining = matches!(last_sent, Some(GateView::Ready { is_draining: true, .. }));
            let recheck = if is_draining { DRAIN_RECHECK_INTERVAL } else { Duration::MAX };
            if let Ok(Err(_)) = tokio::time::timeout(recheck, version.changed()).await {
                return;
            }
        }
    })
}

/// One event: the state, the page identity of the serving generation, and the text of the banner.
fn state_event(context: &ProxyContext, view: &GateView) -> String {
    let (state, page_id, banner) = match view {
        GateView::Starting => ("starting", None, None),
        GateView::Ready { generation, banner, is_draining } => {
            // Scripts reload their page only at "ready".
            let state = if *is_draining { "draining" } else { "ready" };
            let banner = banner
                .as_ref()
                .map(|report| format!("The old code serves on: the new one {}", report.headline));
            (state, Some(context.page_id(*generation)), banner)
        }
        GateView::Down(report) => {
            ("down", None, Some(format!("The server is not running: it {}", report.headline)))
        }
    };
    let page_id = page_id.map_or("null".to_owned(), |page_id| json_string(&page_id));
    let banner = banner.map_or("null".to_owned(), |text| format!("{{\"text\": {}}}", json_string(&text)));
    format!("event: state\ndata: {{\"state\": \"{state}\", \"id\": {page_id}, \"banner\": {banner}}}\n\n")
}

/// Corrects the headers of a page for the script tag of live reload, and returns the tag; `None` for a response
/// that gets none.
///
/// By the page's identity the script knows which code is newer than the page, however long the page took to
/// load.
pub(crate) fn prepare_page(
    context: &ProxyContext,
    request: &request::Parts,
    generation: GenerationId,
    head: &mut response::Parts,
) -> Option<Bytes> {
    let may_get_script = context.options.live_reload && headers::may_get_script(&request.headers);
    if !may_get_script || !is_complete_page(head.status, &head.headers) {
        return None;
    }
    let Some(nonce) = script_nonce(&head.headers) else {
        let request = RequestLine::new(request);
        tracing::debug!(%request, "no live reload: the page's Content-Security-Policy forbids it");
        return None;
    };
    let nonce = if nonce.is_empty() { String::new() } else { format!(" nonce=\"{nonce}\"") };
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let method = if is_read { "" } else { " data-method=\"POST\"" };
    let page_id = context.page_id(generation);
    let tag = format!("<script src=\"/__devrun/client.js\" data-id=\"{page_id}\"{method}{nonce}></script>");
    let length = head.headers.remove(CONTENT_LENGTH);
    if let Some(length) = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok()) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length + tag.len() as u64));
    }
    for digest in ["etag", "content-md5", "digest", "content-digest", "repr-digest"] {
        head.headers.remove(digest);
    }
    Some(tag.into())
}

/// The nonce with which all policies of a page let the script run: empty if the script needs none, `None` if
/// they forbid the script.
fn script_nonce(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(CONTENT_SECURITY_POLICY).iter();
    let policies = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    let mut nonces = policies.map(policy_nonce).collect::<Option<Vec<_>>>()?;
    nonces.retain(|nonce| !nonce.is_empty());
    nonces.dedup();
    match nonces[..] {
        [] => Some(""),
        [nonce] => Some(nonce),
        _ => None,
    }
}

fn is_complete_page(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_complete = !status.is_informational()
        && !status.is_redirection()
        && !matches!(status.as_u16(), 204..=206)
        && !headers.contains_key(CONTENT_RANGE);
    let is_empty = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
    let is_html = media_type(headers).eq_ignore_ascii_case("text/html");
    // No ASCII text can be appended to UTF-16.
    let content_type = headers::text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_utf16 = content_type.to_ascii_lowercase().contains("utf-16");
    let is_encoded = is_utf16 || headers.contains_key(CONTENT_ENCODING);
    is_complete && !is_empty && is_html && !is_attachment(headers) && !is_encoded
}

/// Whether the browser saves the response as a file, which must stay as the server sent it.
fn is_attachment(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_DISPOSITION).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    !kind.is_empty() && !kind.eq_ignore_ascii_case(b"inline")
}

/// The nonce with which a policy lets a script of the page's own origin run and connect to that origin
/// (Content Security Policy Level 3). Empty if the script needs none; `None` if the policy forbids the
/// script.
fn policy_nonce(policy: &str) -> Option<&str> {
    let directive = |name: &str| {
        let mut directives = policy.split(';').map(str::split_ascii_whitespace);
        directives.find_map(|mut words| words.next()?.eq_ignore_ascii_case(name).then_some(words))
    };
    let first = |names: &[&str]| names.iter().find_map(|name| directive(name));
    let may_connect = first(&["connect-src", "default-src"]).is_none_or(has_self);
    let may_run = directive("sandbox")
        .is_none_or(|mut words| words.any(|word| word.eq_ignore_ascii_case("allow-scripts")));
    if !may_connect || !may_run {
        return None;
    }
    let Some(mut scripts) = first(&["script-src-elem", "script-src", "default-src"]) else { return Some("") };
    // With it, a browser runs only scripts with a nonce, and scripts that such scripts load.
    let is_strict = scripts.clone().any(|source| source.eq_ignore_ascii_case("'strict-dynamic'"));
    if !is_strict && has_self(scripts.clone()) { Some("") } else { scripts.find_map(parse_nonce) }
}

/// Whether a list of sources allows the page's own origin.
fn has_self<'a>(mut sources: impl Iterator<Item = &'a str>) -> bool {
    sources.any(|source| {
        source == "*" || ["'self'", "http:"].iter().any(|known| source.eq_ignore_ascii_case(known))
    })
}

/// The value in `'nonce-…'`, if it is safe in an HTML attribute.
fn parse_nonce(source: &str) -> Option<&str> {
    let (name, value) = source.strip_prefix('\'')?.strip_suffix('\'')?.split_once('-')?;
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"+/_-=".contains(&letter);
    let is_one = name.eq_ignore_ascii_case("nonce") && !value.is_empty() && value.bytes().all(fits);
    is_one.then_some(value)
}
