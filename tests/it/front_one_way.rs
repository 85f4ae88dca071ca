//! Clients that have closed their sending side and still listen: whether they do is known where the kernel says who holds the
//! other end of a connection.

use std::time::Duration;

use devrun::proxy::FailureReport;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::front_halves::{SHORT, one_way};
use crate::front_stage::{Client, Server, Stage, plain, until};

/// A server that answers only when told, and then with how much it was sent.
async fn patient_server() -> (Server, watch::Sender<bool>) {
    let (open, opened) = watch::channel(false);
    let server = Server::start(move |mut client| {
        let mut opened = opened.clone();
        async move {
            let (head, body) = client.request().await;
            let told = opened.wait_for(|open| *open);
            if tokio::select! { _ = told => true, _ = client.rest() => false } {
                let target = head.split(' ').nth(1).unwrap_or_default();
                client.send(plain(&format!("{target} {}", body.len()))).await;
                client.rest().await;
            }
        }
    })
    .await;
    (server, open)
}

const GET: &str = "GET /get HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
const CHUNKED: &str =
    "PUT /chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

#[tokio::test]
async fn a_client_that_has_said_all_it_wants_gets_its_answer() {
    let (server, open) = patient_server().await;
    let stage = Stage::new().await;
    let mut clients = Vec::new();
    for (request, answer) in [(GET, "/get 0"), (POST, "/post 4"), (CHUNKED, "/chunked 4")] {
        // One is held, one is passed on at once.
        clients.push((one_way(&stage, request).await, answer));
    }
    stage.held(2).await;
    stage.ready(1, &server);
    for (request, answer) in [(GET, "/get 0"), (POST, "/post 4"), (CHUNKED, "/chunked 4")] {
        clients.push((one_way(&stage, request).await, answer));
    }
    until("all are there", || server.accepted() == 6).await;
    // Long enough for whoever takes the end for leaving.
    tokio::time::sleep(Duration::from_millis(50)).await;
    open.send(true).unwrap();
    for (mut client, wanted) in clients {
        let answer = client.answer(false).await;
        assert!(answer.whole && answer.text() == wanted, "{answer:?}, not {wanted}");
        assert!(client.ended().await, "nothing more is waited for on its connection");
    }
    let mut several = one_way(&stage, &format!("{GET}{POST}{CHUNKED}")).await;
    for wanted in ["/get 0", "/post 4", "/chunked 4"] {
        assert_eq!(several.answer(false).await.text(), wanted);
    }
    assert!(several.ended().await);
    stage.stop().await;
}

#[tokio::test]
async fn a_client_that_said_all_and_leaves_takes_its_request_with_it() {
    let (server, _never) = patient_server().await;
    let stage = Stage::new().await;
    stage.ready(1, &server);
    for (number, request) in [GET, POST, CHUNKED].into_iter().enumerate() {
        let client = one_way(&stage, request).await;
        until("the request is there", || server.accepted() == number + 1).await;
        drop(client);
        until("the server is left", || server.ended() == number + 1).await;
    }
    stage.handle.hold();
    let held = one_way(&stage, POST).await;
    stage.held(1).await;
    drop(held);
    stage.told_held(0, 1).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_client_that_has_said_all_it_wants_hears_of_a_dead_server_too() {
    let stage = Stage::new().await;
    stage.down(FailureReport::default());
    for request in [GET, POST, SHORT] {
        assert_eq!(one_way(&stage, request).await.answer(false).await.status, 503);
    }
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_nonblocking(true).unwrap();
    stage.handle.answer_on(vec![socket.into()], std::sync::Arc::new(FailureReport::default()));
    for request in [GET, POST, SHORT] {
        let mut client = Client::connect(address).await;
        client.send(request).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.answer(false).await.status, 503);
    }
    stage.stop().await;
}
