//! The use case that devrun was made for, with real processes and sockets. Downloads that write into the
//! project never restart the server that serves them. One edit restarts it once, and with `--proxy` no client
//! notices.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::browser::Browser;
use crate::support::document_server::{Behaviour, Upstream, document};
use crate::support::http::{Answer, Lost, Opened, free_address, get, text};
use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, python, wait_for, wait_until};

/// Number of downloads in flight at once.
pub(super) const CLIENTS: usize = 8;

/// A server project in a sandbox, with the values that a run of devrun needs.
pub(super) struct Site {
    pub(super) sandbox: Sandbox,
    upstream: Upstream,
    /// The address for clients.
    pub(super) address: SocketAddr,
    /// The words of COMMAND.
    command: Vec<OsString>,
    /// The source file that the test edits.
    source: &'static str,
    /// The text of the source file for an edition.
    text: fn(&str) -> String,
    /// A line that the server writes at each start.
    pub(super) started: &'static str,
}

impl Site {
    /// The example server. Its source is the list of tenders that it reads at its start.
    fn portal() -> Self {
        let upstream = Upstream::start(Behaviour::Hold);
        let command = vec![
            example("portal").into(),
            "--content".into(),
            "src".into(),
            "--upstream".into(),
            upstream.address.to_string().into(),
        ];
        Self::new(upstream, command, "src/tenders.json", tenders, "portal: edition")
    }

    /// Flask's development server without its reloader.
    fn flask() -> Self {
        let upstream = Upstream::start(Behaviour::Hold);
        let command =
            vec![python().into(), "-u".into(), "app.py".into(), upstream.address.to_string().into()];
        Self::new(upstream, command, "app.py", flask_app, "Serving Flask app")
    }

    pub(super) fn new(
        upstream: Upstream,
        command: Vec<OsString>,
        source: &'static str,
        text: fn(&str) -> String,
        started: &'static str,
    ) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "downloads/\ndata/\ndebug/\n");
        sandbox.write(source, text("1"));
        Self { sandbox, upstream, address: free_address(), command, source, text, started }
    }

    pub(super) fn edit(&self, edition: &str) {
        self.sandbox.write(self.source, (self.text)(edition));
    }

    /// Runs devrun with these options. Returns when edition 1 answers.
    pub(super) fn run(&self, options: &[&str]) -> TestProcess {
        let mut devrun = self.sandbox.devrun_without_loops(options);
        if !options.contains(&"--proxy") {
            devrun.env("PORT", self.address.port().to_string());
        }
        devrun.env("UPSTREAM", self.upstream.address.to_string());
        devrun.arg("--").args(&self.command);
        let running = TestProcess::start(&mut devrun);
        self.wait_for_edition("1", &running);
        running
    }

    pub(super) fn wait_for_edition(&self, edition: &str, running: &TestProcess) {
        let wanted = format!("\"edition\":\"{edition}\"");
        let deadline = Instant::now() + 2 * crate::support::sandbox::PATIENCE;
        loop {
            let answer = get(self.address, "/api/version");
            if answer.as_ref().is_ok_and(|answer| answer.text().contains(&wanted)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "edition {edition} never answered, but {answer:?}; the output was:\n{}",
                running.lines().join("\n")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the downloads. Returns when the upstream has sent half of each document.
    pub(super) fn start_downloads(&self) -> Vec<JoinHandle<(String, Result<Answer, Lost>)>> {
        let clients = (0..CLIENTS).map(|number| {
            let (address, id) = (self.address, ["118", "273", "409"][number % 3].to_owned());
            // Half of the clients get their document after it is saved, half of them while it is being saved.
            let query = if number % 2 == 0 { "" } else { "?while=saving" };
            let path = format!("/api/tender/{id}/download{query}");
            std::thread::spawn(move || (id, get(address, &path)))
        });
        let clients = clients.collect();
        wait_until("all downloads are halfway", || self.upstream.halfway() >= CLIENTS);
        clients
    }

    /// Releases the upstream. Panics unless every download is complete.
    pub(super) fn finish_downloads(
        &self,
        clients: Vec<JoinHandle<(String, Result<Answer, Lost>)>>,
        running: &TestProcess,
    ) {
        self.upstream.release();
        for client in clients {
            let (id, answer) = client.join().unwrap();
            let output = || running.lines().join("\n");
            let answer = answer.unwrap_or_else(|lost| panic!("{id} was lost: {lost:?}\n{}", output()));
            assert_eq!(answer.status, 200, "{}\n{}", answer.text(), output());
            assert!(answer.body == document(&id), "{id}: {} bytes, not those sent", answer.body.len());
        }
    }
}

pub(super) fn tenders(edition: &str) -> String {
    let tenders = include_str!("../../../examples/portal/tenders.json");
    tenders.replacen("\"edition\": \"1\"", &format!("\"edition\": \"{edition}\""), 1)
}

/// A Flask portal that saves each chunk into the project while the client waits.
fn flask_app(edition: &str) -> String {
    include_str!("../../cases/story/app.py").replacen(
        "EDITION = \"1\"",
        &format!("EDITION = \"{edition}\""),
        1,
    )
}

/// The writes of a busy portal: 250 files, about 100 per second, during several scans of stat mode. It
/// creates, overwrites, renames and removes archives, documents and notes.
pub(super) fn storm(root: &Path, suffixes: &[&str]) {
    let begun = Instant::now();
    let mut written = 0_u32;
    while written < 250 || begun.elapsed() < Duration::from_millis(2500) {
        let number = written as usize;
        let folder = root.join(["downloads", "data", "debug"][number % 3]);
        let folder = folder.join(["", "118", "273/ملفات", "a/b/c"][number / 3 % 4]);
        let suffix = suffixes[number / 12 % suffixes.len()];
        write_one(&folder, &(number % 60).to_string(), suffix, number);
        written += 1;
        // The schedule is absolute, so a delay on a busy machine is caught up.
        let due = begun + written * Duration::from_millis(5);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn write_one(folder: &Path, name: &str, suffix: &str, number: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("{name}.{suffix}"));
    std::fs::write(&path, format!("document {number}\n").repeat(50)).unwrap();
    if suffix == "part" {
        std::fs::rename(&path, folder.join(format!("{name}.zip"))).unwrap();
    } else if number.is_multiple_of(13) {
        std::fs::remove_file(&path).unwrap();
    }
}

/// During downloads that write files, no download is lost and the server does not restart. Then one edit
/// causes one restart.
fn downloads_never_restart_the_server(site: &Site, mode: &str) {
    let mut running = site.run(&["-m", mode, "--poll-interval", "100ms"]);
    let clients = site.start_downloads();
    storm(site.sandbox.root(), &["zip", "pdf", "json", "html", "py", "pyc", "rs", "part"]);
    site.finish_downloads(clients, &running);
    assert_eq!(running.count(site.started), 1, "restarted:\n{}", running.lines().join("\n"));

    site.edit("2");
    site.wait_for_edition("2", &running);
    // The answer can arrive before the lines.
    running.wait_for_count(site.started, 2);
    running.wait_for_line(&format!("{} changed", site.source));
    assert_eq!(running.count(site.started), 2, "not one restart:\n{}", running.lines().join("\n"));
    running.stop();
}

/// The edit comes during the downloads. New code answers at once, and each download completes on the old
/// code.
fn an_edit_disturbs_no_download(site: &Site) {
    let address = site.address.to_string();
    let mut running = site.run(&["--proxy", &address]);
    let clients = site.start_downloads();
    site.edit("2");
    site.wait_for_edition("2", &running);
    assert!(clients.iter().all(|client| !client.is_finished()), "a download ended before its document did");
    site.finish_downloads(clients, &running);
    running.stop();
}

/// After a syntax error, the old code continues to answer. After its correction, new code answers.
fn a_broken_edit_keeps_the_old_code(site: &Site, broken: &str) {
    let address = site.address.to_string();
    let mut running = site.run(&["--proxy", &address]);
    site.sandbox.write(site.source, broken);
    // The server's last output and devrun's message both contain the word.
    running.wait_for_count("exited", 1);
    let version = text(site.address, "/api/version").expect("the old code still answers");
    assert!(version.contains("\"edition\":\"1\""), "{version}");
    site.edit("3");
    site.wait_for_edition("3", &running);
    running.stop();
}

#[test]
fn downloads_never_restart_the_portal_in_event_mode() {
    downloads_never_restart_the_server(&Site::portal(), "event");
}

#[test]
fn downloads_never_restart_the_portal_in_stat_mode() {
    downloads_never_restart_the_server(&Site::portal(), "stat");
}

#[test]
fn an_edit_disturbs_no_download_of_the_portal() {
    an_edit_disturbs_no_download(&Site::portal());
}

#[test]
fn a_broken_edit_keeps_the_old_portal() {
    a_broken_edit_keeps_the_old_code(&Site::portal(), "{ \"edition\": ");
}

#[test]
#[ignore = "needs Python with Flask"]
fn downloads_never_restart_flask_in_event_mode() {
    downloads_never_restart_the_server(&Site::flask(), "event");
}

#[test]
#[ignore = "needs Python with Flask"]
fn downloads_never_restart_flask_in_stat_mode() {
    downloads_never_restart_the_server(&Site::flask(), "stat");
}

#[test]
#[ignore = "needs Python with Flask"]
fn an_edit_disturbs_no_download_of_flask() {
    an_edit_disturbs_no_download(&Site::flask());
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_broken_edit_keeps_the_old_flask() {
    a_broken_edit_keeps_the_old_code(&Site::flask(), "def broken(:\n");
}

/// Clients open one connection after another during 20 restarts. The server answers each request.
#[test]
fn clients_never_see_a_restart() {
    let site = Site::portal();
    let address = site.address.to_string();
    // Each edit follows a start at once, as in a restart loop.
    let mut running = site.run(&["--proxy", &address]);
    let done = Arc::new(AtomicBool::new(false));
    let (target, stop) = (site.address, Arc::clone(&done));
    let ask = move || {
        let mut answers = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            answers.push(get(target, "/api/version"));
            std::thread::sleep(Duration::from_millis(5));
        }
        answers
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| std::thread::spawn(ask.clone())).collect();
    for edition in 2..=21 {
        site.edit(&edition.to_string());
        site.wait_for_edition(&edition.to_string(), &running);
    }
    done.store(true, Ordering::Relaxed);
    let answers: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let asked = answers.len();
    let bad: Vec<_> = answers
        .into_iter()
        .filter(|answer| !answer.as_ref().is_ok_and(|answer| answer.status == 200))
        .collect();
    assert!(bad.is_empty(), "{} of {asked} requests were lost, the first: {:?}", bad.len(), bad[0]);
    assert_eq!(running.count(site.started), 21, "{}", running.lines().join("\n"));
    running.stop();
}

/// An event stream does not delay a restart. It ends, so that the client reconnects to new code.
#[test]
fn an_event_stream_reconnects_to_new_code() {
    let site = Site::portal();
    let address = site.address.to_string();
    let mut running = site.run(&["--proxy", &address]);
    let mut news = Opened::get(site.address, "/api/events", &["Accept: text/event-stream"]).unwrap();
    assert_eq!(news.line_with("data: ").as_deref(), Some("data: 1"));
    site.edit("2");
    assert_eq!(news.line_with("data: "), None, "the old stream ends");
    let again = wait_for("the stream is back on new code", || {
        let mut news = Opened::get(site.address, "/api/events", &["Accept: text/event-stream"]).ok()?;
        news.line_with("data: ").filter(|line| line == "data: 2")
    });
    assert_eq!(again, "data: 2");
    running.stop();
}

/// Ignored folders have no inotify watch, and a thousand files in them wake no thread.
#[cfg(target_os = "linux")]
#[test]
fn ignored_folders_are_not_watched_and_wake_no_thread() {
    let site = Site::portal();
    for folder in ["downloads/a/b", "data/c", "debug/d"] {
        std::fs::create_dir_all(site.sandbox.path(folder)).unwrap();
    }
    let mut running = site.run(&["-m", "event"]);
    let watched = watched_inodes(running.pid());
    let inode =
        |path: &str| std::os::unix::fs::MetadataExt::ino(&site.sandbox.path(path).metadata().unwrap());
    assert!(watched.contains(&inode("src")), "src is watched: {watched:?}");
    for folder in ["downloads", "downloads/a", "downloads/a/b", "data", "data/c", "debug", "debug/d"] {
        assert!(!watched.contains(&inode(folder)), "{folder} is watched");
    }

    let before = context_switches(running.pid());
    for number in 0..1000 {
        site.sandbox.write(format!("downloads/a/{}/{number}.zip", number % 7), "document");
    }
    // A thread that has ended meanwhile woke up for nothing of this.
    let after = context_switches(running.pid()).into_iter();
    let wakeups: u64 = after.map(|(thread, count)| count - before.get(&thread).unwrap_or(&0)).sum();
    // One of devrun's timers may tick meanwhile, but not once for each file.
    assert!(wakeups < 50, "{wakeups} wakeups for a thousand ignored files");
    running.stop();
}

/// The inodes that a process watches with inotify.
#[cfg(target_os = "linux")]
fn watched_inodes(pid: u32) -> Vec<u64> {
    let mut inodes = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines().filter(|line| line.starts_with("inotify ")) {
            let inode = line.split(' ').find_map(|word| word.strip_prefix("ino:")).unwrap();
            inodes.push(u64::from_str_radix(inode, 16).unwrap());
        }
    }
    inodes
}

/// The number of voluntary context switches of each thread of a process.
#[cfg(target_os = "linux")]
fn context_switches(pid: u32) -> std::collections::HashMap<std::ffi::OsString, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let count = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let count = line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
        (task.file_name(), count)
    };
    tasks.map(count).collect()
}

/// A cargo project without dependencies, run as `devrun -- cargo run`.
#[test]
fn a_cargo_project_is_built_and_restarted_for_its_source_only() {
    let sandbox = Sandbox::new();
    sandbox.write("Cargo.toml", "[package]\nname = \"little\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    sandbox.write(".watchignore", "/target/\n/Cargo.lock\n/downloads/\n");
    let server = |edition: &str| include_str!("../../cases/story/little.rs").replacen("EDITION", edition, 1);
    sandbox.write("src/main.rs", server("one"));
    let address = free_address();
    let mut devrun = sandbox.devrun();
    with_cargo(&mut devrun).env("PORT", address.port().to_string());
    devrun.args(["--", "cargo", "run", "--offline", "--quiet"]);
    let mut running = TestProcess::start(&mut devrun);
    wait_until("the first edition answers", || text(address, "/").as_deref() == Some("one"));

    for number in 0..300 {
        sandbox.write(format!("downloads/{number}/unpacked.rs"), "fn macros() {}");
    }
    sandbox.write("src/main.rs", server("two"));
    wait_until("the second edition answers", || text(address, "/").as_deref() == Some("two"));
    running.wait_for_count("little: up", 2);
    assert_eq!(running.count("started in"), 1, "{}", running.lines().join("\n"));
    running.stop();
}

/// cargo needs its home directories, which the clean environment of a sandbox lacks.
fn with_cargo(command: &mut Command) -> &mut Command {
    let home = |name: &str, fallback: &str| {
        std::env::var_os(name).map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(fallback)))
    };
    for (name, fallback) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if let Some(dir) = home(name, fallback) {
            command.env(name, dir);
        }
    }
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}

/// A click in a real browser, and an edit during the download. The document arrives complete, and then the
/// page reloads.
#[test]
#[ignore = "needs Chromium"]
fn a_browser_keeps_its_download_and_gets_the_new_page() {
    let site = Site::portal();
    let address = site.address.to_string();
    let mut running = site.run(&["--proxy", &address]);
    let browser = Browser::start();
    browser.open(&format!("http://{address}/"));
    browser.run("document.querySelector('article[data-id=\"118\"] button').click()");
    wait_until("the document is halfway", || site.upstream.halfway() == 1);
    site.edit("2");
    site.wait_for_edition("2", &running);
    site.upstream.release();
    browser.wait_for_download(&document("118"));
    browser.wait_for("return document.getElementById('edition')?.textContent === '2'");
    running.stop();
}
