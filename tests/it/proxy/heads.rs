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

/// A server that expects TLS, and gives plain HTTP this answer.
async fn tls_server(to_http: &'static str) -> ScriptedServer {
    ScriptedServer::start(move |mut client| async move {
        match client.take(1).await.as_slice() {
            [0x16] => client.send([0x15, 3, 3, 0, 2, 2, 40]).await,
            [] => return,
            _ => client.send(to_http).await,
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await;
        client.rest().await;
    })
    .await
}

#[tokio::test]
async fn a_server_that_expects_tls_is_named() {
    for to_http in [
        "",
        "\x15\x03\x03\0\x02\x02\x28",
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
    ] {
        let server = tls_server(to_http).await;
        let proxy = TestProxy::new().await;
        proxy.ready(1, &server);
        for _ in 0..2 {
            let answer = proxy.get("/").await;
            assert_eq!(answer.status, 502, "{to_http:?}");
            assert!(answer.text().contains(&format!("{} answers in TLS only", server.address)), "{answer:?}");
        }
        until("an event reports it", || !proxy.events().is_empty()).await;
        let event = &proxy.events()[0];
        assert!(
            matches!(event, Event::Answered { status: 502, remedy: devrun::Remedy::KeepTls, .. }),
            "{event:?}"
        );
        proxy.stop().await;
    }
}

/// An answer 400 passes unchanged, and at most the first one of a server leads to the question about TLS.
#[tokio::test]
async fn an_answer_400_of_a_server_without_tls_passes() {
    let server = ScriptedServer::start(|mut client| async move {
        client.request().await;
        client.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad").await;
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for accepted in [2, 3, 4] {
        let answer = proxy.get("/").await;
        assert_eq!((answer.status, answer.text(), server.accepted()), (400, "bad", accepted));
    }
    proxy.stop().await;
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
