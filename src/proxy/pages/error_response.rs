//! Every error response of devrun: a page for a browser's navigation, JSON for all other clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::ansi_html;
use super::page::{Page, PageOrigin, RetryHint};
use crate::Remedy;
use crate::proxy::body::AnyBody;
use crate::proxy::connections::is_local_shortage;
use crate::proxy::event::Event;
use crate::proxy::gate::Rejection;
use crate::proxy::headers::InvalidRequest;
use crate::proxy::in_flight::RequestLine;
use crate::proxy::upstream::FailureReport;

const NOT_RUNNING: &str = "the server is not running";
/// Maximum number of output lines in a JSON response.
const MAX_JSON_OUTPUT_LINES: usize = 40;
/// Content-Security-Policy of devrun's pages.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                           worker-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// Reason why devrun answers a request itself.
#[derive(Debug)]
pub(in crate::proxy) enum ErrorResponse {
    /// The gate rejected the request.
    Rejected(Rejection),
    /// The upstream does not accept connections.
    Unreachable(SocketAddr, io::Error),
    /// The upstream broke off before its response, or sent one that cannot be forwarded; with the report if
    /// its generation failed.
    BrokenOff(String, Option<Arc<FailureReport>>),
    /// The upstream did not answer in time.
    TimedOut(Duration),
    /// The request has passed this proxy before.
    Loop,
    /// The request cannot be forwarded.
    Invalid(InvalidRequest),
    /// A request for one of devrun's own paths under a host name that is not allowed.
    ForbiddenHost(String),
    /// A request below devrun's own prefix for a path that does not exist.
    NoSuchPath(String),
    /// A request for one of devrun's own paths with a method other than `GET` and `HEAD`.
    ReadOnly(String),
}

/// Text of an error response.
struct Text {
    title: &'static str,
    detail: String,
    report: Option<Arc<FailureReport>>,
}

impl ErrorResponse {
    fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_, error) if is_local_shortage(error) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable(_, error) if error.kind() == io::ErrorKind::TimedOut => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Unreachable(..) | Self::BrokenOff(..) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Invalid(InvalidRequest::Connect) | Self::ReadOnly(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(InvalidRequest::TooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Invalid(InvalidRequest::TransferCoding) => StatusCode::NOT_IMPLEMENTED,
            Self::Invalid(InvalidRequest::Host | InvalidRequest::Target) => StatusCode::BAD_REQUEST,
            Self::ForbiddenHost(_) => StatusCode::FORBIDDEN,
            Self::NoSuchPath(_) => StatusCode::NOT_FOUND,
        }
    }

    fn text(&self) -> Text {
        let text = |title, detail: String| Text { title, detail, report: None };
        match self {
            Self::Rejected(rejection) => rejection_text(rejection),
            Self::Unreachable(_, error) if is_local_shortage(error) => {
                text("devrun cannot open another connection", error.to_string())
            }
            Self::Unreachable(address, error) => {
                text("the server does not accept connections", format!("{address}: {error}"))
            }
            Self::BrokenOff(detail, report) => {
                let report = report.clone();
                Text { title: "the server broke off before it answered", detail: detail.clone(), report }
            }
            Self::TimedOut(limit) => {
                text("the server did not answer in time", format!("no answer within {}", seconds(*limit)))
            }
            Self::Loop => text(
                "this request has been here before",
                "the server behind devrun sends requests back to devrun: give them different ports"
                    .to_owned(),
            ),
            Self::Invalid(invalid) => {
                text("the request cannot be passed on", invalid_request_text(*invalid).to_owned())
            }
            Self::ForbiddenHost(host) => text(
                "not under this name",
                format!("devrun's own paths are not served to {host:?}: allow the name, or use localhost"),
            ),
            Self::ReadOnly(path) => {
                text("there is nothing to be sent here", format!("{path} can only be read"))
            }
            Self::NoSuchPath(path) => text("no such path", format!("devrun has nothing at {path}")),
        }
    }

    /// The event about this response.
    pub(in crate::proxy) fn event(&self, line: &RequestLine) -> Event {
        let text = self.text();
        let reason = text.report.as_ref().map_or(&text.detail, |report| &report.headline);
        let detail = format!("{}: {reason}", text.title);
        let (status, request) = (self.status().as_u16(), line.to_string());
        Event::Answered { status, request, detail, remedy: Remedy::None }
    }

    /// The response: a page for a navigation, otherwise JSON.
    pub(in crate::proxy) fn response(
        &self,
        is_navigation: bool,
        origin: PageOrigin<'_>,
    ) -> Response<AnyBody> {
        let (status, text) = (self.status(), self.text());
        let retry =
            if matches!(self, Self::Rejected(_)) { RetryHint::WhenReady } else { RetryHint::AfterChange };
        let mut response = if is_navigation {
            html(status, text.page(status.as_str(), origin, retry))
        } else {
            json(status, text.title, &text.json_detail())
        };
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static(self.allowed_methods()));
        }
        response
    }

    fn allowed_methods(&self) -> &'static str {
        match self {
            Self::ReadOnly(_) => "GET, HEAD",
            _ => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        }
    }
}

impl Text {
    fn page(&self, status: &str, origin: PageOrigin<'_>, retry: RetryHint) -> String {
        let detail = self.report.as_ref().map_or(&self.detail, |report| &report.headline);
        Page { status, title: self.title, detail, report: self.report.as_deref(), origin, retry }.render()
    }

    /// The detail with the last lines of the output, so that `curl` shows the error.
    fn json_detail(&self) -> String {
        let Some(report) = &self.report else { return self.detail.clone() };
        let output = ansi_html::to_text(&report.output, MAX_JSON_OUTPUT_LINES);
        if output.is_empty() { report.headline.clone() } else { format!("{}\n{output}", report.headline) }
    }
}

/// The page about a newer generation that failed while the generation with the page identity `current`
/// serves.
pub(super) fn report_page(report: Option<Arc<FailureReport>>, current: &str) -> Response<AnyBody> {
    let (title, retry) = match (&report, current) {
        (None, _) => ("all is well", RetryHint::None),
        (Some(_), "") => (NOT_RUNNING, RetryHint::AfterChange),
        (Some(_), _) => ("the new code failed, the old code serves on", RetryHint::AfterChange),
    };
    let text = Text { title, detail: "the newest code is running".to_owned(), report };
    html(StatusCode::OK, text.page("", PageOrigin::Proxy(current), retry))
}

fn rejection_text(rejection: &Rejection) -> Text {
    let text = |title, detail: String| Text { title, detail, report: None };
    match rejection {
        Rejection::TooMany => {
            text("too many requests are waiting", "the server is still starting".to_owned())
        }
        Rejection::TimedOut(limit) => text(
            "the server is still starting",
            format!("this request has waited {} for it", seconds(*limit)),
        ),
        Rejection::Stopping => text("devrun is stopping", "nothing is served any more".to_owned()),
        Rejection::Down(report) => {
            let detail = report.headline.clone();
            Text { title: NOT_RUNNING, detail, report: Some(Arc::clone(report)) }
        }
    }
}

fn invalid_request_text(invalid: InvalidRequest) -> &'static str {
    match invalid {
        InvalidRequest::Connect => "CONNECT is for proxies to elsewhere; this one has one server behind it",
        InvalidRequest::Host => "exactly one valid Host header is needed",
        InvalidRequest::Target => "the target is neither a path nor an http URL",
        InvalidRequest::TooLarge => "the head of the request is larger than 256 KiB",
        InvalidRequest::TransferCoding => "the only transfer coding that is understood is chunked",
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn html(status: StatusCode, page: String) -> Response<AnyBody> {
    let mut response = own_response(status, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn json(status: StatusCode, error: &str, detail: &str) -> Response<AnyBody> {
    let content = format!("{{\"error\": {}, \"detail\": {}}}\n", json_string(error), json_string(detail));
    own_response(status, "application/json", content)
}

/// A response of devrun with headers that forbid caching and content sniffing.
pub(super) fn own_response(
    status: StatusCode,
    media_type: &'static str,
    content: impl Into<String>,
) -> Response<AnyBody> {
    let mut response = Response::new(AnyBody::full(content.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A JSON string, also safe inside HTML.
pub(super) fn json_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() || matches!(letter, '<' | '\u{2028}' | '\u{2029}') => {
                quoted.push_str(&format!("\\u{:04x}", letter as u32));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
