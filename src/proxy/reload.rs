//! devrun's own paths: the script of live reload, its event stream, and the page about a failed generation.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Bytes, Frame};
use hyper::header::HOST;
use hyper::http::request;
use hyper::{Method, Response, StatusCode};
use tokio::sync::watch;

use super::body::Body;
use super::download::Cut;
use super::gate::View;
use super::headers;
use super::port::Port;
use super::reply::{self, Trouble, quote};
use super::upstream::FailureReport;

/// Everything below is devrun's own, and never asked of the server.
const PREFIX: &str = "/__devrun/";
const SCRIPT: &str = include_str!("assets/client.js");

/// The tag that is put behind pages. The page's identity lets the script tell newer code from the page's own, however
/// long the page took to load.
pub(super) fn tag(id: &str, method: &Method, nonce: Option<&str>) -> Bytes {
    let method = if method == Method::GET { "" } else { " data-method=\"POST\"" };
    let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
    Bytes::from(format!("<script src=\"/__devrun/client.js\" data-id=\"{id}\"{method}{nonce}></script>"))
}

/// The answer to a request for one of devrun's own paths; `None` if it is for the server.
pub(super) fn answer(port: &Arc<Port>, head: &request::Parts) -> Option<Result<Response<Body>, Trouble>> {
    Some(own_path(port, head)?.and_then(|path| match path {
        "client.js" => Ok(script()),
        "events" => Ok(events(state(port))),
        "report" => Ok(report(port)),
        _ => Err(Trouble::NoSuchPath(head.uri.path().to_owned())),
    }))
}

/// Which of devrun's own paths is asked for, by somebody who may; `None` if it is none of them.
pub(super) fn own_path<'a>(port: &Port, head: &'a request::Parts) -> Option<Result<&'a str, Trouble>> {
    let path = head.uri.path().strip_prefix(PREFIX)?;
    let host = head
        .uri
        .authority()
        .map(|host| host.as_str())
        .or_else(|| headers::text(&head.headers, HOST.as_str()));
    Some(match host {
        Some(host) if !port.knows_host(host) => Err(Trouble::Stranger(host.to_owned())),
        Some(_) if !matches!(head.method, Method::GET | Method::HEAD) => {
            Err(Trouble::ReadOnly(head.uri.path().to_owned()))
        }
        Some(_) => Ok(path),
        None => Err(Trouble::Stranger(String::new())),
    })
}

/// The script of live reload.
pub(super) fn script() -> Response<Body> {
    reply::own(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT)
}

/// An event stream.
pub(super) fn events(
    stream: impl hyper::body::Body<Data = Bytes, Error = Cut> + Send + 'static,
) -> Response<Body> {
    let mut response = reply::own(StatusCode::OK, "text/event-stream", "");
    *response.body_mut() = Body::stream(Box::pin(stream));
    response
}

fn report(port: &Port) -> Response<Body> {
    let (report, id) = match port.gate.view() {
        View::Ready { generation, failed, .. } => (failed, port.page_id(generation)),
        View::Down(report) => (Some(report), String::new()),
        View::Starting => (None, String::new()),
    };
    reply::report_page(report, &id)
}

fn state(port: &Arc<Port>) -> Events {
    Events { port: Arc::clone(port), told: None, next: wait(port.gate.subscribe()) }
}

type Next = Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send>>;

fn wait(mut changed: watch::Receiver<u64>) -> Next {
    Box::pin(async move { changed.changed().await.ok().map(|()| changed) })
}

/// The state of the proxy, whenever it changes. Says nothing in between, so that an idle page costs nothing.
struct Events {
    port: Arc<Port>,
    told: Option<View>,
    next: Next,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if self.port.gate.is_closed() {
                return Poll::Ready(None);
            }
            let view = self.port.gate.view();
            if self.told.as_ref() != Some(&view) {
                let event = describe(&self.port, &view, self.told.is_none());
                self.told = Some(view);
                return Poll::Ready(Some(Ok(Frame::data(event))));
            }
            match ready!(self.next.as_mut().poll(cx)) {
                Some(changed) => self.next = wait(changed),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        false
    }
}

/// One event: `ready` with the page identity of the generation that serves, `starting`, or `down`.
fn describe(port: &Port, view: &View, first: bool) -> Bytes {
    let (state, id, banner) = match view {
        View::Starting => ("starting", None, None),
        View::Ready { generation, failed, patience } => {
            let text =
                |report: &FailureReport| format!("The old code serves on: the new one {}", report.headline);
            // What is not "ready" changes nothing on a page but the banner.
            let state = if *patience { "draining" } else { "ready" };
            (state, Some(port.page_id(*generation)), failed.as_deref().map(text))
        }
        View::Down(report) => {
            ("down", None, Some(format!("The server is not running: it {}", report.headline)))
        }
    };
    let id = id.map_or("null".to_owned(), |id| quote(&id));
    let banner = banner.map_or("null".to_owned(), |text| format!("{{\"text\": {}}}", quote(&text)));
    let retry = if first { "retry: 500\n" } else { "" };
    Bytes::from(format!(
        "{retry}event: state\ndata: {{\"state\": \"{state}\", \"id\": {id}, \"banner\": {banner}}}\n\n"
    ))
}
