//! Heads of messages: URLs with the server's own port, large heads, unusual heads, refused heads.

use devrun::proxy::Event;

use crate::support::proxy::{Answer, ScriptedServer, TestProxy, header, plain, until};

#[tokio::test]
async fn urls_with_the_servers_own_port_lead_to_the_proxy() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = ScriptedServer::on(listener, move |mut client| async move {
        client.request().await;
        let link =
            format!("Link: <http://127.0.0.1:{port}/a.css>; rel=preload, <http://localhost:{port}/b>\r\n");
        client.send(format!("HTTP/1.1 103 Early Hints\r\n{link}\r\n")).await;
        client
            .send(format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://localhost:{port}/login?next=%2F\r\n\
                 Content-Location: http://[::1]:{port}/x\r\nRefresh: 1; url=http://localhost:{port}/y\r\n\
                 {link}X-Kept: http://localhost:{port}/\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
    });
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for (fields, origin) in [
        ("Host: dev.test:8000\r\n", "http://dev.test:8000"),
        ("Host: dev.test\r\nX-Forwarded-Proto: https\r\n", "https://dev.test"),
    ] {
        let mut client = proxy.client().await;
        client.send(format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
        let link = format!("<{origin}/a.css>; rel=preload, <{origin}/b>");
        assert_eq!(header(&client.head().await, "link"), Some(link.as_str()));
        let answer = client.answer(false).await;
        assert_eq!(answer.header("location"), Some(format!("{origin}/login?next=%2F").as_str()));
        assert_eq!(answer.header("content-location"), Some(format!("{origin}/x").as_str()));
        assert_eq!(answer.header("refresh"), Some(format!("1; url={origin}/y").as_str()));
        assert_eq!(answer.header("link"), Some(link.as_str()));
        assert_eq!(answer.header("x-kept"), Some(format!("http://localhost:{port}/").as_str()));
    }
    proxy.stop().await;
}

/// The proxy's answer when the server sends `said` and closes, and the events about it.
async fn through(said: String) -> (Answer, Vec<Event>) {
    let server = ScriptedServer::start(move |mut client| {
        let said = said.clone();
        async move {
            client.request().await;
            client.send(said).await;
        }
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    let answer = proxy.get("/").await;
    if answer.status == 502 {
        until("an event reports the answer", || !proxy.events().is_empty()).await;
    }
    let events = proxy.events();
    proxy.stop().await;
    (answer, events)
}

#[tokio::test]
async fn large_and_odd_heads_of_answers_pass() {
    let large = "x".repeat(250 * 1024);
    let many: String = (0..990).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let ends = "Content-Length: 2\r\n\r\nok";
    for (fields, name, value) in [
        (format!("X-Large: {large}\r\n{ends}"), "x-large", large.as_str()),
        (format!("{many}{ends}"), "x-989", "989"),
        (format!("X-Folded: one\r\n two\r\n\tthree\r\n{ends}"), "x-folded", "one two three"),
        (format!("X-Spaced : one\r\n{ends}"), "x-spaced", "one"),
        (format!("a line without a colon\r\nX-Next: one\r\n{ends}"), "x-next", "one"),
        (format!("X-Next: one\r\nTransfer-Encoding: identity\r\n{ends}"), "x-next", "one"),
        ("X-Next: one\r\nTransfer-Encoding: Identity\r\n\r\nok".to_owned(), "x-next", "one"),
        (
            "X-Next: one\r\nTransfer-Encoding: identity, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(),
            "x-next",
            "one",
        ),
    ] {
        let (answer, events) = through(format!("HTTP/1.1 200 OK\r\n{fields}")).await;
        let shown = fields.get(..60).unwrap_or(&fields);
        assert_eq!((answer.status, answer.text(), answer.whole), (200, "ok", true), "{shown}: {events:?}");
        assert_eq!(answer.header(name), Some(value), "{shown}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_pass_is_reported() {
    for fields in [
        "Transfer-Encoding: gzip\r\n\r\nok".to_owned(),
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("X-Large: {}\r\n\r\n", "x".repeat(257 * 1024)),
        "A: b\r\n".repeat(1001) + "\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\nok".to_owned(),
    ] {
        let (answer, events) = through(format!("HTTP/1.1 200 OK\r\n{fields}")).await;
        assert_eq!(answer.status, 502, "{}", fields.get(..60).unwrap_or(&fields));
        assert!(matches!(events[..], [Event::Answered { status: 502, .. }, ..]), "{events:?}");
    }
}

#[tokio::test]
async fn bytes_after_a_refused_request_are_not_answered() {
    let server = ScriptedServer::saying("smuggled").await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    let behind = "GET /behind HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (request, status) in [
        ("CONNECT example.test:443 HTTP/1.1\r\nHost: example.test\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ] {
        let mut client = proxy.client().await;
        client.send(format!("{request}{behind}")).await;
        let answer = client.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{request}");
        client.send(behind).await;
        assert_eq!(client.rest().await, b"", "{request}");
    }
    assert_eq!(server.accepted(), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn forwarded_headers_can_be_turned_off() {
    let (send, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let server = ScriptedServer::start(move |mut client| {
        let send = send.clone();
        async move {
            let _ = send.send(client.request().await.0);
            client.send(plain("ok")).await;
        }
    })
    .await;
    let proxy = TestProxy::with(|options| options.forwarded = false).await;
    proxy.ready(1, &server);
    proxy.get("/").await;
    let head = heads.recv().await.unwrap();
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
        assert_eq!(header(&head, name), None, "{head}");
    }
    proxy.ask("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n").await;
    assert_eq!(header(&heads.recv().await.unwrap(), "x-forwarded-for"), Some("10.0.0.1"));
    proxy.stop().await;
}
