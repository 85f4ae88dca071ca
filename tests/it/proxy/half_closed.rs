//! Clients that close their sending side: the proxy treats them as gone and cancels their requests.

use tokio::io::AsyncWriteExt;

use crate::support::proxy::{ScriptedServer, TestProxy, until};

const GET: &str = "GET /get HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
const CHUNKED: &str =
    "PUT /chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

#[tokio::test]
async fn a_client_that_closes_its_sending_side_cancels_its_request() {
    // A server that never answers. Its script ends when the proxy closes the connection.
    let server = ScriptedServer::start(|mut client| async move {
        client.request().await;
        client.rest().await;
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for (number, request) in [GET, POST, CHUNKED].into_iter().enumerate() {
        let mut client = proxy.client().await;
        client.send(request).await;
        until("the server has the request", || server.accepted() == number + 1).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.rest().await, b"", "a client that has left gets no answer");
        until("the connection to the server is closed", || server.ended() == number + 1).await;
    }
    proxy.handle.hold();
    let mut held = proxy.client().await;
    held.send(POST).await;
    proxy.held(1).await;
    held.stream.shutdown().await.unwrap();
    assert_eq!(held.rest().await, b"");
    proxy.reported_held(0, 1).await;
    proxy.stop().await;
}
