//! The proxy forwards every byte and streams in both directions.

use std::sync::{Arc, Mutex};

use crate::support::proxy::{Connection, ScriptedServer, TestProxy, header, plain, soon, until};

/// A server that records the heads of its requests and sends this answer.
async fn recording(answer: impl Into<String>) -> (ScriptedServer, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (kept, answer) = (Arc::clone(&heads), answer.into());
    let server = ScriptedServer::start(move |mut client| {
        let (kept, answer) = (Arc::clone(&kept), answer.clone());
        async move {
            let (head, _) = client.request().await;
            if head.is_empty() {
                return;
            }
            kept.lock().unwrap().push(head);
            client.send(answer).await;
        }
    })
    .await;
    (server, heads)
}

async fn proxy_before(server: &ScriptedServer) -> TestProxy {
    let proxy = TestProxy::new().await;
    proxy.ready(1, server);
    proxy
}

#[tokio::test]
async fn a_request_gets_forwarding_headers_and_loses_connection_headers() {
    let (server, heads) = recording(plain("ok")).await;
    let proxy = proxy_before(&server).await;
    let request = "GET /a%20b?q=1 HTTP/1.1\r\nHost: example.test:81\r\nConnection: keep-alive, X-Hop, host\r\nX-Hop: 1\r\n\
                   Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2, 10.0.0.3\r\nX-Kept: \u{e9}1\r\nCookie: a=b\r\n\
                   Upgrade: h2c\r\nTE: trailers, deflate\r\n\r\n";
    let mut client = proxy.client().await;
    client.send(request).await;
    assert_eq!(client.answer(false).await.text(), "ok");
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET /a%20b?q=1 HTTP/1.1\r\n"), "{head}");
    for (name, value) in [
        ("Host", "example.test:81"),
        ("X-Forwarded-For", "10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "example.test:81"),
        ("X-Kept", "\u{e9}1"),
        ("Cookie", "a=b"),
        ("TE", "trailers"),
        ("Connection", "close, TE"),
    ] {
        assert_eq!(header(&head, name), Some(value), "{head}");
    }
    for name in ["X-Hop", "Keep-Alive", "Proxy-Connection", "Upgrade"] {
        assert_eq!(header(&head, name), None, "{head}");
    }
    assert!(head.contains("\r\nX-Kept: "), "names keep their case: {head}");
    proxy.stop().await;
}

#[tokio::test]
async fn an_answer_passes_unchanged_without_connection_headers() {
    let answer = "HTTP/1.1 418 Short And Stout\r\nX-Case: 1\r\nx-low: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nKeep-Alive: x\r\n\
                  Connection: close, X-Hop\r\nX-Hop: 1\r\nETag: \"x\"\r\nContent-Length: 3\r\n\r\n\x00\x7f!";
    let (server, _) = recording(answer).await;
    let proxy = proxy_before(&server).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = client.answer(false).await;
    assert!(
        answer.head.starts_with("HTTP/1.1 418 Short And Stout\r\nX-Case: 1\r\nx-low: 2\r\n"),
        "{}",
        answer.head
    );
    assert_eq!(answer.head.matches("Set-Cookie: ").count(), 2);
    assert_eq!(
        (answer.header("etag"), answer.header("x-hop"), answer.header("keep-alive")),
        (Some("\"x\""), None, None)
    );
    assert_eq!(answer.body, b"\x00\x7f!");
    assert_ne!(answer.header("connection"), Some("close"), "the client's connection stays open");
    proxy.stop().await;
}

#[tokio::test]
async fn clients_keep_their_connection_and_may_pipeline() {
    let server = ScriptedServer::start(|mut client| async move {
        let (head, body) = client.request().await;
        let path = head.split(' ').nth(1).unwrap().to_owned();
        client.send(plain(&format!("{path} {}", body.len()))).await;
    })
    .await;
    let proxy = proxy_before(&server).await;
    let mut client = proxy.client().await;
    let mut ahead = String::new();
    for number in 0..20 {
        ahead += &format!("POST /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
        ahead += &format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    client.send(ahead).await;
    for number in 0..20 {
        assert_eq!(client.answer(false).await.text(), format!("/{number} 4"));
        assert_eq!(client.answer(false).await.text(), format!("/{number} 0"));
    }
    assert_eq!(server.accepted(), 40, "each request has a fresh connection to the server");
    proxy.stop().await;
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let server = ScriptedServer::start(|mut client| async move {
        let head = client.head().await;
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        loop {
            let Some(chunk) = client.chunk().await else { return };
            client.send(format!("{:x}\r\n", chunk.len())).await;
            client.send(&chunk).await;
            client.send("\r\n").await;
            if chunk.is_empty() {
                return;
            }
        }
    })
    .await;
    let proxy = proxy_before(&server).await;
    for method in ["POST", "GET"] {
        let mut client = proxy.client().await;
        client
            .send(format!("{method} / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"))
            .await;
        client.head().await;
        for text in ["one", "two", "three"] {
            client.send(format!("{:x}\r\n{text}\r\n", text.len())).await;
            assert_eq!(
                client.chunk().await.unwrap(),
                text.as_bytes(),
                "each piece comes back before the next is sent"
            );
        }
        client.send("0\r\n\r\n").await;
        assert_eq!(client.chunk().await.unwrap(), b"");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_server_down() {
    let sent = Arc::new(Mutex::new(0_usize));
    let counted = Arc::clone(&sent);
    const WHOLE: usize = 64 * 1024 * 1024;
    let server = ScriptedServer::start(move |mut client| {
        let counted = Arc::clone(&counted);
        async move {
            client.request().await;
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n")).await;
            let block = vec![7; 64 * 1024];
            for _ in 0..WHOLE / block.len() {
                client.send(&block).await;
                *counted.lock().unwrap() += block.len();
            }
        }
    })
    .await;
    let proxy = proxy_before(&server).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.head().await;
    let count = || *sent.lock().unwrap();
    let mut last = usize::MAX;
    until("the server cannot send any more", || std::mem::replace(&mut last, count()) == count()).await;
    // Only this exchange has stopped, because the proxy still serves another one.
    assert!(count() < WHOLE, "the proxy read the whole answer before the client");
    assert_eq!(client.take(WHOLE).await.len(), WHOLE);
    proxy.stop().await;
}

#[tokio::test]
async fn answers_without_a_body_end_at_their_head() {
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: text/plain\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"a\"\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (method, said) in cases {
        let (server, _) = recording(said).await;
        let proxy = proxy_before(&server).await;
        let mut client = proxy.client().await;
        let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
        client.send(request.repeat(2)).await;
        for _ in 0..2 {
            let answer = client.answer(method == "HEAD").await;
            assert!(answer.whole && answer.body.is_empty(), "{said}");
            let length = |head: &str| header(head, "content-length").map(str::to_owned);
            // A 304 may omit the length (RFC 9110, 8.6), and the proxy omits it.
            if answer.status != 304 && length(said).is_some() {
                assert_eq!(length(&answer.head), length(said), "{said}");
            }
            assert_eq!(answer.header("etag"), header(said, "etag"), "{said}");
        }
        proxy.stop().await;
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let server = ScriptedServer::start(|mut client| async move {
        let head = client.head().await;
        assert_eq!(header(&head, "trailer"), Some("X-Sum"), "{head}");
        assert_eq!(client.chunk().await.unwrap(), b"up");
        assert_eq!(client.chunk().await.unwrap(), b"");
        assert_eq!(client.take(12).await.to_ascii_lowercase(), b"x-sum: 1\r\n\r\n");
        client
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n2\r\nok\r\n0\r\nX-Check: 9\r\n\r\n")
            .await;
    })
    .await;
    let proxy = proxy_before(&server).await;
    let answer = proxy
        .ask(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nup\r\n0\r\nX-Sum: 1\r\n\r\n",
        )
        .await;
    assert_eq!((answer.text(), answer.trailers.to_ascii_lowercase().as_str()), ("ok", "x-check: 9\n"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_body_with_expect_is_sent_when_the_server_asks_for_it() {
    let (go, going) = tokio::sync::watch::channel(false);
    let server = ScriptedServer::start(move |mut client| {
        let mut going = going.clone();
        async move {
            let head = client.head().await;
            assert_eq!(header(&head, "expect"), Some("100-continue"));
            let _ = going.wait_for(|go| *go).await;
            if head.contains("/refused") {
                return client.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n").await;
            }
            client.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(client.take(4).await, b"body");
            client.send(plain("thanks")).await;
        }
    })
    .await;
    let proxy = proxy_before(&server).await;
    let request = |path: &str| {
        format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = proxy.client().await;
    client.send(request("/")).await;
    let mut refused = proxy.client().await;
    refused.send(request("/refused")).await;
    until("both requests have reached the server", || server.accepted() == 2).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), client.try_head()).await;
    assert!(early.is_err(), "devrun sends no 100 for the server");
    go.send_replace(true);
    assert!(client.head().await.starts_with("HTTP/1.1 100 Continue\r\n"));
    client.send("body").await;
    assert_eq!(client.answer(false).await.text(), "thanks");
    assert_eq!(refused.answer(false).await.status, 417, "the final answer arrives without an interim one");
    proxy.stop().await;
}

#[tokio::test]
async fn a_server_without_support_for_expect_gets_the_body_at_once() {
    let server = ScriptedServer::start(|mut client| async move {
        let (_, body) = client.request().await;
        client.send(plain(&String::from_utf8(body).unwrap())).await;
    })
    .await;
    let proxy = proxy_before(&server).await;
    let mut client = proxy.client().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    until("the request has reached the server", || server.accepted() == 1).await;
    client.send("body").await;
    let mut answer = client.answer(false).await;
    if answer.status == 100 {
        answer = client.answer(false).await;
    }
    assert_eq!(answer.text(), "body");
    proxy.stop().await;
}

#[tokio::test]
async fn interim_answers_pass_before_the_final_one() {
    let said = format!(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n{}",
        plain("final")
    );
    let (server, _) = recording(said).await;
    let proxy = proxy_before(&server).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(client.answer(false).await.status, 102);
        let hints = client.answer(false).await;
        assert_eq!((hints.status, hints.header("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!(client.answer(false).await.text(), "final");
    }
    let old = proxy.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.status, old.text()), (200, "final"), "clients of HTTP/1.0 know no interim answers");
    proxy.stop().await;
}

#[tokio::test]
async fn old_protocols_are_understood_on_both_sides() {
    let (server, heads) =
        recording("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the close").await;
    let proxy = proxy_before(&server).await;
    let new = proxy.get("/").await;
    assert!(new.head.starts_with("HTTP/1.1 200 OK") && new.whole);
    assert_eq!(new.text(), "until the close");
    let old = proxy.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.head.starts_with("HTTP/1.0 200 OK") && old.whole, "{}", old.head);
    assert_eq!((old.text(), old.header("transfer-encoding")), ("until the close", None));
    for head in heads.lock().unwrap().iter() {
        assert!(
            head.starts_with("GET / HTTP/1.1\r\n") && header(head, "host") == Some("localhost"),
            "{head}"
        );
    }
    proxy.stop().await;
}

#[tokio::test]
async fn large_heads_pass_within_bounds() {
    let (server, heads) = recording(plain("ok")).await;
    let proxy = proxy_before(&server).await;
    let large = "x".repeat(40_000);
    let many: String = (0..150).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let request =
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {large}\r\n{many}Connection: close\r\n\r\n");
    assert_eq!(proxy.ask(&request).await.text(), "ok");
    assert_eq!(header(&heads.lock().unwrap()[0], "cookie"), Some(large.as_str()));
    let (just_beyond, far_beyond) = ("x".repeat(257 * 1024), "x".repeat(800_000));
    for beyond in [format!("X: {just_beyond}\r\n"), format!("X: {far_beyond}\r\n"), "A: b\r\n".repeat(1001)] {
        let answer = proxy.ask(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{beyond}\r\n")).await;
        assert_eq!(answer.status, 431);
    }
    assert_eq!(server.accepted(), 1);
    for beyond in [format!("X: {just_beyond}\r\n"), format!("X: {far_beyond}\r\n"), "A: b\r\n".repeat(1001)] {
        let (server, _) = recording(format!("HTTP/1.1 200 OK\r\n{beyond}Content-Length: 0\r\n\r\n")).await;
        proxy.ready(2, &server);
        assert_eq!(proxy.get("/").await.status, 502);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn http_2_upgrades_are_not_forwarded() {
    let (server, heads) = recording(plain("as before")).await;
    let proxy = proxy_before(&server).await;
    let answer = proxy
        .ask(
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )
        .await;
    assert_eq!(answer.text(), "as before");
    let head = heads.lock().unwrap()[0].clone();
    assert_eq!((header(&head, "upgrade"), header(&head, "http2-settings")), (None, None), "{head}");
    assert_eq!(header(&head, "connection"), Some("close"));
    proxy.stop().await;
}

#[tokio::test]
async fn any_upgrade_is_bridged_and_refusals_pass() {
    let server = ScriptedServer::start(|mut client: Connection| async move {
        let head = client.head().await;
        if header(&head, "upgrade") != Some("echo/1") {
            return client.send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: echo/1\r\nContent-Length: 0\r\n\r\n").await;
        }
        client.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: upgrade\r\nX-A: b\r\n\r\nready").await;
        while let [byte] = client.take(1).await[..] {
            client.send([byte]).await;
        }
        client.send("bye").await;
    })
    .await;
    let proxy = proxy_before(&server).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\nahead")
        .await;
    let head = client.head().await;
    assert_eq!((header(&head, "upgrade"), header(&head, "x-a")), (Some("echo/1"), Some("b")));
    assert_eq!(client.take(10).await, b"readyahead");
    client.send("more").await;
    assert_eq!(client.take(4).await, b"more");
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    assert_eq!(client.rest().await, b"bye", "a half-closed client still receives");
    soon("the connection to the server is closed", async { until("it ends", || server.ended() == 1).await })
        .await;

    let refused =
        proxy.ask("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n");
    assert_eq!(refused.await.status, 426);
    proxy.stop().await;
}

#[tokio::test]
async fn both_loopback_families_share_one_free_port() {
    use devrun::proxy::{Event, Options, Proxy};
    let options = Options::new(vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]);
    let mut proxy = Proxy::start(options).await.unwrap();
    let Some(Event::Listening { addresses }) = proxy.next_event().await else { panic!("no address") };
    assert!(addresses.iter().all(|address| address.port() == addresses[0].port() && address.port() != 0));
    let again = Proxy::start(Options::new(vec![addresses[0]])).await;
    assert_eq!(again.unwrap_err().to_string(), format!("listen on {}", addresses[0]));
    proxy.stop().await;
}
