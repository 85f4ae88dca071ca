//! Heads of messages: URLs that name the server's own port, large heads, odd ones, refused ones.

use crate::support::proxy::{ScriptedServer, TestProxy, header};

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
