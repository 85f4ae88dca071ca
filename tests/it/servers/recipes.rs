//! Real servers with the commands of README.md and docs/sockets.md, each across an edit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::http::{Answer, Lost, Opened, free_address, get};
use crate::support::process::TestProcess;
use crate::support::sandbox::{PATIENCE, Sandbox, python, wait_for};

/// Half of the body of `/hold`.
const HALF: usize = 2 << 20;
/// Number of downloads in flight across an edit.
const DOWNLOADS: usize = 8;

/// A server project under devrun.
pub(crate) struct Served {
    pub(crate) sandbox: Sandbox,
    pub(crate) address: SocketAddr,
    source: &'static str,
    pub(crate) running: TestProcess,
}

impl Served {
    /// Runs `devrun OPTIONS -- COMMAND` on a copy of a case directory, or of one case file and `held.py`.
    /// Replaces `PYTHON`, `ADDRESS` and `NUMBER` (the port) in both. Returns when version 1 answers.
    pub(crate) fn start(source: &'static str, options: &[&str], command: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/servers");
        let source = if let Some((project, source)) = source.split_once('/') {
            copy(&cases.join(project), sandbox.root());
            source
        } else {
            for name in [source, "held.py"] {
                sandbox.write(name, std::fs::read(cases.join(name)).unwrap());
            }
            source
        };
        sandbox.write(".watchignore", "/data/\n");
        let address = free_address();
        let fill = |word: &&str| {
            let word = word.replace("PYTHON", &python().to_string_lossy());
            word.replace("ADDRESS", &address.to_string()).replace("NUMBER", &address.port().to_string())
        };
        sandbox.write("data/posts", "");
        let mut devrun = sandbox.devrun_without_loops(&[]);
        devrun.envs(compilers()).args(options.iter().map(fill)).arg("--").args(command.iter().map(fill));
        let running = TestProcess::start(&mut devrun);
        let served = Self { sandbox, address, source, running };
        served.wait_for("1");
        served
    }

    pub(crate) fn edit(&self, version: &str) {
        let source = std::fs::read_to_string(self.sandbox.path(self.source)).unwrap();
        let at = source.find("VERSION").unwrap();
        let quote = at + source[at..].find('"').unwrap() + 1;
        let end = quote + source[quote..].find('"').unwrap();
        self.sandbox.write(self.source, format!("{}{version}{}", &source[..quote], &source[end..]));
    }

    pub(crate) fn wait_for(&self, version: &str) {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let answer = get(self.address, "/version");
            if answer.as_ref().is_ok_and(|answer| answer.text() == version) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "version {version} never answered, but {answer:?}\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Begins a download whose second half is held back. Returns when its first half has arrived.
    pub(crate) fn begin_download(&self) -> Opened {
        let mut opened = Opened::get(self.address, "/hold", &["Connection: close"]).unwrap();
        assert_eq!(opened.status, 200);
        let begun = std::io::BufRead::fill_buf(&mut opened.stream).unwrap();
        assert!(!begun.is_empty());
        opened
    }

    fn begin_downloads(&self) -> Vec<JoinHandle<Result<Answer, Lost>>> {
        let begin = |_| {
            let opened = self.begin_download();
            std::thread::spawn(|| opened.finish())
        };
        (0..DOWNLOADS).map(begin).collect()
    }

    /// Releases the second halves. Panics unless every download is complete.
    fn finish_downloads(&self, downloads: Vec<JoinHandle<Result<Answer, Lost>>>) {
        assert!(downloads.iter().all(|download| !download.is_finished()), "{}", self.output());
        self.sandbox.write("data/release", "");
        let whole = ["a".repeat(HALF), "b".repeat(HALF)].concat();
        for download in downloads {
            let answer = download.join().unwrap();
            let answer = answer.unwrap_or_else(|lost| panic!("{lost:?}\n{}", self.output()));
            assert!(answer.text() == whole, "{} bytes\n{}", answer.body.len(), self.output());
        }
    }

    /// Kills the server and the remaining processes of older generations.
    pub(crate) fn kill_server(&self) {
        let devrun = self.running.pid();
        let children = std::fs::read_to_string(format!("/proc/{devrun}/task/{devrun}/children")).unwrap();
        for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    pub(crate) fn output(&self) -> String {
        self.running.lines().join("\n")
    }
}

/// Copies the content of a directory.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            // `fs::copy` keeps the modification time, and cargo compiles only a source that is newer than its
            // output.
            std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
        }
    }
}

/// The variables that cargo and go need in a cleared environment. Both build into the target directory of
/// these tests.
pub(crate) fn compilers() -> Vec<(&'static str, PathBuf)> {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut compilers = vec![("CARGO_TARGET_DIR", built.join("rust")), ("GOCACHE", built.join("go"))];
    for (key, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(usual));
        compilers.extend(std::env::var_os(key).map(PathBuf::from).or_else(home).map(|path| (key, path)));
    }
    compilers.extend(std::env::var_os("RUSTUP_TOOLCHAIN").map(|name| ("RUSTUP_TOOLCHAIN", name.into())));
    compilers
}

/// A client that asks for the version again and again, each time on a new connection.
struct Poll {
    done: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Result<Answer, Lost>>>,
}

impl Poll {
    fn start(address: SocketAddr) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let asking = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                answers.push(get(address, "/version"));
                std::thread::sleep(Duration::from_millis(5));
            }
            answers
        });
        Self { done, asking }
    }

    /// The requests that were not answered 200.
    fn lost(self) -> Vec<Result<Answer, Lost>> {
        self.done.store(true, Ordering::Relaxed);
        let answers = self.asking.join().unwrap();
        answers
            .into_iter()
            .filter(|answer| !answer.as_ref().is_ok_and(|answer| answer.status == 200))
            .collect()
    }
}

/// With `--proxy` and a free port for each generation, the download in flight completes, new code answers
/// meanwhile, and no request is lost. The server may handle its stop in any way.
pub(crate) fn generations_overlap(source: &'static str, options: &[&str], command: &[&str]) {
    let mut served = Served::start(source, &[&["--proxy", "ADDRESS"], options].concat(), command);
    let downloads = served.begin_downloads();
    let poll = Poll::start(served.address);
    served.edit("2");
    served.wait_for("2");
    served.finish_downloads(downloads);
    served.edit("3");
    served.wait_for("3");
    let lost = poll.lost();
    assert!(lost.is_empty(), "{lost:?}\n{}", served.output());
    served.running.stop();
}

/// With `--proxy` before a server with a fixed port, the download in flight completes, then new code answers.
/// No request is lost.
pub(crate) fn generations_take_turns(source: &'static str, options: &[&str], command: &[&str]) {
    let mut served = Served::start(source, options, command);
    let downloads = served.begin_downloads();
    let poll = Poll::start(served.address);
    served.edit("2");
    served.running.wait_for_line(&format!("{} changed", served.source));
    served.finish_downloads(downloads);
    served.wait_for("2");
    let lost = poll.lost();
    assert!(lost.is_empty(), "{lost:?}\n{}", served.output());
    served.running.stop();
}

/// With `--listen`, the socket outlives the generations and refuses no client. A server that drains loses no
/// request, and new code answers before the old requests end.
pub(crate) fn socket_is_handed_on(source: &'static str, options: &[&str], command: &[&str], drains: bool) {
    let mut served = Served::start(source, &[&["--listen", "ADDRESS"], options].concat(), command);
    let downloads = if drains { served.begin_downloads() } else { Vec::new() };
    let poll = Poll::start(served.address);
    served.edit("2");
    served.wait_for("2");
    served.finish_downloads(downloads);
    served.edit("3");
    served.wait_for("3");
    let lost = poll.lost();
    let refused = lost.iter().filter(|answer| matches!(answer, Err(Lost::Refused(_)))).count();
    assert_eq!(refused, 0, "{lost:?}\n{}", served.output());
    // A server that drains may still close a connection that it has not read from when the signal arrives.
    // That happens once per restart at most.
    let empty = lost.iter().filter(|answer| matches!(answer, Err(Lost::Empty(_)))).count();
    assert!(!drains || (lost.len() == empty && empty <= 2), "{lost:?}\n{}", served.output());
    served.running.stop();
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_run_behind_the_proxy() {
    let command = ["PYTHON", "-m", "flask", "--app", "flask_app", "run", "--no-reload", "--port", "{port}"];
    generations_overlap("flask_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_run_debug_behind_the_proxy() {
    let command = ["PYTHON", "-m", "flask", "--app", "flask_app", "run", "--debug", "--port", "{port}"];
    generations_overlap("flask_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_app_run_with_its_port_from_the_environment_behind_the_proxy() {
    generations_overlap("flask_app.py", &[], &["PYTHON", "flask_app.py"]);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_app_run_with_a_fixed_port_behind_the_proxy() {
    let hard = format!("HARD_PORT={}", free_address().port());
    let options = ["--proxy", "ADDRESS", "--env", &hard];
    generations_take_turns("flask_app.py", &options, &["PYTHON", "flask_app.py"]);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_app_run_at_a_named_upstream() {
    let upstream = free_address();
    let (proxy, hard) = (format!("ADDRESS={upstream}"), format!("HARD_PORT={}", upstream.port()));
    generations_take_turns("flask_app.py", &["--proxy", &proxy, "--env", &hard], &["PYTHON", "flask_app.py"]);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_app_run_takes_the_socket() {
    let options = ["--pass-socket", "werkzeug"];
    socket_is_handed_on("flask_app.py", &options, &["PYTHON", "flask_app.py"], false);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_run_takes_the_socket() {
    let command = ["PYTHON", "-m", "flask", "--app", "flask_app", "run"];
    socket_is_handed_on("flask_app.py", &["--pass-socket", "werkzeug"], &command, false);
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_app_run_takes_a_socket_of_its_own_behind_the_proxy() {
    let mut served = Served::start(
        "flask_app.py",
        &["--proxy", "ADDRESS", "--pass-socket", "werkzeug"],
        &["PYTHON", "flask_app.py"],
    );
    let downloads = served.begin_downloads();
    served.edit("2");
    served.wait_for("2");
    served.finish_downloads(downloads);
    served.running.stop();
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn uvicorn_behind_the_proxy() {
    generations_overlap("asgi_app.py", &[], &["PYTHON", "-m", "uvicorn", "asgi_app:app", "--port", "{port}"]);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn uvicorn_takes_the_socket() {
    socket_is_handed_on(
        "asgi_app.py",
        &[],
        &["PYTHON", "-m", "uvicorn", "asgi_app:app", "--fd", "{fd}"],
        true,
    );
}

/// A WebSocket does not delay the restart: the proxy closes it with 1012, and the next WebSocket reaches new
/// code.
#[test]
#[ignore = "needs Python with uvicorn and wsproto"]
fn a_websocket_comes_back_to_new_code() {
    let command = ["PYTHON", "-m", "uvicorn", "asgi_app:app", "--ws", "wsproto", "--port", "{port}"];
    let mut served = Served::start("asgi_app.py", &["--proxy", "ADDRESS"], &command);
    let mut socket = upgraded(served.address);
    assert_eq!(frame(&mut socket), Some((1, b"1".to_vec())));
    served.edit("2");
    let (kind, content) = frame(&mut socket).expect("a closing frame");
    assert_eq!((kind, &content[..2]), (8, &1012_u16.to_be_bytes()[..]), "{content:?}");
    let again = wait_for("the socket is back on new code", || {
        frame(&mut upgraded(served.address)).filter(|(_, content)| content == b"2")
    });
    assert_eq!(again.0, 1);
    served.running.stop();
}

fn upgraded(address: SocketAddr) -> Opened {
    let headers = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let opened = Opened::get(address, "/ws", &headers).unwrap();
    assert_eq!(opened.status, 101);
    opened
}

/// Reads one short frame from the server: its opcode and its payload.
fn frame(socket: &mut Opened) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    std::io::Read::read_exact(&mut socket.stream, &mut head).ok()?;
    let mut content = vec![0; usize::from(head[1] & 127)];
    std::io::Read::read_exact(&mut socket.stream, &mut content).ok()?;
    Some((head[0] & 15, content))
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn gunicorn_behind_the_proxy() {
    let command = ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "--threads", "16", "-b", "127.0.0.1:{port}"];
    generations_overlap("wsgi_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn gunicorn_takes_the_socket() {
    let command = ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "--threads", "16"];
    socket_is_handed_on("wsgi_app.py", &[], &command, true);
}

/// Behind a wrapper, `LISTEN_PID` names another process, so gunicorn needs the descriptor as an option.
#[test]
#[ignore = "needs Python with gunicorn"]
fn gunicorn_behind_a_wrapper_takes_the_socket() {
    let line = "'PYTHON' -m gunicorn wsgi_app:app --threads 16 -b fd://{fd}; exit $?";
    socket_is_handed_on("wsgi_app.py", &[], &["sh", "-c", line], false);
}

#[test]
#[ignore = "needs Python with gunicorn and uvicorn-worker"]
fn gunicorn_with_uvicorn_workers_takes_the_socket() {
    let worker = "uvicorn_worker.UvicornWorker";
    let command = ["PYTHON", "-m", "gunicorn", "asgi_app:app", "-k", worker];
    socket_is_handed_on("asgi_app.py", &[], &command, false);
}

#[test]
#[ignore = "needs Python with Hypercorn"]
fn hypercorn_behind_the_proxy() {
    let command = ["PYTHON", "-m", "hypercorn", "asgi_app:app", "-b", "127.0.0.1:{port}"];
    generations_overlap("asgi_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with Hypercorn"]
fn hypercorn_takes_the_socket() {
    let command = ["PYTHON", "-m", "hypercorn", "asgi_app:app", "-b", "fd://{fd}"];
    // Hypercorn sometimes closes a connection before the last bytes of its answer are sent.
    socket_is_handed_on("asgi_app.py", &[], &command, false);
}

#[test]
#[ignore = "needs Python with daphne"]
fn daphne_behind_the_proxy() {
    generations_overlap("asgi_app.py", &[], &["PYTHON", "-m", "daphne", "asgi_app:app", "-p", "{port}"]);
}

#[test]
#[ignore = "needs Python with daphne"]
fn daphne_takes_the_socket() {
    let command = ["PYTHON", "-m", "daphne", "asgi_app:app", "--fd", "{fd}"];
    socket_is_handed_on("asgi_app.py", &[], &command, false);
}

#[test]
#[ignore = "needs Python with granian"]
fn granian_behind_the_proxy() {
    let command = ["PYTHON", "-m", "granian", "--interface", "asgi", "--port", "{port}", "asgi_app:app"];
    generations_overlap("asgi_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with waitress"]
fn waitress_behind_the_proxy() {
    generations_overlap("wsgi_app.py", &[], &["PYTHON", "wsgi_app.py", "port", "{port}"]);
}

#[test]
#[ignore = "needs Python with waitress"]
fn waitress_serve_behind_the_proxy() {
    let listen = "127.0.0.1:{port}";
    let command = ["PYTHON", "-m", "waitress", "--threads", "16", "--listen", listen, "wsgi_app:app"];
    generations_overlap("wsgi_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with waitress"]
fn waitress_takes_the_socket() {
    socket_is_handed_on("wsgi_app.py", &[], &["PYTHON", "wsgi_app.py", "fd", "{fd}"], false);
}

#[test]
#[ignore = "needs Python with aiohttp"]
fn aiohttp_behind_the_proxy() {
    generations_overlap("aiohttp_app.py", &[], &["PYTHON", "aiohttp_app.py", "port", "{port}"]);
}

#[test]
#[ignore = "needs Python with aiohttp"]
fn aiohttp_takes_the_socket() {
    socket_is_handed_on("aiohttp_app.py", &[], &["PYTHON", "aiohttp_app.py", "fd", "{fd}"], true);
}

#[test]
#[ignore = "needs Python with Django"]
fn django_runserver_behind_the_proxy() {
    generations_overlap(
        "django_app.py",
        &[],
        &["PYTHON", "django_app.py", "runserver", "--noreload", "{port}"],
    );
}

#[test]
#[ignore = "needs node"]
fn node_behind_the_proxy() {
    generations_overlap("node_app.js", &[], &["node", "node_app.js"]);
}

#[test]
#[ignore = "needs node"]
fn node_takes_the_socket() {
    socket_is_handed_on("node_app.js", &[], &["node", "node_app.js", "{fd}"], true);
}
