//! devrun's own paths: the script of live reload, its event stream, and the page about a failed generation.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame};
use hyper::header::HOST;
use hyper::http::request;
use hyper::{Method, Response, StatusCode};
use tokio::sync::watch;

use super::error_response::{ErrorResponse, json_string, own_response, report_page};
use crate::proxy::body::{AnyBody, BodyError};
use crate::proxy::context::ProxyContext;
use crate::proxy::gate::GateView;
use crate::proxy::headers;

/// Prefix of devrun's own paths, which never reach the upstream.
const PREFIX: &str = "/__devrun/";
const SCRIPT: &str = include_str!("assets/client.js");

/// The script tag that is appended to pages. By the page's identity the script knows which code is newer than
/// the page, however long the page took to load.
pub(in crate::proxy) fn script_tag(page_id: &str, method: &Method, nonce: Option<&str>) -> Bytes {
    let method = if matches!(*method, Method::GET | Method::HEAD) { "" } else { " data-method=\"POST\"" };
    let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
    Bytes::from(format!("<script src=\"/__devrun/client.js\" data-id=\"{page_id}\"{method}{nonce}></script>"))
}

/// Answers a request for one of devrun's own paths; `None` if the path is the upstream's.
pub(in crate::proxy) fn answer(
    context: &Arc<ProxyContext>,
    head: &request::Parts,
) -> Option<Result<Response<AnyBody>, ErrorResponse>> {
    let path = match own_path(context, head)? {
        Ok(path) => path,
        Err(error) => return Some(Err(error)),
    };
    Some(match path {
        "client.js" => Ok(script()),
        "events" => Ok(event_stream(StateEvents::new(context))),
        "report" => Ok(report(context)),
        _ => Err(ErrorResponse::NoSuchPath(head.uri.path().to_owned())),
    })
}

/// The part behind the prefix of one of devrun's own paths; `None` if the path is the upstream's.
pub(in crate::proxy) fn own_path<'a>(
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
pub(in crate::proxy) fn script() -> Response<AnyBody> {
    own_response(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT)
}

/// The response with an event stream.
pub(in crate::proxy) fn event_stream(
    stream: impl Body<Data = Bytes, Error = BodyError> + Send + 'static,
) -> Response<AnyBody> {
    let mut response = own_response(StatusCode::OK, "text/event-stream", "");
    *response.body_mut() = AnyBody::stream(Box::pin(stream));
    response
}

fn report(context: &ProxyContext) -> Response<AnyBody> {
    let (report, page_id) = match context.gate().view() {
        GateView::Ready { generation, banner, .. } => (banner, context.page_id(generation)),
        GateView::Down(report) => (Some(report), String::new()),
        GateView::Starting => (None, String::new()),
    };
    report_page(report, &page_id)
}

type VersionChange = Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send>>;

fn next_version(mut version: watch::Receiver<u64>) -> VersionChange {
    Box::pin(async move { version.changed().await.ok().map(|()| version) })
}

/// An event stream with the gate's state: one event at first, and one for each change. There are no
/// keep-alive comments, so an idle page costs nothing.
struct StateEvents {
    context: Arc<ProxyContext>,
    last_sent: Option<GateView>,
    next_version: VersionChange,
}

impl StateEvents {
    fn new(context: &Arc<ProxyContext>) -> Self {
        let next_version = next_version(context.gate().subscribe());
        Self { context: Arc::clone(context), last_sent: None, next_version }
    }
}

impl Body for StateEvents {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.context.gate().is_closed() {
                return Poll::Ready(None);
            }
            let view = self.context.gate().view();
            if self.last_sent.as_ref() != Some(&view) {
                let retry = if self.last_sent.is_none() { "retry: 500\n" } else { "" };
                let event = format!("{retry}{}", state_event(&self.context, &view));
                self.last_sent = Some(view);
                return Poll::Ready(Some(Ok(Frame::data(event.into()))));
            }
            match ready!(self.next_version.as_mut().poll(cx)) {
                Some(version) => self.next_version = next_version(version),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        false
    }
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
