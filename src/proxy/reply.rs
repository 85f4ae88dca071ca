//! Every answer devrun writes itself: a page for a browser's navigation, JSON for everybody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::ansi;
use super::body::Body;
use super::dial::is_crowded;
use super::gate::Denied;
use super::headers::Unfit;
use super::page::{Outlook, Page, Place};
use super::upstream::FailureReport;

const NOT_RUNNING: &str = "the server is not running";
/// How much of the output a JSON answer shows, in lines.
const JSON_LINES: usize = 40;

/// Why devrun answers itself.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The gate did not let the request through.
    Denied(Denied),
    /// The server does not accept.
    Unreachable(SocketAddr, io::Error),
    /// The server broke off before an answer; with how its generation ended, if it did.
    Broke(String, Option<Arc<FailureReport>>),
    /// The server gave no answer in time.
    TimedOut(Duration),
    /// The request has been here before.
    Loop,
    /// The request is refused.
    Unfit(Unfit),
    /// One of devrun's own paths, asked for under a name that is not devrun's.
    Stranger(String),
    /// One of devrun's own paths that there is not.
    NoSuchPath(String),
    /// One of devrun's own paths, and a method that is not for reading.
    ReadOnly(String),
}

/// The words of an answer.
struct Words {
    title: &'static str,
    detail: String,
    report: Option<Arc<FailureReport>>,
}

impl Trouble {
    /// The one place where a trouble gets its status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_, error) if is_crowded(error) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable(_, error) if error.kind() == io::ErrorKind::TimedOut => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Unreachable(..) | Self::Broke(..) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Unfit(Unfit::Tunnel) | Self::ReadOnly(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unfit(Unfit::Large) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Unfit(Unfit::Coding) => StatusCode::NOT_IMPLEMENTED,
            Self::Unfit(Unfit::Host | Unfit::Target) => StatusCode::BAD_REQUEST,
            Self::Stranger(_) => StatusCode::FORBIDDEN,
            Self::NoSuchPath(_) => StatusCode::NOT_FOUND,
        }
    }

    /// What could be asked instead, where the method is what is wrong.
    fn methods(&self) -> &'static str {
        match self {
            Self::ReadOnly(_) => "GET, HEAD",
            _ => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        }
    }

    fn words(&self) -> Words {
        let words = |title, detail: String| Words { title, detail, report: None };
        match self {
            Self::Denied(denied) => denied_words(denied),
            Self::Unreachable(_, error) if is_crowded(error) => {
                words("devrun cannot open another connection", error.to_string())
            }
            Self::Unreachable(address, error) => {
                words("the server does not accept connections", format!("{address}: {error}"))
            }
            Self::Broke(detail, report) => {
                let report = report.clone();
                Words { title: "the server broke off before it answered", detail: detail.clone(), report }
            }
            Self::TimedOut(limit) => {
                words("the server did not answer in time", format!("no answer within {}", seconds(*limit)))
            }
            Self::Loop => words(
                "this request has been here before",
                "the server behind devrun sends requests back to devrun: give them different ports"
                    .to_owned(),
            ),
            Self::Unfit(unfit) => words("the request cannot be passed on", unfit_words(*unfit).to_owned()),
            Self::Stranger(host) => words(
                "not under this name",
                format!("devrun's own paths are not served to {host:?}: allow the name, or use localhost"),
            ),
            Self::ReadOnly(path) => {
                words("there is nothing to be sent here", format!("{path} can only be read"))
            }
            Self::NoSuchPath(path) => words("no such path", format!("devrun has nothing at {path}")),
        }
    }

    /// What went wrong, on one line.
    pub(super) fn summary(&self) -> String {
        let words = self.words();
        match words.report {
            Some(report) => format!("{}: {}", words.title, report.headline),
            None => format!("{}: {}", words.title, words.detail),
        }
    }

    /// The answer: a page for a browser's navigation.
    pub(super) fn answer(&self, page: bool, place: Place<'_>) -> Response<Body> {
        let (status, words) = (self.status(), self.words());
        let outlook = if matches!(self, Self::Denied(_)) { Outlook::Server } else { Outlook::Change };
        let mut response = match page {
            true => html(status, words.page(status.as_str(), place, outlook)),
            false => json(status, words.title, &detail(&words)),
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let methods = HeaderValue::from_static(self.methods());
            response.headers_mut().insert(hyper::header::ALLOW, methods);
        }
        response
    }
}

impl Words {
    fn page(&self, status: &str, place: Place<'_>, outlook: Outlook) -> String {
        let detail = self.report.as_ref().map_or(&self.detail, |report| &report.headline);
        Page { status, title: self.title, detail, report: self.report.as_deref(), place, outlook }.render()
    }
}

/// The page about a newer generation that failed while `current` serves on.
pub(super) fn report_page(report: Option<Arc<FailureReport>>, current: &str) -> Response<Body> {
    let (title, outlook) = match (&report, current) {
        (None, _) => ("all is well", Outlook::Fine),
        (Some(_), "") => (NOT_RUNNING, Outlook::Change),
        (Some(_), _) => ("the new code failed, the old code serves on", Outlook::Change),
    };
    let words = Words { title, detail: "the newest code is running".to_owned(), report };
    html(StatusCode::OK, words.page("", Place::Proxy(current), outlook))
}

fn denied_words(denied: &Denied) -> Words {
    let words = |title, detail: String| Words { title, detail, report: None };
    match denied {
        Denied::Full => words("too many requests are waiting", "the server is still starting".to_owned()),
        Denied::TimedOut(limit) => words(
            "the server is still starting",
            format!("this request has waited {} for it", seconds(*limit)),
        ),
        Denied::Closed => words("devrun is stopping", "nothing is served any more".to_owned()),
        Denied::Down(report) => failed_words(Arc::clone(report)),
    }
}

fn failed_words(report: Arc<FailureReport>) -> Words {
    Words { title: NOT_RUNNING, detail: report.headline.clone(), report: Some(report) }
}

fn unfit_words(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::Tunnel => "CONNECT is for proxies to elsewhere; this one has one server behind it",
        Unfit::Host => "exactly one valid Host header is needed",
        Unfit::Target => "the target is neither a path nor an http URL",
        Unfit::Large => "the head of the request is larger than 64 KiB",
        Unfit::Coding => "the only transfer coding that is understood is chunked",
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The detail of a JSON answer: with the last of the output, so that `curl` shows what is wrong.
fn detail(words: &Words) -> String {
    let output = words.report.as_ref().map(|report| ansi::to_text(&report.output, JSON_LINES));
    match (words.report.as_ref(), output) {
        (Some(report), Some(output)) if !output.is_empty() => format!("{}\n{output}", report.headline),
        (Some(report), _) => report.headline.clone(),
        _ => words.detail.clone(),
    }
}

fn html(status: StatusCode, page: String) -> Response<Body> {
    let mut response = own(status, "text/html; charset=utf-8", page);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                  worker-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";
    let headers = response.headers_mut();
    headers.insert(hyper::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(hyper::header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn json(status: StatusCode, error: &str, detail: &str) -> Response<Body> {
    own(
        status,
        "application/json",
        format!("{{\"error\": {}, \"detail\": {}}}\n", quote(error), quote(detail)),
    )
}

/// An answer of devrun's own: never stored, never sniffed.
pub(super) fn own(status: StatusCode, kind: &'static str, content: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::whole(content.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

/// A JSON string, also safe inside HTML.
pub(super) fn quote(text: &str) -> String {
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
