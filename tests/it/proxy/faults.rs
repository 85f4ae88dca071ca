//! Broken servers and hostile clients: no cut response looks complete, no request is smuggled, no resource
//! grows.

use std::sync::Arc;
use std::time::Duration;

use devrun::GenerationId;
use devrun::proxy::{Event, FailureReport, Upstream};

use crate::support::proxy::{Answer, Connection, ScriptedServer, TestProxy, header, plain, soon, until};

/// The answer of a server that sends a text and dies after the client has read the head and `seen` bytes.
async fn ask_dying(said: &'static str, seen: usize, request: &str) -> Answer {
    let proxy = TestProxy::new().await;
    let server = ScriptedServer::start(move |mut client| async move {
        client.request().await;
        client.send(said).await;
        std::future::pending().await
    })
    .await;
    proxy.ready(1, &server);
    let mut client = proxy.client().await;
    client.send(request).await;
    let head = client.head().await;
    let mut answer = client.take(seen).await;
    server.die().await;
    let mut rest =
        Connection::prepared(client.stream, [head.into_bytes(), std::mem::take(&mut answer)].concat());
    let answer = rest.answer(false).await;
    proxy.stop().await;
    answer
}

#[tokio::test]
async fn the_response_of_a_server_that_dies_in_a_body_never_looks_complete() {
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = ask_dying("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 4, get).await;
    assert!(!answer.whole && answer.body == b"half");
    let answer =
        ask_dying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 9, get).await;
    assert!(!answer.whole && answer.body == b"half");
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf";
    let answer = ask_dying(close, 9, get).await;
    assert!(
        !answer.whole && answer.body == b"half",
        "an answer that ends by the close is no end when the server is dead"
    );
    for said in [close, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let answer = ask_dying(said, 4, "GET / HTTP/1.0\r\n\r\n").await;
        assert!(!answer.whole, "a client of HTTP/1.0 gets a reset");
    }
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let answer = ask_dying(html, 9, get).await;
    assert!(!answer.whole && answer.body == b"half", "the proxy adds no script to half a page");
}

/// The kernel closes the descriptors of a killed process in any order, so its listener may be the last.
#[tokio::test]
async fn a_body_is_cut_although_the_listener_outlives_its_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dying = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nhalf").await.unwrap();
        drop(stream);
        tokio::time::sleep(Duration::from_millis(30)).await;
    });
    let proxy = TestProxy::new().await;
    proxy.handle.publish(Upstream::Ready { generation: GenerationId::new(1), address });
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = client.answer(false).await;
    assert!(!answer.whole && answer.body == b"half");
    dying.await.unwrap();
    proxy.stop().await;
}

#[tokio::test]
async fn a_server_that_closes_before_an_answer_is_a_502() {
    for said in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Length: 1",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let server = ScriptedServer::start(move |mut client| async move {
            client.request().await;
            client.send(said).await;
        })
        .await;
        let proxy = TestProxy::new().await;
        proxy.ready(1, &server);
        let answer = proxy.get("/").await;
        assert_eq!(answer.status, 502, "{said:?}: {}", answer.head);
        assert!(answer.text().starts_with("{\"error\": "), "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_502_reports_how_the_server_died() {
    let proxy = Arc::new(TestProxy::new().await);
    let server = ScriptedServer::start(|mut client| async move {
        client.request().await;
        std::future::pending().await
    })
    .await;
    proxy.ready(1, &server);
    let asking = Arc::clone(&proxy);
    let asked = tokio::spawn(async move { asking.get("/crash").await });
    until("the request has arrived", || server.accepted() == 1).await;
    server.die().await;
    proxy.down(FailureReport {
        headline: "was killed by SIGSEGV after 2 s".into(),
        output: b"boom".to_vec(),
        ..FailureReport::default()
    });
    let answer = soon("the answer arrives", asked).await.unwrap();
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("SIGSEGV") && answer.text().contains("boom"), "{}", answer.text());
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_a_504() {
    let server = ScriptedServer::start(|mut client| async move {
        client.request().await;
        client.rest().await;
    })
    .await;
    let proxy = TestProxy::with(|options| options.answer_timeout = Some(Duration::from_millis(100))).await;
    proxy.ready(1, &server);
    assert_eq!(proxy.get("/").await.status, 504);
    until("the connection to the server is closed", || server.ended() == 1).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let server = ScriptedServer::start(|mut client| async move {
        let (head, _) = client.request().await;
        if head.contains("/body") {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await;
        }
        client.rest().await;
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for (number, request) in [
        "GET /head HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /body HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /head HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody",
        "POST /head HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = proxy.client().await;
        client.send(request).await;
        until("the request has arrived", || server.accepted() == number + 1).await;
        drop(client);
        until("the connection to the server is closed", || server.ended() == number + 1).await;
    }
    assert_eq!(server.accepted(), 4, "the proxy repeats no request of a client that has left");
    proxy.stop().await;
}

#[tokio::test]
async fn no_request_is_smuggled() {
    let server = ScriptedServer::start(|mut client| async move {
        let (head, body) = client.request().await;
        let lengths = head.to_ascii_lowercase().matches("content-length:").count();
        let codings = head.to_ascii_lowercase().matches("transfer-encoding:").count();
        assert!(lengths + codings <= 1, "one framing: {head}");
        client.send(plain(&format!("{} {}", head.split(' ').nth(1).unwrap_or_default(), body.len()))).await;
        assert!(client.ended().await, "one request per connection");
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let both = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let mut client = proxy.client().await;
    client.send(&both).await;
    let answer = client.answer(false).await;
    assert!(answer.status == 400 || answer.text() == "/ 0", "{answer:?}");
    assert!(client.ended().await, "bytes after conflicting lengths are not a request (RFC 9112, 6.1)");

    let framed =
        |fields: &str| format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\nbody!{hidden}");
    for fields in [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Content-Length : 5",
        "Content-Length:\r\n 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "X: a\rb",
        "X: a\0b",
        "X: a\r\n folded",
        " X: a",
        "X Y: a",
    ] {
        let answer = proxy.ask(&framed(fields)).await;
        assert!(matches!(answer.status, 400 | 501 | 0), "{fields:?}: {answer:?}");
    }
    let mut client = proxy.client().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{hidden}"
        ))
        .await;
    let rest = client.rest().await;
    assert!(!String::from_utf8_lossy(&rest).contains("/hidden"), "an invalid chunk ends the connection");
    proxy.stop().await;
}

#[tokio::test]
async fn an_http_2_client_gets_an_explanation() {
    let proxy = TestProxy::new().await;
    let mut client = proxy.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = client.answer(false).await;
    assert_eq!(
        (answer.status, answer.text().contains("this port speaks HTTP/1.1")),
        (400, true),
        "{answer:?}"
    );
    proxy.stop().await;
}

#[tokio::test]
async fn targets_and_hosts_are_checked() {
    let server = ScriptedServer::start(|mut client| async move {
        let (head, _) = client.request().await;
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        client.send(plain(&format!("{target} {}", header(&head, "host").unwrap_or_default()))).await;
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for (request, answer) in [
        ("GET http://example.test/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n", "/x?y example.test"),
        ("GET http://example.test HTTP/1.1\r\nHost: localhost\r\n\r\n", "/ example.test"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "* localhost"),
        ("GET //evil.test/x HTTP/1.1\r\nHost: localhost\r\n\r\n", "//evil.test/x localhost"),
        ("GET /\u{62a}\u{642} HTTP/1.1\r\nHost: localhost\r\n\r\n", "/\u{62a}\u{642} localhost"),
        ("GET /a/../b?%00 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "/a/../b?%00 [::1]:80"),
    ] {
        assert_eq!(proxy.ask(request).await.text(), answer);
    }
    let served = server.accepted();
    for (request, status) in [
        ("CONNECT example.test:443 HTTP/1.1\r\nHost: example.test\r\n\r\n", 405),
        ("GET ftp://example.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET example.test HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400),
        ("G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ] {
        assert_eq!(proxy.ask(request).await.status, status, "{request:?}");
    }
    assert_eq!(server.accepted(), served, "a refused request is not forwarded");
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000));
    assert!(matches!(proxy.ask(&long).await.status, 414 | 431));
    let told = |event: &Event| matches!(event, Event::Answered { status: 400, detail, .. } if detail == "invalid URI");
    until("an event reports the invalid request", || proxy.events().iter().any(told)).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_that_loops_back_to_the_proxy_is_stopped() {
    let proxy = TestProxy::new().await;
    proxy
        .handle
        .publish(devrun::proxy::Upstream::Ready { generation: GenerationId::new(1), address: proxy.address });
    assert_eq!(proxy.get("/").await.status, 508);
    proxy.stop().await;
}

#[tokio::test]
async fn an_answer_arrives_before_the_request_is_complete() {
    let proxy = TestProxy::new().await;
    proxy.down(FailureReport::default());
    let mut client = proxy.client().await;
    let body = vec![7; 20 * 1024 * 1024];
    client
        .send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    client.send(body).await;
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        client.answer(false).await.header("connection"),
        None,
        "what has been read is no reason to close"
    );
    proxy.stop().await;
}

#[tokio::test]
async fn a_stop_ends_everything_in_bounded_time() {
    let server = ScriptedServer::start(|mut client| async move {
        let (head, _) = client.request().await;
        if head.contains("/slow") {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await;
        } else {
            client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").await;
        }
        client.rest().await;
    })
    .await;
    let proxy = TestProxy::new().await;
    let mut held = proxy.client().await;
    held.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    proxy.held(1).await;
    drop(held);
    proxy.ready(1, &server);
    let (mut idle, mut slow, mut events) = (proxy.client().await, proxy.client().await, proxy.client().await);
    slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    slow.head().await;
    events.send("GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    events.head().await;
    proxy.handle.hold();
    let mut held = proxy.client().await;
    held.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    proxy.reported_held(1, 2).await;
    let address = proxy.address;
    proxy.stop().await;
    assert_eq!(held.answer(false).await.status, 503);
    assert!(idle.ended().await);
    assert_eq!(slow.rest().await, b"part");
    assert!(events.rest().await.ends_with(b"\r\n0\r\n\r\n"));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn devrun_answers_for_a_dead_server_on_its_inherited_socket() {
    let proxy = TestProxy::new().await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let report = FailureReport {
        headline: "exited with status 1".into(),
        output: b"oops <b>".to_vec(),
        ..FailureReport::default()
    };
    socket.set_nonblocking(true).unwrap();
    proxy.handle.answer_on(vec![socket.try_clone().unwrap().into()], Arc::new(report));
    let ask = async |fields: &str| {
        let mut client = Connection::connect(address).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")).await;
        client.answer(false).await
    };
    let json = ask("").await;
    assert_eq!(
        (json.status, json.header("connection"), json.header("retry-after")),
        (503, Some("close"), Some("1"))
    );
    assert!(json.text().contains("oops"));
    let page = ask("Accept: text/html,*/*\r\n").await;
    assert!(page.text().contains("oops &lt;b&gt;") && page.text().contains("data-page=\"listen\""));
    let mut events = Connection::connect(address).await;
    events.send("GET /__devrun/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(events.head().await.contains("text/event-stream"));

    proxy.handle.answer_no_more().await;
    assert!(
        events.rest().await.ends_with(b"\r\n0\r\n\r\n"),
        "the event stream ends before the server starts"
    );
    socket.set_nonblocking(false).unwrap();
    let mut client = Connection::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let accepted = soon("the server accepts", tokio::task::spawn_blocking(move || (socket.accept(), socket)))
        .await
        .unwrap();
    assert!(accepted.0.is_ok(), "the server accepts the next client");
    proxy.stop().await;
}
