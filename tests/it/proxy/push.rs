//! A restart and the server's open responses: streams and long polls move to the new generation, other
//! responses complete.

use devrun::GenerationId;
use tokio::sync::{mpsc, watch};

use crate::support::proxy::{Connection, ScriptedServer, TestProxy, soon, until};

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A server that sends `begin` at once, and `end` when the test lets it.
async fn server_in_two_parts(
    begin: &'static str,
    end: &'static str,
) -> (ScriptedServer, watch::Sender<bool>, mpsc::UnboundedReceiver<String>) {
    let (go, going) = watch::channel(false);
    let (send, heads) = mpsc::unbounded_channel();
    let server = ScriptedServer::start(move |mut client| {
        let (mut going, send) = (going.clone(), send.clone());
        async move {
            let (head, _) = client.request().await;
            let _ = send.send(head);
            client.send(begin).await;
            let went = tokio::select! {
                _ = going.wait_for(|go| *go) => true,
                _ = client.rest() => false,
            };
            if went {
                client.send(end).await;
            }
        }
    })
    .await;
    (server, go, heads)
}

fn request(line: &str, accept: &str) -> String {
    let length = if line.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n{length}\r\n")
}

async fn asking(proxy: &TestProxy, request: &str) -> Connection {
    let mut client = proxy.client().await;
    client.send(request).await;
    client
}

/// Makes the next generation serve and releases the streams of the first one.
async fn replace_by(proxy: &TestProxy, new: &ScriptedServer) {
    proxy.ready(2, new);
    proxy.handle.release_streams(GenerationId::FIRST);
}

#[tokio::test]
async fn an_event_stream_of_a_request_without_event_source_is_completed() {
    let (begin, end) = ("4\r\none \r\n", "3\r\ntwo\r\n0\r\n\r\n");
    for (request, answer) in [
        (request("POST /chat", "text/event-stream"), STREAM),
        (request("POST /mcp", "application/json, text/event-stream"), STREAM),
        (request("GET /chat", "*/*"), STREAM),
        (request("GET /chat", "text/event-stream, */*;q=0.1"), STREAM),
        (
            request("GET /report", "text/event-stream"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ] {
        let proxy = TestProxy::new().await;
        let (old, go, _) = server_in_two_parts(Box::leak(format!("{answer}{begin}").into()), end).await;
        proxy.ready(1, &old);
        let mut client = asking(&proxy, &request).await;
        client.head().await;
        assert_eq!(client.chunk().await.unwrap(), b"one ");
        let new = ScriptedServer::saying("new").await;
        replace_by(&proxy, &new).await;
        assert_eq!(proxy.get("/").await.text(), "new");
        assert_eq!(proxy.drained(1), 0, "{request}");
        go.send_replace(true);
        assert_eq!(client.chunk().await.unwrap(), b"two", "{request}");
        assert_eq!(client.chunk().await.unwrap(), b"", "{request}");
        until("the old generation is drained", || proxy.drained(1) == 1).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_stream_with_an_end_is_cut_so_that_its_client_sees_it() {
    let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    for version in ["1.0", "1.1"] {
        let proxy = TestProxy::new().await;
        let (old, _go, _) = server_in_two_parts(begin, "").await;
        proxy.ready(1, &old);
        let line = format!("POST /chat HTTP/{version}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        let mut client = asking(&proxy, &line).await;
        let head = client.head().await;
        proxy.stop().await;
        let answer = client.prepared_with(head).answer(false).await;
        assert!(!answer.whole, "HTTP/{version}: {answer:?}");
    }
}

#[tokio::test]
async fn a_hanging_poll_of_a_known_transport_moves_to_the_next_generation() {
    for line in [
        "GET /socket.io/?EIO=4&transport=polling&t=P1&sid=abc",
        "POST /echo/042/x1y2z3/xhr",
        "GET /signalr/poll?transport=longPolling&connectionToken=t",
        "GET /live/longpoll?_csrf_token=x&vsn=2.0.0",
    ] {
        let proxy = TestProxy::new().await;
        let (old, _go, mut heads) = server_in_two_parts("", "").await;
        proxy.ready(1, &old);
        let mut poll = asking(&proxy, &request(line, "*/*")).await;
        soon("the poll hangs", heads.recv()).await;
        let new = ScriptedServer::saying("unknown session").await;
        proxy.ready(2, &new);
        until("no drain waits for the poll", || proxy.drained(1) == 1).await;
        proxy.handle.release_streams(GenerationId::FIRST);
        assert_eq!(poll.answer(false).await.text(), "unknown session", "{line}");
        until("the connection to the old server is closed", || old.ended() == 1).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_poll_that_is_being_answered_is_completed() {
    let proxy = TestProxy::new().await;
    let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\n4hel";
    let (old, go, _) = server_in_two_parts(begin, "lo!").await;
    proxy.ready(1, &old);
    let mut poll = asking(&proxy, &request("GET /socket.io/?EIO=4&transport=polling&sid=abc", "*/*")).await;
    poll.head().await;
    let new = ScriptedServer::saying("new").await;
    replace_by(&proxy, &new).await;
    assert_eq!(proxy.get("/").await.text(), "new");
    assert_eq!(proxy.drained(1), 0);
    go.send_replace(true);
    assert_eq!(poll.take(7).await, b"4hello!");
    proxy.stop().await;
}

#[tokio::test]
async fn a_streamed_poll_ends_like_an_event_stream() {
    let proxy = TestProxy::new().await;
    let begin = "HTTP/1.1 200 OK\r\nContent-Type: application/javascript\r\n\r\nhhhh\n";
    let (old, _go, _) = server_in_two_parts(begin, "").await;
    proxy.ready(1, &old);
    let mut poll = asking(&proxy, &request("POST /echo/042/x1y2z3/xhr_streaming", "*/*")).await;
    poll.head().await;
    assert_eq!(poll.chunk().await.unwrap(), b"hhhh\n");
    let new = ScriptedServer::saying("new").await;
    replace_by(&proxy, &new).await;
    assert_eq!(poll.rest().await, b"0\r\n\r\n");
    until("no drain waits for the poll", || proxy.drained(1) == 1).await;
    proxy.stop().await;
}
