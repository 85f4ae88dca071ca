//! A real browser behind the proxy: pages reload after a restart only, the crash page appears and disappears,
//! tabs share a stream.
//!
//! chromedriver (W3C WebDriver) drives the browser through a raw socket. `DEVRUN_SHOTS=DIR` keeps the
//! screenshots.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use devrun::GenerationId;
use devrun::proxy::FailureReport;
use serde_json::{Value, json};

use crate::support::proxy::{Connection, ScriptedServer, TestProxy, soon};

struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// The process of the browser, which outlives a killed driver if the browser does not answer.
    process: Option<i32>,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let profile = tempfile::tempdir().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed");
        let mut browser = Self { driver, port, session: String::new(), process: None, _profile: profile };
        soon("chromedriver listens", async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1100,800",
            "--no-first-run"
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let value = browser.call("POST", "/session", wanted).await;
        browser.process = value["capabilities"]["goog:processID"].as_i64().map(|id| id as i32);
        browser.session = value["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let mut client = Connection::connect(([127, 0, 0, 1], self.port).into()).await;
        let length = body.len();
        client
            .send(format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        let answer = client.answer(false).await;
        let mut value: Value = serde_json::from_slice(&answer.body).expect("JSON of chromedriver");
        assert_eq!(answer.status, 200, "{method} {path}: {value}");
        value["value"].take()
    }

    async fn session(&self, method: &str, path: &str, body: Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body).await
    }

    async fn open(&self, url: &str) {
        self.session("POST", "/url", json!({ "url": url })).await;
    }

    async fn script(&self, script: &str) -> Value {
        self.session("POST", "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until a script returns this value.
    async fn sees(&self, script: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        let mut last = Value::Null;
        let seen = tokio::time::timeout(crate::support::sandbox::PATIENCE, async {
            loop {
                last = self.script(script).await;
                if last == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert!(seen.is_ok(), "{script}: {last}, not {wanted}");
    }

    async fn new_tab(&self) -> String {
        let tab = self.session("POST", "/window/new", json!({"type": "tab"})).await;
        let handle = tab["handle"].as_str().unwrap().to_owned();
        self.switch_to(&handle).await;
        handle
    }

    async fn this_tab(&self) -> String {
        self.session("GET", "/window", Value::Null).await.as_str().unwrap().to_owned()
    }

    async fn switch_to(&self, tab: &str) {
        self.session("POST", "/window", json!({ "handle": tab })).await;
    }

    async fn window(&self, width: u32, height: u32) {
        self.session(
            "POST",
            "/goog/cdp/execute",
            json!({"cmd": "Emulation.setDeviceMetricsOverride", "params":
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true}}),
        )
        .await;
    }

    async fn scheme(&self, scheme: &str) {
        let parameters = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.session(
            "POST",
            "/goog/cdp/execute",
            json!({"cmd": "Emulation.setEmulatedMedia", "params": parameters}),
        )
        .await;
    }

    async fn shot(&self, name: &str) {
        if let Some(dir) = std::env::var_os("DEVRUN_SHOTS") {
            let shot = self.session("GET", "/screenshot", Value::Null).await;
            let png = decode(shot.as_str().unwrap());
            std::fs::write(std::path::Path::new(&dir).join(format!("{name}.png")), png).unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of the session closes the browser. A killed driver would leave it running.
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            self.session
        );
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) {
            use std::io::{Read, Write};
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 1024]);
        }
        if let Some(process) = self.process.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn decode(base64: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in base64.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | LETTERS.iter().position(|known| *known == letter).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// A server with a tall page that shows the server's name.
async fn site(name: &'static str) -> ScriptedServer {
    ScriptedServer::start(move |mut client| async move {
        client.request().await;
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tenders</title><body style=\"font:17px/1.6 system-ui;\
             max-width:45rem;margin:3rem auto;height:5000px\"><h1>Tenders</h1><p>Answered by <b id=\"who\">{name}</b>.</p>\
             <p>The tender portal lists what is open for bids.</p></body></html>"
        );
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length";
        client.send(format!("{head}: {}\r\n\r\n{page}", page.len())).await;
    })
    .await
}

fn crash() -> FailureReport {
    FailureReport {
        generation: GenerationId::new(2),
        headline: "exited with status 1 after 0.31 s".into(),
        command: "flask --app portal run".into(),
        changed:
        vec!["routes/tenders.py".into(), "قوالب/الصفحة.html".into(), "<img onerror=alert(1)>.py".into()],
        output: "\x1b[2m * Serving Flask app 'portal'\x1b[0m\n\x1b[1;31mWARNING: This is a development server.\x1b[0m\n\
        Traceback (most recent call last):\n  File \"portal/app.py\", line 12, in <module>\n    from routes import \
        \x1b[1;4mtenders\x1b[0m\n  File \"portal/routes/tenders.py\", line 41\n    def download(tender_id:\n                \
        \x1b[1;31m^\x1b[0m\n\x1b[1;35mSyntaxError\x1b[0m: \x1b[35m'(' was never closed\x1b[0m\n\
        آخر ملف: كراسة الشروط والمرفقات.zip <script>document.title='broken'</script>\n"
        .into(),
        ..FailureReport::default()
    }
}

const WHO: &str = "return document.getElementById('who')?.textContent ?? null";

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_page_reloads_when_the_new_code_is_ready_and_keeps_its_scroll_position() {
    let (proxy, browser) = (TestProxy::new().await, Browser::start().await);
    let old = site("old").await;
    proxy.ready(1, &old);
    let url = format!("http://localhost:{}/", proxy.address.port());
    browser.open(&url).await;
    browser.sees(WHO, "old").await;
    browser.script("window.scrollTo(0, 1234); window.mark = 1").await;
    // The gate closes and opens for the same code. The page must not reload, as its later state shows.
    proxy.handle.hold();
    proxy.ready(1, &old);
    proxy.handle.banner(Some(Arc::new(crash())));
    let banner = "return Boolean(document.querySelector('devrun-banner'))";
    browser.sees(banner, true).await;
    browser.sees("return window.mark", 1).await;
    browser.script("window.scrollTo(0, 0)").await;
    browser.shot("banner").await;
    browser.script("window.scrollTo(0, 1234)").await;
    proxy.handle.banner(None);
    browser.sees(banner, false).await;
    proxy.handle.hold();
    let new = site("new").await;
    proxy.ready(2, &new);
    browser.sees(WHO, "new").await;
    browser.sees("return [window.mark ?? null, Math.round(window.scrollY)]", json!([null, 1234])).await;
    browser.script("window.mark = 2").await;
    proxy.handle.banner(Some(Arc::new(crash())));
    browser.sees(banner, true).await;
    browser.sees("return window.mark", 2).await;
    proxy.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_crash_page_appears_and_disappears() {
    let (proxy, browser) = (TestProxy::new().await, Browser::start().await);
    proxy.down(crash());
    let url = format!("http://localhost:{}/", proxy.address.port());
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        browser.open(&url).await;
        browser.sees("return document.querySelector('h1').textContent", "The server is not running").await;
        browser.sees("return document.querySelectorAll('main img, pre script').length", 0).await;
        browser.sees("return document.title", "503 The server is not running").await;
        browser.shot(&format!("crash-{scheme}")).await;
    }
    // A narrow window with more output than fits: the page shows the end of the output and does not overflow.
    let mut long = crash();
    long.output.splice(0..0, "a line of output\n".repeat(200).into_bytes());
    long.output.extend_from_slice("x".repeat(500).as_bytes());
    proxy.down(long);
    browser.open(&url).await;
    browser.window(360, 740).await;
    browser.sees("return document.documentElement.scrollWidth <= innerWidth", true).await;
    let end = "const pane = document.querySelector('.pane').getBoundingClientRect(), lines = document.querySelectorAll('.l');\
               return lines[lines.length - 1].getBoundingClientRect().bottom <= pane.bottom";
    browser.sees(end, true).await;
    browser.shot("crash-phone").await;
    let server_2 = site("mended").await;
    proxy.ready(3, &server_2);
    browser.sees(WHO, "mended").await;
    proxy.down(crash());
    let banner = "return Boolean(document.querySelector('devrun-banner'))";
    browser.sees(banner, true).await;
    let server_3 = site("mended again").await;
    proxy.ready(4, &server_3);
    browser.sees(WHO, "mended again").await;
    proxy.stop().await;
}

/// A server whose page never changes, and that answers a conditional request with 304.
async fn unchanging_site() -> ScriptedServer {
    ScriptedServer::start(|mut client| async move {
        let (head, _) = client.request().await;
        if head.contains("If-Modified-Since") {
            return client.send("HTTP/1.1 304 Not Modified\r\n\r\n").await;
        }
        let page = "<!doctype html><b id=\"who\">unchanged</b>";
        let fields = "Content-Type: text/html\r\nLast-Modified: Thu, 26 Nov 2026 10:00:00 GMT";
        client
            .send(format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n{page}", page.len()))
            .await;
    })
    .await
}

const LOADS: &str = "return Number(sessionStorage.getItem('loads'))";

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_cached_page_reloads_once() {
    let (proxy, browser) = (TestProxy::new().await, Browser::start().await);
    let servers = [unchanging_site().await, unchanging_site().await, unchanging_site().await];
    proxy.ready(1, &servers[0]);
    browser.open(&format!("http://localhost:{}/", proxy.address.port())).await;
    browser.sees(WHO, "unchanged").await;
    for (generation, server) in [(2, &servers[1]), (3, &servers[2])] {
        browser.script("window.mark = 1").await;
        proxy.ready(generation, server);
        browser.sees("return [document.readyState, window.mark ?? null]", json!(["complete", null])).await;
        browser.script("window.mark = 2").await;
        // The page receives this event, so it has received all earlier events.
        proxy.handle.banner(Some(Arc::new(crash())));
        browser.sees("return Boolean(document.querySelector('devrun-banner'))", true).await;
        browser.sees("return window.mark", 2).await;
        proxy.handle.banner(None);
    }
    proxy.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_page_with_the_tag_of_older_code_does_not_reload_again() {
    // A service worker that serves its page from its own cache does the same: the tag names older code.
    let server = ScriptedServer::start(|mut client| async move {
        client.request().await;
        let page = "<!doctype html><script>sessionStorage.loads = Number(sessionStorage.loads ?? 0) + 1</script>\
                    <b id=\"who\">stale</b><script src=\"/__devrun/client.js\" data-id=\"older\"></script>";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length";
        client.send(format!("{head}: {}\r\n\r\n{page}", page.len())).await;
    })
    .await;
    let proxy = TestProxy::with(|options| options.live_reload = false).await;
    let browser = Browser::start().await;
    proxy.ready(1, &server);
    browser.open(&format!("http://localhost:{}/", proxy.address.port())).await;
    browser.sees(LOADS, 2).await;
    proxy.handle.banner(Some(Arc::new(crash())));
    browser.sees("return Boolean(document.querySelector('devrun-banner'))", true).await;
    browser.sees(LOADS, 2).await;
    proxy.ready(2, &server);
    browser.sees(LOADS, 3).await;
    proxy.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_page_about_a_broken_answer_waits_for_newer_code() {
    let (proxy, browser) = (TestProxy::new().await, Browser::start().await);
    let breaking = ScriptedServer::start(|mut client| async move {
        client.request().await;
    })
    .await;
    proxy.ready(1, &breaking);
    browser.open(&format!("http://localhost:{}/", proxy.address.port())).await;
    let title = "return document.querySelector('h1').textContent";
    browser.sees(title, "The server broke off before it answered").await;
    browser.script("window.mark = 1").await;
    // The page receives this event, which announces no newer code.
    proxy.handle.hold();
    proxy.ready(1, &breaking);
    proxy.handle.banner(Some(Arc::new(crash())));
    let asked = breaking.accepted();
    let first = browser.this_tab().await;
    browser.new_tab().await;
    browser.open(&format!("http://localhost:{}/__devrun/report", proxy.address.port())).await;
    browser.sees(title, "The new code failed, the old code serves on").await;
    browser.switch_to(&first).await;
    browser.sees("return window.mark", 1).await;
    assert_eq!(breaking.accepted(), asked, "the page does not reload again and again");
    let mended = site("mended").await;
    proxy.ready(2, &mended);
    browser.sees(WHO, "mended").await;
    proxy.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn eight_tabs_share_one_stream_and_all_reload() {
    let (proxy, browser) = (TestProxy::new().await, Browser::start().await);
    let old = site("old").await;
    proxy.ready(1, &old);
    let url = format!("http://localhost:{}/", proxy.address.port());
    let mut tabs = vec![browser.this_tab().await];
    browser.open(&url).await;
    for _ in 1..8 {
        tabs.push(browser.new_tab().await);
        browser.open(&url).await;
        browser.sees(WHO, "old").await;
    }
    let server_4 = site("new").await;
    proxy.ready(2, &server_4);
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.sees(WHO, "new").await;
    }
    proxy.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_page_of_a_server_with_its_own_socket_reloads() {
    let (proxy, browser) = (TestProxy::new().await, Browser::start().await);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_nonblocking(true).unwrap();
    proxy.handle.answer_on(vec![socket.try_clone().unwrap().into()], Arc::new(crash()));
    browser.open(&format!("http://localhost:{}/", address.port())).await;
    browser.sees("return document.querySelector('h1').textContent", "The server is not running").await;
    proxy.handle.answer_no_more().await;
    let listener = tokio::net::TcpListener::from_std(socket).unwrap();
    let _server = ScriptedServer::on(listener, |mut client| async move {
        let (head, _) = client.request().await;
        if head.contains("/__devrun/") {
            client.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        } else {
            let page = "<!doctype html><b id=\"who\">alive</b>";
            client
                .send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                ))
                .await;
        }
    });
    browser.sees(WHO, "alive").await;
    proxy.stop().await;
}
