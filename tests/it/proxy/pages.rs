//! The script that the proxy adds to pages, its error pages, and the access to its own paths.

use std::sync::Arc;

use devrun::proxy::FailureReport;

use crate::support::proxy::{Answer, ScriptedServer, TestProxy, until};

const TAG: &str = "<script src=\"/__devrun/client.js\"";

fn page(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The proxy's answer to a request that the server answers with `said`, and the head that the server
/// received.
async fn through(request: &str, said: impl Into<String>) -> (Answer, String) {
    let said = said.into();
    let (send, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = ScriptedServer::start(move |mut client| {
        let (said, send) = (said.clone(), send.clone());
        async move {
            let (head, _) = client.request().await;
            let _ = send.send(head);
            client.send(said).await;
        }
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    let answer = proxy.ask(request).await;
    let head = seen.recv().await.unwrap();
    proxy.stop().await;
    (answer, head)
}

const BROWSER: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, br\r\n\
                       Sec-Fetch-Dest: document\r\n\r\n";

#[tokio::test]
async fn a_page_gets_one_script_and_correct_headers() {
    let fields =
        "Content-Type: Text/HTML; charset=utf-8\r\nETag: \"a\"\r\nContent-MD5: x\r\nLast-Modified: y\r\n";
    let (answer, asked) = through(BROWSER, page(fields, "<p>\u{62a}\u{642}</p></html>")).await;
    assert!(answer.whole);
    let (before, tag) = answer.text().split_at("<p>\u{62a}\u{642}</p></html>".len());
    assert_eq!(before, "<p>\u{62a}\u{642}</p></html>");
    assert!(tag.starts_with(TAG) && tag.ends_with("></script>"), "{tag}");
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert_eq!(
        (answer.header("etag"), answer.header("content-md5"), answer.header("last-modified")),
        (None, None, Some("y"))
    );
    assert!(asked.contains("Accept-Encoding: identity\r\n"), "{asked}");
    let again = BROWSER.replace("\r\n\r\n", "\r\nIf-Modified-Since: y\r\nIf-None-Match: \"a\"\r\n\r\n");
    let (_, asked) = through(&again, page(fields, "<p>")).await;
    assert!(!asked.contains("If-"), "the tag would belong to older code: {asked}");
    let (_, asked) =
        through(&again.replace("document", "image").replace("text/html,", ""), page(fields, "<p>")).await;
    assert!(asked.contains("If-Modified-Since: y\r\nIf-None-Match: \"a\"\r\n"), "{asked}");

    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<p>\r\n0\r\n\r\n";
    let (answer, _) = through(BROWSER, chunked).await;
    assert!(answer.whole && answer.text().starts_with("<p><script"), "{}", answer.text());
    let (answer, _) = through("GET / HTTP/1.0\r\nAccept: text/html\r\n\r\n", chunked).await;
    assert!(answer.text().starts_with("<p><script"), "{}", answer.text());
    let error =
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>";
    let (answer, _) = through(BROWSER, error).await;
    assert!(
        answer.status == 500 && answer.text().contains(TAG),
        "an error page comes back when the error is mended"
    );
}

#[tokio::test]
async fn other_responses_pass_unchanged() {
    let html = "Content-Type: text/html\r\nETag: \"a\"\r\n";
    let body = "<p>body</p>";
    let script = BROWSER.replace("document", "empty");
    let cases = [
        (BROWSER.to_owned(), page("Content-Type: application/json\r\nETag: \"a\"\r\n", body)),
        (BROWSER.to_owned(), page("ETag: \"a\"\r\n", body)),
        (BROWSER.to_owned(), page("Content-Type: application/xhtml+xml\r\nETag: \"a\"\r\n", body)),
        (BROWSER.to_owned(), page("Content-Type: text/html; charset=UTF-16LE\r\nETag: \"a\"\r\n", body)),
        (BROWSER.to_owned(), page(&format!("{html}Content-Encoding: gzip\r\n"), body)),
        (BROWSER.to_owned(), page(&format!("{html}Content-Range: bytes 0-10/20\r\n"), body)),
        (BROWSER.to_owned(), page(html, body).replace("200 OK", "206 Partial Content")),
        (BROWSER.to_owned(), page(html, body).replace("200 OK", "302 Found")),
        (BROWSER.to_owned(), page(&format!("{html}Content-Security-Policy: script-src 'none'\r\n"), body)),
        (
            BROWSER.to_owned(),
            page(&format!("{html}Content-Security-Policy: default-src https://x.test\r\n"), body),
        ),
        (
            BROWSER.to_owned(),
            page(
                &format!("{html}Content-Security-Policy: script-src 'self' 'sha256-x' 'strict-dynamic'\r\n"),
                body,
            ),
        ),
        (BROWSER.to_owned(), page(&format!("{html}Content-Security-Policy: connect-src 'none'\r\n"), body)),
        (
            BROWSER.to_owned(),
            page(
                &format!("{html}Content-Security-Policy: script-src 'nonce-a', script-src 'nonce-b'\r\n"),
                body,
            ),
        ),
        (
            BROWSER.to_owned(),
            page(&format!("{html}Content-Security-Policy: script-src 'nonce-\"'\r\n"), body),
        ),
        (BROWSER.to_owned(), page(&format!("{html}Content-Security-Policy: sandbox allow-forms\r\n"), body)),
        (
            BROWSER.to_owned(),
            page(&format!("{html}Content-Disposition: Attachment; filename=a.html\r\n"), body),
        ),
        (script.clone(), page(html, body)),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".to_owned(),
            page(html, body),
        ),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), page(html, body)),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".to_owned(), page(html, body)),
        (BROWSER.replace("document", "embed"), page(html, body)),
        (BROWSER.replace("\r\n\r\n", "\r\nHX-Request: true\r\n\r\n"), page(html, body)),
    ];
    for (request, said) in cases {
        let (answer, _) = through(&request, said.as_str()).await;
        assert_eq!(answer.text(), body, "{said}");
        assert_eq!(answer.header("etag"), Some("\"a\""), "{said}");
    }
    let inline = page(&format!("{html}Content-Disposition: inline\r\n"), body);
    assert!(through(BROWSER, inline).await.0.text().contains(TAG), "an inline document is a page");
    let (_, asked) = through(&script.replace("text/html,", ""), page("", "")).await;
    assert!(asked.contains("Accept-Encoding: gzip, br\r\n"), "{asked}");
    let open = page(&format!("{html}Content-Security-Policy: default-src 'self'; img-src *\r\n"), body);
    let (answer, _) = through(BROWSER, open).await;
    assert!(answer.text().contains(TAG));
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'; img-src *"));
    let (head, _) = through(
        &BROWSER.replace("GET", "HEAD"),
        format!("HTTP/1.1 200 OK\r\n{html}Content-Length: 11\r\n\r\n"),
    )
    .await;
    let whole = through(BROWSER, page(html, body)).await.0;
    assert_eq!((head.header("content-length"), head.header("etag")), (whole.header("content-length"), None));
    for frame in ["iframe", "frame"] {
        let (answer, _) = through(&BROWSER.replace("document", frame), page(html, body)).await;
        assert!(answer.text().contains(TAG), "{frame}");
    }
    let old = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/xml, Text/HTML;q=0.9\r\n\r\n";
    assert!(through(old, page(html, body)).await.0.text().contains(TAG), "a browser without Sec-Fetch-Dest");
}

#[tokio::test]
async fn a_script_gets_the_nonce_of_the_policy() {
    for (policy, nonced) in [
        ("script-src 'nonce-Zm9v+/=='; connect-src 'self'", true),
        ("default-src 'self'; script-src 'strict-dynamic' 'NONCE-Zm9v+/==' https:", true),
        ("script-src 'self' 'nonce-Zm9v+/=='", false),
        ("script-src 'self', script-src-elem 'nonce-Zm9v+/=='", true),
    ] {
        let fields = format!("Content-Type: text/html\r\nContent-Security-Policy: {policy}\r\n");
        let (answer, _) = through(BROWSER, page(&fields, "<p>")).await;
        assert!(answer.text().starts_with("<p><script src"), "{policy}: {}", answer.text());
        assert_eq!(
            answer.text().ends_with(" nonce=\"Zm9v+/==\"></script>"),
            nonced,
            "{policy}: {}",
            answer.text()
        );
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn without_live_reload_pages_pass_unchanged() {
    let server = ScriptedServer::start(|mut client| async move {
        let (head, _) = client.request().await;
        assert!(head.contains("Accept-Encoding: gzip, br\r\n"), "{head}");
        client.send(page("Content-Type: text/html\r\n", "<p>")).await;
    })
    .await;
    let proxy = TestProxy::with(|options| options.live_reload = false).await;
    proxy.ready(1, &server);
    assert_eq!(proxy.ask(BROWSER).await.text(), "<p>");
    proxy.stop().await;
}

fn hostile() -> FailureReport {
    FailureReport {
        headline: "exited with <b>status</b> 1".into(),
        command: "sh -c '<script>alert(1)</script>'".into(),
        changed: vec!["<img src=x onerror=alert(1)>".into(), "{{output}} \u{202e}gpj".into()],
        output: b"</pre><script>alert(2)</script>\x1b]0;t\x07\x1b[31mred\x1b[0m \"q\" {{title}} \xff\r\n"
            .to_vec(),
        ..FailureReport::default()
    }
}

#[tokio::test]
async fn the_page_escapes_everything_and_is_only_for_navigations() {
    let proxy = TestProxy::new().await;
    proxy.down(hostile());
    let page = proxy.ask(BROWSER).await;
    assert_eq!((page.status, page.header("retry-after")), (503, Some("1")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let text = page.text();
    for escaped in [
        "&lt;b&gt;status&lt;/b&gt;",
        "&lt;img src=x onerror=alert(1)&gt;",
        "&lt;/pre&gt;&lt;script&gt;alert(2)&lt;/script&gt;<span style=\"color:#ff7b80\">red</span> &quot;q&quot; {{title}} \u{fffd}",
        "{{output}} \u{202e}gpj",
    ] {
        assert!(text.contains(escaped), "{escaped}\n{text}");
    }
    assert_eq!(text.matches("<script").count(), 1);
    assert!(
        !text.contains("<img")
            && !text.contains('\x1b')
            && !text.contains("http://")
            && !text.contains("https://")
    );

    for request in [
        BROWSER.replace("document", "empty"),
        BROWSER.replace("document", "script"),
        "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ] {
        let answer = proxy.ask(&request).await;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            json["detail"],
            "exited with <b>status</b> 1\n</pre><script>alert(2)</script>red \"q\" {{title}} \u{fffd}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(!answer.text().contains('<'), "no browser can take the JSON for a page");
    }
    let head = proxy.ask(&BROWSER.replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.body.len()), (503, 0));
    proxy.stop().await;
}

#[tokio::test]
async fn own_paths_are_refused_to_hosts_that_dns_can_rebind() {
    let proxy = TestProxy::with(|options| options.allowed_hosts = vec!["dev.example".into()]).await;
    let ask = async |host: &str, path: &str| {
        let request = format!("GET /__devrun/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        proxy.ask(&request).await
    };
    for host in [
        "localhost",
        "LOCALHOST:8000",
        "app.localhost:1",
        "127.0.0.1:5000",
        "[::1]:5000",
        "192.168.1.9",
        "dev.example:80",
    ] {
        let script = ask(host, "client.js").await;
        assert_eq!(script.status, 200, "{host}");
        assert!(script.header("content-type").unwrap().starts_with("text/javascript"));
    }
    for host in ["evil.test", "localhost.evil.test", "evil.test:80", "127.0.0.1.evil.test", ""] {
        assert_eq!(ask(host, "client.js").await.status, 403, "{host}");
        assert_eq!(ask(host, "events").await.status, 403, "{host}");
    }
    assert_eq!(ask("localhost", "other").await.status, 404);
    assert_eq!(ask("localhost", "../x").await.status, 404);
    let sent =
        proxy.ask("POST /__devrun/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((sent.status, sent.header("allow")), (405, Some("GET, HEAD")));
    proxy.stop().await;
}

#[tokio::test]
async fn pages_receive_an_event_when_newer_code_is_ready() {
    let proxy = TestProxy::new().await;
    let mut events = proxy.client().await;
    events.send("GET /__devrun/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(events.head().await.contains("text/event-stream"));
    let mut next = async || -> serde_json::Value {
        let chunk = String::from_utf8(events.chunk().await.unwrap()).unwrap();
        serde_json::from_str(chunk.split_once("data: ").unwrap().1.trim()).unwrap()
    };
    assert_eq!(next().await["state"], "starting");
    proxy.down(hostile());
    let down = next().await;
    assert_eq!((down["state"].as_str(), down["id"].as_str()), (Some("down"), None));
    let (go, going) = tokio::sync::watch::channel(false);
    let old = ScriptedServer::start(move |mut client| {
        let mut going = going.clone();
        async move {
            client.request().await;
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").await;
            let _ = going.wait_for(|go| *go).await;
            client.send("b").await;
        }
    })
    .await;
    proxy.ready(1, &old);
    let first = next().await;
    assert_eq!((first["state"].as_str(), &first["banner"]), (Some("ready"), &serde_json::Value::Null));
    proxy.handle.banner(Some(Arc::new(hostile())));
    assert!(next().await["banner"]["text"].as_str().unwrap().contains("exited with <b>"));
    proxy.handle.banner(None);
    assert_eq!(next().await, first);

    let mut fetch = proxy.client().await;
    fetch.send("GET /file HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Dest: empty\r\n\r\n").await;
    fetch.head().await;
    let new = ScriptedServer::saying("new").await;
    proxy.ready(2, &new);
    let waiting = next().await;
    assert_eq!(waiting["state"], "draining", "a reload would abort the request of the page's script");
    assert_ne!(waiting["id"], first["id"]);
    go.send_replace(true);
    let released = std::time::Instant::now();
    assert_eq!(fetch.take(2).await, b"ab");
    assert_eq!(next().await["state"], "ready");
    let waited = released.elapsed().as_millis();
    assert!(waited >= 1000, "a script still reads its response, but the page may reload after {waited} ms");
    until("the old generation is drained", || proxy.drained(1) == 1).await;
    proxy.stop().await;
}
