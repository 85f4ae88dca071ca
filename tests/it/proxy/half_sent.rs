//! Requests that end early, and servers that answer before they have read the request.

use tokio::io::AsyncWriteExt;

use crate::support::proxy::{Connection, ScriptedServer, TestProxy, until};

/// A client that sends a text and closes its sending side.
async fn one_way(proxy: &TestProxy, request: &str) -> Connection {
    let mut client = proxy.client().await;
    client.send(request).await;
    client.stream.shutdown().await.unwrap();
    client
}

const SHORT: &str = "POST /short HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\nbody";
const SHORT_CHUNK: &str =
    "POST /short HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n";

#[tokio::test]
async fn a_request_that_ends_early_is_cancelled() {
    let server = ScriptedServer::start(|mut client| async move {
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(
            rest.ends_with("body") || rest.ends_with("body\r\n"),
            "the proxy does not complete an incomplete body: {rest}"
        );
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for (number, request) in [SHORT, SHORT_CHUNK].into_iter().enumerate() {
        let mut client = one_way(&proxy, request).await;
        client.rest().await;
        until("the connection to the server is closed", || server.ended() == number + 1).await;
    }
    assert_eq!(server.accepted(), 2);
    proxy.stop().await;
}

#[tokio::test]
async fn an_early_answer_of_a_server_that_has_closed_arrives() {
    let server = ScriptedServer::start(|mut client| async move {
        client.head().await;
        client
            .send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbig!")
            .await;
        // The server drops the connection with most of the request unread, which sends a reset.
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for size in [1_000, 100_000, 300_000, 3_000_000, 20_000_000] {
        for _ in 0..3 {
            let mut client = proxy.client().await;
            client
                .send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"))
                .await;
            client.send(vec![7; size]).await;
            let answer = client.answer(false).await;
            assert_eq!((answer.status, answer.text()), (413, "big!"), "{size}");
            let all_read = size < 20_000_000;
            assert!(all_read || answer.header("connection") == Some("close"), "{size}");
        }
    }
    proxy.stop().await;
}
