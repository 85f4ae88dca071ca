//! A real server under devrun, and what every one of them must do across an edit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::http::{Answer, Lost, Opened, free_address, get};
use crate::support::process::TestProcess;
use crate::support::sandbox::{PATIENCE, Sandbox, python, rust_homes};

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
        let served = Self::begin(source, options, command);
        served.wait_for("1");
        served
    }

    /// The same, but returns at once.
    pub(crate) fn begin(source: &'static str, options: &[&str], command: &[&str]) -> Self {
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
        if let Some(modules) = node_modules().filter(|_| sandbox.path("package.json").exists()) {
            std::os::unix::fs::symlink(modules, sandbox.path("node_modules")).unwrap();
        }
        sandbox.write(".watchignore", "/data/\n/node_modules\n");
        let address = free_address();
        let fill = |word: &&str| {
            let word = word.replace("PYTHON", &python().to_string_lossy());
            word.replace("ADDRESS", &address.to_string()).replace("NUMBER", &address.port().to_string())
        };
        sandbox.write("data/posts", "");
        let mut devrun = sandbox.devrun_without_loops(&[]);
        devrun.envs(compilers()).args(options.iter().map(fill)).arg("--").args(command.iter().map(fill));
        let running = TestProcess::start(&mut devrun);
        Self { sandbox, address, source, running }
    }

    /// Edits while these downloads are in flight, and once more when they have ended.
    fn edit_twice(&self, downloads: Vec<JoinHandle<Result<Answer, Lost>>>) {
        self.edit("2");
        self.wait_for("2");
        self.finish_downloads(downloads);
        self.edit("3");
        self.wait_for("3");
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

    pub(crate) fn begin_downloads(&self) -> Vec<JoinHandle<Result<Answer, Lost>>> {
        let begin = |_| {
            let opened = self.begin_download();
            std::thread::spawn(|| opened.finish())
        };
        (0..DOWNLOADS).map(begin).collect()
    }

    /// Releases the second halves. Panics unless every download is complete.
    pub(crate) fn finish_downloads(&self, downloads: Vec<JoinHandle<Result<Answer, Lost>>>) {
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

/// The packages of `.ci/node`, which `.ci/run` installs and names in `DEVRUN_TEST_NODE`.
pub(crate) fn node_modules() -> Option<PathBuf> {
    std::env::var_os("DEVRUN_TEST_NODE").map(|dir| Path::new(&dir).join("node_modules"))
}

/// The variables that cargo and go need in a cleared environment. Both build into the target directory of
/// these tests.
pub(crate) fn compilers() -> Vec<(&'static str, PathBuf)> {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut compilers = vec![("CARGO_TARGET_DIR", built.join("rust")), ("GOCACHE", built.join("go"))];
    compilers.extend(rust_homes());
    compilers
}

/// A client that asks for the version again and again, each time on a new connection.
pub(crate) struct Poll {
    done: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Result<Answer, Lost>>>,
}

impl Poll {
    pub(crate) fn start(address: SocketAddr) -> Self {
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
    pub(crate) fn lost(self) -> Vec<Result<Answer, Lost>> {
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
    served.edit_twice(downloads);
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
    served.edit_twice(downloads);
    let lost = poll.lost();
    let refused = lost.iter().filter(|answer| matches!(answer, Err(Lost::Refused(_)))).count();
    assert_eq!(refused, 0, "{lost:?}\n{}", served.output());
    // A server that drains may still close a connection that it has not read from when the signal arrives.
    // That happens once per restart at most.
    let empty = lost.iter().filter(|answer| matches!(answer, Err(Lost::Empty(_)))).count();
    assert!(!drains || (lost.len() == empty && empty <= 2), "{lost:?}\n{}", served.output());
    served.running.stop();
}
