//! No client notices a restart: the proxy holds requests, drains responses and sends streams to the next
//! generation.

use std::time::Duration;

use devrun::GenerationId;
use devrun::proxy::{Event, FailureReport, Upstream};

use crate::support::proxy::{Connection, ScriptedServer, TestProxy, plain, soon, until};

/// A server that answers `/slow` when the test lets it.
async fn server_with_slow_path() -> (ScriptedServer, tokio::sync::watch::Sender<bool>) {
    let (go, going) = tokio::sync::watch::channel(false);
    let server = ScriptedServer::start(move |mut client| {
        let mut going = going.clone();
        async move {
            let (head, _) = client.request().await;
            if head.contains("/slow") {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
                let _ = going.wait_for(|go| *go).await;
                client.send("-last").await;
            } else {
                client.send(plain("old")).await;
            }
        }
    })
    .await;
    (server, go)
}

/// Generation 1 with a response that has begun and ends when the test lets it, and the client of that response.
async fn slow_response(
    proxy: &TestProxy,
    target: &str,
) -> (ScriptedServer, tokio::sync::watch::Sender<bool>, Connection) {
    let (server, go) = server_with_slow_path().await;
    proxy.ready(1, &server);
    let mut client = proxy.client().await;
    client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK"));
    (server, go, client)
}

/// The client of the only request that the proxy holds.
async fn held_request(proxy: &TestProxy) -> Connection {
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    proxy.held(1).await;
    client
}

#[tokio::test]
async fn requests_wait_until_a_generation_is_ready() {
    let proxy = TestProxy::new().await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.client().await;
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        waiting.push(client);
    }
    proxy.held(4).await;
    let server = ScriptedServer::saying("hello").await;
    proxy.ready(1, &server);
    for mut client in waiting {
        assert_eq!(client.answer(false).await.text(), "hello");
    }
    proxy.reported_held(0, 1).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_in_flight_ends_on_the_old_generation_while_new_requests_go_to_the_new_one() {
    let proxy = TestProxy::new().await;
    let (_old, go, mut slow) = slow_response(&proxy, "/slow?x=1").await;

    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    assert_eq!(proxy.get("/").await.text(), "new");
    until("an event reports the response in flight", || {
        proxy.events().iter().any(|event| {
            matches!(event, Event::InFlight { generation: GenerationId::FIRST, responses: 1, bytes: 5, oldest, .. } if oldest == "GET /slow?x=1")
        })
    })
    .await;
    assert_eq!(proxy.drained(1), 0);

    go.send_replace(true);
    assert_eq!(slow.take(10).await, b"first-last");
    until("the old generation is drained", || proxy.drained(1) == 1).await;
    let newest = ScriptedServer::saying("newest").await;
    proxy.ready(3, &newest);
    until("an idle generation is drained at once", || proxy.drained(2) == 1).await;
    assert_eq!(proxy.drained(1), 1, "one event reports the drain");
    proxy.stop().await;
}

#[tokio::test]
async fn a_closed_gate_holds_new_requests_and_drains() {
    let proxy = TestProxy::new().await;
    let (old, go, mut slow) = slow_response(&proxy, "/slow").await;
    proxy.handle.hold();
    let mut held = held_request(&proxy).await;
    go.send_replace(true);
    assert_eq!(slow.take(10).await, b"first-last");
    until("the generation is drained", || proxy.drained(1) == 1).await;
    old.die().await;
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    assert_eq!(held.answer(false).await.text(), "new");
    proxy.stop().await;
}

/// Under turns, one response in flight must not keep all other clients waiting.
#[tokio::test]
async fn a_generation_that_drains_for_its_successor_serves_until_its_requests_have_ended() {
    let proxy = TestProxy::new().await;
    let (_old, go, mut slow) = slow_response(&proxy, "/slow").await;
    proxy.handle.drain();
    assert_eq!(proxy.get("/").await.text(), "old");
    until("an event names the request that is waited for", || {
        proxy.events().iter().any(
            |event| matches!(event, Event::InFlight { responses: 1, oldest, .. } if oldest == "GET /slow"),
        )
    })
    .await;
    assert_eq!(proxy.drained(1), 0);
    go.send_replace(true);
    assert_eq!(slow.take(10).await, b"first-last");
    until("the generation is drained", || proxy.drained(1) == 1).await;
    let mut held = held_request(&proxy).await;
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    assert_eq!(held.answer(false).await.text(), "new");
    proxy.stop().await;
}

/// A client that polls again during the drain must not prolong it, and loses nothing.
#[tokio::test]
async fn a_request_without_a_response_that_came_during_the_drain_moves_to_the_successor() {
    let proxy = TestProxy::new().await;
    let (go, going) = tokio::sync::watch::channel(0);
    let old = ScriptedServer::start(move |mut client| {
        let mut going = going.clone();
        async move {
            let (head, _) = client.request().await;
            let mine = if head.starts_with("GET /first") { 1 } else { 2 };
            let _ = going.wait_for(|go| *go >= mine).await;
            client.send(plain("old")).await;
        }
    })
    .await;
    proxy.ready(1, &old);
    let send = async |line: &str| {
        let mut client = proxy.client().await;
        client.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).await;
        client
    };
    let mut first = send("GET /first").await;
    until("the server has the first poll", || old.accepted() == 1).await;
    proxy.handle.drain();
    let (mut poll, mut post) = (send("GET /again").await, send("POST /order").await);
    until("the server has the other requests", || old.accepted() == 3).await;
    go.send_replace(1);
    assert_eq!(first.answer(false).await.text(), "old");
    proxy.held(1).await;
    assert_eq!(proxy.drained(1), 0, "the order would be lost");
    go.send_replace(2);
    assert_eq!(post.answer(false).await.text(), "old");
    until("the generation is drained", || proxy.drained(1) == 1).await;
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    assert_eq!(poll.answer(false).await.text(), "new");
    proxy.stop().await;
}

/// The drain timeout stops a generation that still gets new requests.
#[tokio::test]
async fn a_stop_during_the_drain_makes_new_requests_wait() {
    let proxy = TestProxy::new().await;
    let (_old, go, mut slow) = slow_response(&proxy, "/slow").await;
    proxy.handle.drain();
    proxy.handle.hold();
    let _held = held_request(&proxy).await;
    go.send_replace(true);
    assert_eq!(slow.take(10).await, b"first-last");
    until("the generation is drained", || proxy.drained(1) == 1).await;
    proxy.stop().await;
}

#[tokio::test]
async fn held_requests_are_answered_at_once_when_the_server_fails() {
    let proxy = TestProxy::new().await;
    let mut held = held_request(&proxy).await;
    let report = FailureReport {
        generation: GenerationId::new(1),
        headline: "exited with status 1 after 0.3 s".into(),
        output: b"\x1b[31mSyntaxError: bad\x1b[0m\n".to_vec(),
        ..FailureReport::default()
    };
    proxy.down(report);
    let answer = held.answer(false).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["error"], "the server is not running");
    assert_eq!(json["detail"], "exited with status 1 after 0.3 s\nSyntaxError: bad");
    until("an event reports the answer", || {
        proxy
            .events()
            .iter()
            .any(|event| matches!(event, Event::Answered { status: 503, request, .. } if request == "GET /"))
    })
    .await;
    proxy.stop().await;
}

#[tokio::test]
async fn holding_is_bounded_in_number_and_time() {
    let proxy = TestProxy::with(|options| {
        options.hold_limit = 1;
        options.hold_timeout = Duration::from_millis(300);
    })
    .await;
    let mut held = held_request(&proxy).await;
    let beyond = proxy.get("/").await;
    assert_eq!((beyond.status, beyond.header("retry-after")), (503, Some("1")));
    let answer = held.answer(false).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_among_the_held_requests() {
    let proxy = TestProxy::with(|options| options.hold_limit = 1).await;
    let requests = [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nsome of it",
    ];
    for (request, times) in requests.into_iter().zip(1..) {
        let mut client = proxy.client().await;
        client.send(request).await;
        proxy.reported_held(1, times).await;
        drop(client);
        proxy.reported_held(0, times).await;
    }
    let server = ScriptedServer::saying("hello").await;
    proxy.ready(1, &server);
    assert_eq!(proxy.get("/").await.text(), "hello");
    assert_eq!(server.accepted(), 1, "a client that has left sends no request");
    proxy.stop().await;
}

#[tokio::test]
async fn a_body_waits_with_its_request_and_arrives_whole() {
    let proxy = TestProxy::new().await;
    let mut client = proxy.client().await;
    let body = "0123456789".repeat(100_000);
    client
        .send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    proxy.held(1).await;
    let server = ScriptedServer::start(|mut client| async move {
        let (_, body) = client.request().await;
        client.send(plain(&body.len().to_string())).await;
    })
    .await;
    proxy.ready(1, &server);
    client.send(&body).await;
    assert_eq!(client.answer(false).await.text(), body.len().to_string());
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_waits_for_a_server_that_refuses_for_a_moment() {
    let proxy = TestProxy::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    proxy.handle.publish(Upstream::Ready { generation: GenerationId::new(1), address });
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    assert_eq!(client.answer(false).await.text(), "new");
    proxy.stop().await;
}

#[tokio::test]
async fn a_safe_request_to_a_dying_generation_goes_to_the_next_one() {
    let proxy = TestProxy::new().await;
    let (met, mut meeting) = tokio::sync::mpsc::unbounded_channel();
    let dying = ScriptedServer::start(move |mut client| {
        let met = met.clone();
        async move {
            client.request().await;
            met.send(()).unwrap();
            std::future::pending().await
        }
    })
    .await;
    proxy.ready(1, &dying);
    let mut get = proxy.client().await;
    get.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut post = proxy.client().await;
    post.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi").await;
    soon("both requests have arrived", async { (meeting.recv().await, meeting.recv().await) }).await;
    dying.die().await;
    proxy.handle.hold();
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    assert_eq!(get.answer(false).await.text(), "new");
    assert_eq!(post.answer(false).await.status, 502, "a POST is not repeated");
    assert_eq!(new.accepted(), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn event_streams_delay_no_restart_and_end_when_released() {
    let proxy = TestProxy::new().await;
    let old = ScriptedServer::start(|mut client| async move {
        client.request().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").await;
        client.rest().await;
    })
    .await;
    proxy.ready(1, &old);
    let mut events = proxy.client().await;
    events.send("GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    events.head().await;
    assert_eq!(events.chunk().await.unwrap(), b"data: 1\n\n");
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    until("the stream is not waited for", || proxy.drained(1) == 1).await;
    proxy.handle.release_streams(GenerationId::new(1));
    assert_eq!(
        events.rest().await,
        b"0\r\n\r\n",
        "the stream ends without a cut, and the connection is closed"
    );
    until("the server's side is closed", || old.ended() == 1).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_websocket_is_closed_between_frames_with_code_1012() {
    let proxy = TestProxy::new().await;
    let (go, going) = tokio::sync::watch::channel(false);
    let server = ScriptedServer::start(move |mut client: Connection| {
        let mut going = going.clone();
        async move {
            let head = client.head().await;
            assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
            client
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                .await;
            assert_eq!(client.take(2).await, [0x81, 0x00]);
            client.send([0x82, 0x04, 1, 2]).await;
            let _ = going.wait_for(|go| *go).await;
            client.send([3, 4, 0x82, 0x01, 9]).await;
            client.rest().await;
        }
    })
    .await;
    proxy.ready(1, &server);
    let mut socket = proxy.client().await;
    socket.send("GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(socket.head().await.starts_with("HTTP/1.1 101 "));
    socket.send([0x81, 0x00]).await;
    assert_eq!(socket.take(4).await, [0x82, 0x04, 1, 2]);
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    until("the socket is not waited for", || proxy.drained(1) == 1).await;
    proxy.handle.release_streams(GenerationId::new(1));
    go.send_replace(true);
    assert_eq!(
        socket.rest().await,
        [3, 4, 0x88, 0x02, 0x03, 0xf4],
        "the frame ends, then comes the close, then the end"
    );
    until("the server's side is closed", || server.ended() == 1).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_generation_that_changes_its_address_is_not_drained() {
    let proxy = TestProxy::new().await;
    let (first, second) = (ScriptedServer::saying("first").await, ScriptedServer::saying("second").await);
    proxy.ready(1, &first);
    proxy.ready(1, &second);
    proxy.ready(1, &second);
    assert_eq!(proxy.get("/").await.text(), "second");
    proxy.handle.hold();
    proxy.ready(2, &first);
    until("the generation is drained", || proxy.drained(1) == 1).await;
    proxy.ready(3, &second);
    until("the next one is drained", || proxy.drained(2) == 1).await;
    assert_eq!(proxy.drained(1), 1);
    proxy.stop().await;
}
