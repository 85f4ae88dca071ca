//! A real browser: headless Chromium, driven over the WebDriver protocol (W3C) by chromedriver.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::http::{free_address, get};
use crate::support::process::TestProcess;
use crate::support::sandbox::{PATIENCE, wait_for};

/// A running browser with one window; closed when dropped.
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    downloads: tempfile::TempDir,
    driver: TestProcess,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let address = free_address();
        let port = format!("--port={}", address.port());
        let driver = TestProcess::start(Command::new("chromedriver").arg(port));
        wait_for("chromedriver is ready", || {
            get(address, "/status").ok().filter(|answer| answer.status == 200)
        });
        let downloads = tempfile::tempdir().unwrap();
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,700"],
            "prefs": { "download.default_directory": downloads.path(), "download.prompt_for_download": false },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
        } } });
        let value = post(address, "/session", &wanted);
        let session = value["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {value}")).to_owned();
        Self { address, session, downloads, driver }
    }

    /// Opens a page and returns when it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Runs a script and returns the value that it `return`s.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script returns a true value, and returns that value.
    pub(crate) fn wait_for(&self, script: &str) -> Value {
        wait_for(script, || {
            Some(self.run(script)).filter(|value| !matches!(value, Value::Null | Value::Bool(false)))
        })
    }

    /// The page as a PNG image in Base64.
    #[allow(dead_code)]
    pub(crate) fn screenshot(&self) -> String {
        let path = format!("/session/{}/screenshot", self.session);
        let answer = get(self.address, &path).unwrap();
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        value["value"].as_str().unwrap().to_owned()
    }

    /// Waits until the downloads folder has a file with this content, and returns its path. The browser first
    /// creates an empty file of that name.
    pub(crate) fn wait_for_download(&self, content: &[u8]) -> PathBuf {
        wait_for("the document is whole in the browser's folder", || {
            let entries = std::fs::read_dir(self.downloads.path()).unwrap().flatten();
            let is_whole = |path: &PathBuf| {
                path.extension().is_some_and(|extension| extension == "zip")
                    && std::fs::read(path).is_ok_and(|found| found == content)
            };
            entries.map(|entry| entry.path()).find(is_whole)
        })
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        post(self.address, &format!("/session/{}/{command}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        let _ = send(self.address, "DELETE", &path, "");
        self.driver.stop();
    }
}

fn post(address: SocketAddr, path: &str, body: &Value) -> Value {
    let text = send(address, "POST", path, &body.to_string()).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let mut value: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
    let value = value["value"].take();
    assert!(value.get("error").is_none_or(Value::is_null), "{path}: {value}");
    value
}

fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    // The driver may keep the connection open, so the client reads by `Content-Length`.
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..read]);
        if read == 0 || is_whole(&answer) {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head + 4 + length)
}
