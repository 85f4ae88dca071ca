//! Many, slow and hostile clients: the proxy's resources for them are bounded.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;

use crate::support::proxy::{ScriptedServer, TestProxy, plain, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn beyond_the_limit_idle_connections_are_closed_and_busy_ones_stay() {
    let (go, going) = tokio::sync::watch::channel(false);
    let server = ScriptedServer::start(move |mut client| {
        let mut going = going.clone();
        async move {
            let (head, _) = client.request().await;
            if head.contains("/slow") {
                let _ = going.wait_for(|go| *go).await;
            }
            client.send(plain("ok")).await;
        }
    })
    .await;
    let proxy = TestProxy::with(|options| options.connection_limit = 20).await;
    proxy.ready(1, &server);
    let mut slow = proxy.client().await;
    slow.send(GET.replace("/ ", "/slow ")).await;
    until("the slow request has arrived", || server.accepted() == 1).await;
    let mut idle = Vec::new();
    for _ in 0..60 {
        let mut client = proxy.client().await;
        client.send(GET).await;
        assert_eq!(client.answer(false).await.text(), "ok");
        idle.push(client);
    }
    assert!(idle[0].ended().await, "the connection with the longest idle time is closed");
    let newest = idle.last_mut().unwrap();
    newest.send(GET).await;
    assert_eq!(newest.answer(false).await.text(), "ok", "the newest connection stays open");
    go.send_replace(true);
    assert_eq!(slow.answer(false).await.text(), "ok");
    proxy.stop().await;
}

#[tokio::test]
async fn connections_to_the_server_end_with_their_request() {
    let server = ScriptedServer::start(|mut client| async move {
        client.request().await;
        client.send(plain("ok")).await;
        client.rest().await;
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = proxy.client().await;
        client.send(GET).await;
        assert_eq!(client.answer(false).await.text(), "ok");
        clients.push(client);
    }
    until("idle clients hold no connection to the server", || server.ended() == 100).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_slow_server_slows_its_client_down() {
    const WHOLE: usize = 64 * 1024 * 1024;
    let (go, going) = tokio::sync::watch::channel(false);
    let server = ScriptedServer::start(move |mut client| {
        let mut going = going.clone();
        async move {
            client.head().await;
            let _ = going.wait_for(|go| *go).await;
            let length = client.take(WHOLE).await.len();
            client.send(plain(&length.to_string())).await;
        }
    })
    .await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    let mut client = proxy.client().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {WHOLE}\r\n\r\n")).await;
    let (mut from, mut to) = client.stream.into_split();
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        let block = vec![7; 64 * 1024];
        for _ in 0..WHOLE / block.len() {
            to.write_all(&block).await.unwrap();
            *counted.lock().unwrap() += block.len();
        }
        to
    });
    let count = || *sent.lock().unwrap();
    let mut last = usize::MAX;
    until("the client cannot send any more", || std::mem::replace(&mut last, count()) == count()).await;
    assert!(count() < WHOLE, "the proxy read the whole body before the server");
    go.send_replace(true);
    let _to = soon("the whole body is sent", sending).await.unwrap();
    let mut answer = vec![0; 1024];
    let read =
        soon("the answer arrives", tokio::io::AsyncReadExt::read(&mut from, &mut answer)).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).ends_with(&WHOLE.to_string()));
    proxy.stop().await;
}

#[tokio::test]
async fn endless_heads_are_cut_off() {
    let proxy = TestProxy::new().await;
    for flood in ["X-Flood: 1\r\n", "x"] {
        let mut client = proxy.client().await;
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n").await;
        let block = flood.repeat(16 * 1024 / flood.len());
        let mut blocks = 0;
        while blocks < 10_000 && client.stream.write_all(block.as_bytes()).await.is_ok() {
            blocks += 1;
        }
        assert!(blocks < 10_000, "the proxy read the whole head");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn half_requests_and_vanished_clients_leave_nothing_behind() {
    let server = ScriptedServer::saying("ok").await;
    let proxy = TestProxy::new().await;
    proxy.ready(1, &server);
    for part in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHo",
        "\r\n\r\n",
        "\0\0\0\0",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\0",
    ] {
        for _ in 0..5 {
            let mut client = proxy.client().await;
            client.send(part).await;
        }
    }
    assert_eq!(proxy.get("/").await.text(), "ok");
    assert_eq!(server.accepted(), 1);
    proxy.stop().await;
}
