//! Two generations of each real server behind the proxy. Downloads complete on the old generation while the
//! new one answers.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use devrun::GenerationId;
use devrun::proxy::Upstream;

use crate::support::proxy::{TestProxy, header, until};
use crate::support::sandbox::{Sandbox, python};

/// The same small site for WSGI, ASGI and node: its version, a slow download, the length of a body, and
/// events.
const WSGI: &str = r#"
import os, time
VERSION = os.environ["VERSION"]
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/download":
        start_response("200 OK", [("Content-Type", "application/zip")])
        return download()
    if path == "/sized":
        start_response("200 OK", [("Content-Type", "application/zip"), ("Content-Length", str(64 * 65536))])
        return download()
    if path == "/upload":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = str(len(environ["wsgi.input"].read(length))).encode()
    else:
        body = VERSION.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
def download():
    for number in range(64):
        time.sleep(0.02)
        yield bytes([number]) * 65536
"#;

const ASGI: &str = r#"
import asyncio, os
VERSION = os.environ["VERSION"]
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": VERSION + " " + (message.get("text") or "")})
    path = scope["path"]
    head = lambda kind, more=[]: send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)] + more})
    if path in ("/download", "/sized"):
        await head(b"application/zip", [(b"content-length", str(64 * 65536).encode())] if path == "/sized" else [])
        for number in range(64):
            await asyncio.sleep(0.02)
            await send({"type": "http.response.body", "body": bytes([number]) * 65536, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    body = VERSION.encode()
    if path == "/upload":
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        body = str(length).encode()
    await head(b"text/plain", [(b"content-length", str(len(body)).encode())])
    await send({"type": "http.response.body", "body": body})
"#;

const NODE: &str = r#"
const http = require("http");
http.createServer((request, response) => {
  if (request.url === "/download" || request.url === "/sized") {
    const length = request.url === "/sized" ? { "Content-Length": 64 * 65536 } : {};
    response.writeHead(200, { "Content-Type": "application/zip", ...length });
    let number = 0;
    const more = setInterval(() => {
      response.write(Buffer.alloc(65536, number++));
      if (number === 64) { clearInterval(more); response.end(); }
    }, 20);
  } else if (request.url === "/upload") {
    let length = 0;
    request.on("data", (part) => (length += part.length)).on("end", () => response.end(String(length)));
  } else response.end(process.env.VERSION);
}).listen(process.env.PORT, "127.0.0.1");
"#;

struct TestProcess(Child);

impl Drop for TestProcess {
    fn drop(&mut self) {
        // Servers with workers end them when they receive SIGTERM.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        for _ in 0..100 {
            if let Ok(Some(_)) = self.0.try_wait() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(sandbox: &Sandbox, command: &[String], version: &str, port: u16) -> TestProcess {
    let (program, arguments) = command.split_first().unwrap();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(sandbox.root())
        .env("VERSION", version)
        .env("PORT", port.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FLASK_RUN_RELOAD", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    TestProcess(child)
}

/// Starts a generation of a server and waits until it listens.
async fn generation(
    sandbox: &Sandbox,
    command: &[&str],
    version: &str,
) -> (TestProcess, std::net::SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let port = address.port();
    let command: Vec<String> = command.iter().map(|word| word.replace("{port}", &port.to_string())).collect();
    let running = start(sandbox, &command, version, port);
    until(&format!("{command:?} listens"), || std::net::TcpStream::connect(address).is_ok()).await;
    (running, address)
}

async fn hold_against(command: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("wsgi_site.py", WSGI);
    sandbox.write("asgi_site.py", ASGI);
    sandbox.write("site.js", NODE);
    sandbox.write(
        "flask_site.py",
        format!("{WSGI}\nfrom flask import Flask\nwsgi = app\napp = Flask(__name__)\napp.wsgi_app = wsgi\n"),
    );
    let proxy = Arc::new(TestProxy::new().await);
    let (old, address) = generation(&sandbox, command, "old").await;
    proxy.handle.publish(Upstream::Ready { generation: GenerationId::new(1), address });
    assert_eq!(proxy.get("/version").await.text(), "old", "{command:?}");
    let (_new, address) = generation(&sandbox, command, "new").await;

    let downloads: Vec<_> =
        (0..8).map(|number| if number % 2 == 0 { "/download" } else { "/sized" }).collect();
    let mut clients = Vec::new();
    for path in downloads {
        let mut client = proxy.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let head = client.head().await;
        let mut client = client.prepared_with(head);
        clients.push(tokio::spawn(async move { client.answer(false).await }));
    }
    let upload = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n{}",
        "x".repeat(1_000_000)
    );
    assert_eq!(proxy.ask(&upload).await.text(), "1000000", "{command:?}");
    proxy.handle.publish(Upstream::Ready { generation: GenerationId::new(2), address });
    assert_eq!(proxy.get("/version").await.text(), "new", "{command:?}");
    let wanted: Vec<u8> = (0..64).flat_map(|number| std::iter::repeat_n(number, 65536)).collect();
    for client in clients {
        let answer = client.await.unwrap();
        assert!(
            answer.whole && answer.body == wanted,
            "{command:?}: {} bytes, {}",
            answer.body.len(),
            answer.head
        );
    }
    until("the old generation is drained", || proxy.drained(1) == 1).await;
    drop(old);
    let head = proxy.ask("HEAD /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(
        (head.status, header(&head.head, "content-type").is_some() || head.body.is_empty()),
        (200, true)
    );
    assert_eq!(proxy.get("/version").await.text(), "new", "{command:?}");
}

fn tool(name: &str) -> String {
    let python = python();
    let beside = python.parent().unwrap_or(Path::new("")).join(name);
    if beside.is_file() { beside.display().to_string() } else { name.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with flask, gunicorn, waitress, uvicorn, hypercorn and daphne"]
async fn downloads_survive_a_new_generation_of_python_servers() {
    hold_against(&[&tool("flask"), "--app", "flask_site", "run", "--port", "{port}"]).await;
    hold_against(&[
        &tool("flask"),
        "--app",
        "flask_site",
        "run",
        "--debug",
        "--no-reload",
        "--port",
        "{port}",
    ])
    .await;
    hold_against(&[&tool("gunicorn"), "-b", "127.0.0.1:{port}", "--threads", "16", "wsgi_site:app"]).await;
    hold_against(&[
        &tool("waitress-serve"),
        "--threads",
        "16",
        "--listen",
        "127.0.0.1:{port}",
        "wsgi_site:app",
    ])
    .await;
    hold_against(&[&tool("uvicorn"), "--port", "{port}", "asgi_site:app"]).await;
    hold_against(&[&tool("hypercorn"), "-b", "127.0.0.1:{port}", "asgi_site:app"]).await;
    hold_against(&[&tool("daphne"), "-p", "{port}", "asgi_site:app"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs node"]
async fn downloads_survive_a_new_generation_of_node() {
    hold_against(&["node", "site.js"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python with uvicorn and wsproto"]
async fn a_real_websocket_gets_1012_and_reconnects_to_new_code() {
    let sandbox = Sandbox::new();
    sandbox.write("asgi_site.py", ASGI);
    let proxy = TestProxy::new().await;
    let command = [&*tool("uvicorn"), "--ws", "wsproto", "--port", "{port}", "asgi_site:app"];
    let (_old, address) = generation(&sandbox, &command, "old").await;
    proxy.handle.publish(Upstream::Ready { generation: GenerationId::new(1), address });
    let open = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let hello = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
    let mut socket = proxy.client().await;
    socket.send(open).await;
    let head = socket.head().await;
    assert_eq!(header(&head, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    socket.send(hello).await;
    assert_eq!(socket.take(8).await, b"\x81\x06old hi");
    let (_new, address) = generation(&sandbox, &command, "new").await;
    proxy.handle.publish(Upstream::Ready { generation: GenerationId::new(2), address });
    proxy.handle.release_streams(GenerationId::new(1));
    assert_eq!(socket.rest().await, [0x88, 0x02, 0x03, 0xf4]);
    let mut socket = proxy.client().await;
    socket.send(open).await;
    socket.head().await;
    socket.send(hello).await;
    assert_eq!(socket.take(8).await, b"\x81\x06new hi");
    proxy.stop().await;
}
