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
use crate::proxy::body::{AnyBody, full};
use crate::proxy::context::ProxyContext;
use crate::proxy::event::Event;
use crate::proxy::gate::{GateView, Rejection};
use crate::proxy::headers::InvalidRequest;
use crate::proxy::in_flight::RequestLine;
use crate::proxy::proxy::FailureReport;
use crate::proxy::upstream::is_local_shortage;
use crate::{Remedy, tls};

const NOT_RUNNING: &str = "the server is not running";
const TEMPLATE: &str = include_str!("assets/page.html");
/// Maximum number of output lines in a JSON response.
const MAX_JSON_OUTPUT_LINES: usize = 40;
/// Maximum number of output lines on the page.
const MAX_PAGE_OUTPUT_LINES: usize = 300;
/// Maximum number of changed paths on the page.
const MAX_CHANGED_PATHS: usize = 20;
/// Footer of a page that reloads once a server is ready.
const RELOADS_WHEN_READY: &str = "This page reloads itself when the server is ready.";
/// Footer of a page that reloads after the next change of the code.
const RELOADS_AFTER_CHANGE: &str = "This page reloads itself when newer code is ready.";
/// Reload for browsers without scripts, as long as no server is ready.
const META_REFRESH: &str = "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>";
/// Content-Security-Policy of devrun's pages.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                           worker-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// Reason why devrun answers a request itself.
#[derive(Debug)]
pub(crate) enum ErrorResponse {
    /// The gate rejected the request.
    Rejected(Rejection),
    /// The upstream does not accept connections.
    Unreachable(SocketAddr, io::Error),
    /// The upstream broke off before its response, or sent one that cannot be forwarded; with the report if
    /// its generation failed.
    BrokenOff(String, Option<Arc<FailureReport>>),
    /// The upstream answers in TLS only.
    ExpectsTls(SocketAddr),
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

/// The port that a page comes from, which decides how the page's script learns about newer code.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageOrigin<'a> {
    /// The proxy, which sends an event when a generation serves whose page identity differs from this one.
    Proxy(&'a str),
    /// A server's own socket, where an event stream ends when the server takes the socket again.
    SharedSocket,
}

/// What a response says.
struct Text {
    status: StatusCode,
    title: &'static str,
    detail: String,
    report: Option<Arc<FailureReport>>,
}

impl ErrorResponse {
    fn text(&self) -> Text {
        let seconds = |time: &Duration| format!("{} s", time.as_secs_f64());
        let (status, title, detail) = match self {
            Self::Rejected(Rejection::TooMany) => {
                (503, "too many requests are waiting", "the server is still starting".to_owned())
            }
            Self::Rejected(Rejection::TimedOut(limit)) => {
                let detail = format!("this request has waited {} for it", seconds(limit));
                (503, "the server is still starting", detail)
            }
            Self::Rejected(Rejection::Stopping) => {
                (503, "devrun is stopping", "nothing is served any more".to_owned())
            }
            Self::Rejected(Rejection::Down(report)) => (503, NOT_RUNNING, report.headline.clone()),
            Self::Unreachable(_, error) if is_local_shortage(error) => {
                (500, "devrun cannot open another connection", error.to_string())
            }
            Self::Unreachable(address, error) => {
                let status = if error.kind() == io::ErrorKind::TimedOut { 504 } else { 502 };
                (status, "the server does not accept connections", format!("{address}: {error}"))
            }
            Self::BrokenOff(detail, report) => {
                let detail = report.as_ref().map_or(detail, |report| &report.headline);
                (502, "the server broke off before it answered", detail.clone())
            }
            Self::ExpectsTls(address) => (502, "the server expects TLS", tls::sentence(*address)),
            Self::TimedOut(limit) => {
                (504, "the server did not answer in time", format!("no answer within {}", seconds(limit)))
            }
            Self::Loop => {
                let detail =
                    "the server behind devrun sends requests back to devrun: give them different ports";
                (508, "this request has been here before", detail.to_owned())
            }
            Self::Invalid(invalid) => {
                let (status, detail) = status_and_detail(*invalid);
                (status, "the request cannot be passed on", detail.to_owned())
            }
            Self::ForbiddenHost(host) => {
                let detail = format!(
                    "devrun's own paths are not served to {host:?}: allow the name, or use localhost"
                );
                (403, "not under this name", detail)
            }
            Self::ReadOnly(path) => {
                (405, "there is nothing to be sent here", format!("{path} can only be read"))
            }
            Self::NoSuchPath(path) => (404, "no such path", format!("devrun has nothing at {path}")),
        };
        let report = match self {
            Self::Rejected(Rejection::Down(report)) => Some(Arc::clone(report)),
            Self::BrokenOff(_, report) => report.clone(),
            _ => None,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Text { status, title, detail, report }
    }

    /// The event about this response.
    pub(crate) fn event(&self, line: &RequestLine) -> Event {
        let Text { status, title, detail, .. } = self.text();
        let (status, request, detail) = (status.as_u16(), line.to_string(), format!("{title}: {detail}"));
        let is_tls = matches!(self, Self::ExpectsTls(_));
        let remedy = if is_tls { Remedy::KeepTls } else { Remedy::None };
        Event::Answered { status, request, detail, remedy }
    }

    /// The response: a page for a navigation, otherwise JSON.
    pub(crate) fn response(&self, is_navigation: bool, origin: PageOrigin<'_>) -> Response<AnyBody> {
        let text = self.text();
        let is_rejected = matches!(self, Self::Rejected(_));
        let footer = if is_rejected { RELOADS_WHEN_READY } else { RELOADS_AFTER_CHANGE };
        let mut response = if is_navigation { text.page(origin, footer) } else { text.json() };
        let headers = response.headers_mut();
        if text.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if text.status == StatusCode::METHOD_NOT_ALLOWED {
            let is_own_path = matches!(self, Self::ReadOnly(_));
            let methods =
                if is_own_path { "GET, HEAD" } else { "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" };
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

/// The page about a newer generation that failed while an older one serves.
pub(super) fn report_page(context: &ProxyContext) -> Response<AnyBody> {
    let (title, report, page_id) = match context.gate.view() {
        GateView::Ready { generation, banner: Some(report), .. } => {
            ("the new code failed, the old code serves on", Some(report), context.page_id(generation))
        }
        GateView::Ready { generation, .. } => ("all is well", None, context.page_id(generation)),
        GateView::Starting => ("all is well", None, String::new()),
        GateView::Down(report) => (NOT_RUNNING, Some(report), String::new()),
    };
    let footer = if report.is_some() { RELOADS_AFTER_CHANGE } else { "" };
    let detail = report.as_ref().map_or("the newest code is running", |report| &report.headline).to_owned();
    Text { status: StatusCode::OK, title, detail, report }.page(PageOrigin::Proxy(&page_id), footer)
}

impl Text {
    fn page(&self, origin: PageOrigin<'_>, footer: &str) -> Response<AnyBody> {
        // The page about a report is no error.
        let status = if self.status == StatusCode::OK { "" } else { self.status.as_str() };
        let report = self.report.as_deref();
        let (origin, id) = match origin {
            PageOrigin::Proxy(id) => ("own", id),
            PageOrigin::SharedSocket => ("listen", ""),
        };
        let page = fill_template(TEMPLATE, |name| match name {
            "status" => status.to_owned(),
            "title" => ansi_html::escape(&capitalised(self.title)),
            "detail" => ansi_html::escape(&self.detail),
            "command" => report.map(command_html).unwrap_or_default(),
            "changed" => report.map(changed_html).unwrap_or_default(),
            "output" => report.map(output_html).unwrap_or_default(),
            "refresh" if footer == RELOADS_WHEN_READY => META_REFRESH.to_owned(),
            "footer" => footer.to_owned(),
            "id" => ansi_html::escape(id),
            "place" => origin.to_owned(),
            _ => String::new(),
        });
        let mut response = own_response(self.status, "text/html; charset=utf-8", full(page));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }

    /// The text with the last lines of the output, so that `curl` shows the error.
    fn json(&self) -> Response<AnyBody> {
        let output =
            self.report.as_ref().map(|report| ansi_html::to_text(&report.output, MAX_JSON_OUTPUT_LINES));
        let detail = match output.unwrap_or_default() {
            output if output.is_empty() => self.detail.clone(),
            output => format!("{}\n{output}", self.detail),
        };
        let (error, detail) = (json_string(self.title), json_string(&detail));
        let content = format!("{{\"error\": {error}, \"detail\": {detail}}}\n");
        own_response(self.status, "application/json", full(content))
    }
}

fn status_and_detail(invalid: InvalidRequest) -> (u16, &'static str) {
    match invalid {
        InvalidRequest::Connect => {
            (405, "CONNECT is for proxies to elsewhere; this one has one server behind it")
        }
        InvalidRequest::Host => (400, "exactly one valid Host header is needed"),
        InvalidRequest::Target => (400, "the target is neither a path nor an http URL"),
        InvalidRequest::TooLarge => (431, "the head of the request is larger than 256 KiB"),
        InvalidRequest::TransferCoding => (501, "the only transfer coding that is understood is chunked"),
    }
}

/// A response of devrun with headers that forbid caching and content sniffing.
pub(super) fn own_response(
    status: StatusCode,
    media_type: &'static str,
    content: AnyBody,
) -> Response<AnyBody> {
    let mut response = Response::new(content);
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

fn output_html(report: &FailureReport) -> String {
    let output = ansi_html::to_html(&report.output, MAX_PAGE_OUTPUT_LINES);
    if output.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2 id=\"output\">Last output</h2><div class=\"pane\" tabindex=\"0\" role=\"region\" \
         aria-labelledby=\"output\"><pre>{output}</pre></div></section>"
    )
}

fn command_html(report: &FailureReport) -> String {
    if report.command.is_empty() {
        return String::new();
    }
    format!("<p class=\"command\"><code dir=\"auto\">{}</code></p>", ansi_html::escape(&report.command))
}

fn changed_html(report: &FailureReport) -> String {
    if report.changed.is_empty() {
        return String::new();
    }
    let shown = report.changed.iter().take(MAX_CHANGED_PATHS);
    let items: String =
        shown.map(|path| format!("<li><bdi>{}</bdi></li>", ansi_html::escape(path))).collect();
    let more = match report.changed.len().saturating_sub(MAX_CHANGED_PATHS) {
        0 => String::new(),
        more => format!("<li>and {more} more</li>"),
    };
    format!("<section><h2>Changed</h2><ul>{items}{more}</ul></section>")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Replaces each `{{name}}` in one pass, so that no value is taken for a template.
fn fill_template(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (name, text) in parts.filter_map(|part| part.split_once("}}")) {
        filled.push_str(&value(name));
        filled.push_str(text);
    }
    filled
}
