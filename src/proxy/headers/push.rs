//! The requests by which a server sends its messages to a client. Pure.

use hyper::Method;
use hyper::header::{ACCEPT, HeaderMap, USER_AGENT};
use hyper::http::request;

use super::fields::{essence, media_type, text};

/// How a server sends its messages to the client that sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushTransport {
    /// Events in one endless response, as for `EventSource`.
    Events,
    /// One response as soon as there is a message: Engine.IO (Socket.IO), SockJS, SignalR, Phoenix.
    LongPoll,
    /// Messages in one long response, after which the client asks again: SockJS.
    StreamedPoll,
}

impl PushTransport {
    /// The transport of a request; `None` for a request whose response must be complete.
    pub(crate) fn of(head: &request::Parts) -> Option<Self> {
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let is_get = head.method == Method::GET;
        let accepted = essence(text(&head.headers, ACCEPT.as_str()).unwrap_or_default());
        if is_get && accepted.eq_ignore_ascii_case("text/event-stream") {
            return Some(Self::Events);
        }
        match (head.method.as_str(), sockjs_transport(path)) {
            ("POST", Some("xhr")) | ("GET", Some("jsonp")) => return Some(Self::LongPoll),
            ("POST", Some("xhr_streaming")) | ("GET", Some("htmlfile")) => return Some(Self::StreamedPoll),
            _ => {}
        }
        let has = |name, is_right: fn(&str) -> bool| value(query, name).is_some_and(is_right);
        let is_engine_io =
            has("EIO", |version| !version.is_empty()) && has("transport", |it| it == "polling");
        let is_signalr_client = head.headers.contains_key("x-signalr-user-agent")
            || text(&head.headers, USER_AGENT.as_str())
                .is_some_and(|agent| agent.starts_with("Microsoft SignalR/"));
        let is_signalr = is_signalr_client && has("id", |id| !id.is_empty())
            || has("transport", |transport| transport == "longPolling");
        let is_phoenix = path.ends_with("/longpoll") && has("vsn", |version| !version.is_empty());
        (is_get && (is_engine_io || is_signalr || is_phoenix)).then_some(Self::LongPoll)
    }
}

/// Whether the response is a stream without an end.
pub(crate) fn is_endless(transport: Option<PushTransport>, response: &HeaderMap) -> bool {
    let is = |name: &str| media_type(response).eq_ignore_ascii_case(name);
    match transport {
        Some(PushTransport::StreamedPoll) => true,
        Some(PushTransport::Events) if is("text/event-stream") => true,
        _ => is("multipart/x-mixed-replace"),
    }
}

/// The last segment of `…/SERVER/SESSION/TRANSPORT`. SockJS clients choose three digits for SERVER.
fn sockjs_transport(path: &str) -> Option<&str> {
    let mut segments = path.rsplit('/');
    let (transport, session, server) = (segments.next()?, segments.next()?, segments.next()?);
    let is_server = server.len() == 3 && server.bytes().all(|digit| digit.is_ascii_digit());
    (is_server && !session.is_empty()).then_some(transport)
}

/// The value of a parameter in a query.
fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn transport(line: &str, header: (&str, &str)) -> Option<PushTransport> {
        let (method, uri) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(uri).header(header.0, header.1);
        PushTransport::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_transport_is_known_by_its_request() {
        use PushTransport::{Events, LongPoll, StreamedPoll};
        let any = ("accept", "*/*");
        for (line, header, expected) in [
            ("GET /events", ("accept", "text/event-stream"), Some(Events)),
            ("GET /events", ("accept", "Text/Event-Stream; charset=utf-8"), Some(Events)),
            ("GET /events", ("accept", "text/event-stream, application/json"), None),
            ("POST /chat", ("accept", "text/event-stream"), None),
            ("GET /socket.io/?EIO=4&transport=polling&t=x&sid=y", any, Some(LongPoll)),
            ("POST /socket.io/?EIO=4&transport=polling&t=x&sid=y", any, None),
            ("GET /engine.io/?transport=polling&EIO=3", any, Some(LongPoll)),
            ("GET /socket.io/?EIO=4&transport=websocket", any, None),
            ("GET /jobs?transport=polling", any, None),
            ("POST /echo/012/k3_x/xhr", any, Some(LongPoll)),
            ("POST /echo/012/k3_x/xhr_streaming", any, Some(StreamedPoll)),
            ("POST /echo/012/k3_x/xhr_send", any, None),
            ("GET /a/b/echo/999/k3_x/jsonp?c=f", any, Some(LongPoll)),
            ("GET /echo/999/k3_x/htmlfile?c=f", any, Some(StreamedPoll)),
            ("GET /echo/2024/k3_x/jsonp", any, None),
            ("GET /hub?id=abc&_=17", ("X-SignalR-User-Agent", "Microsoft SignalR/8.0"), Some(LongPoll)),
            ("GET /hub?id=abc", ("user-agent", "Microsoft SignalR/8.0 (8.0.0)"), Some(LongPoll)),
            ("POST /hub?id=abc", ("X-SignalR-User-Agent", "Microsoft SignalR/8.0"), None),
            ("GET /signalr/poll?transport=longPolling&connectionToken=x", any, Some(LongPoll)),
            ("GET /hub?id=abc", any, None),
            ("GET /live/longpoll?_csrf_token=x&vsn=2.0.0", any, Some(LongPoll)),
            ("POST /live/longpoll?_csrf_token=x&vsn=2.0.0", any, None),
            ("GET /longpoll", any, None),
        ] {
            assert_eq!(transport(line, header), expected, "{line} {header:?}");
        }
    }
}
