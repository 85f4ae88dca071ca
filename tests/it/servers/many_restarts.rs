//! What clients of the real servers see over many restarts, broken edits and violent ends: nothing lost, nothing done
//! twice, nothing cut that looks whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::servers::recipes::Served;
use crate::support::http::{Lost, Opened, get, post};
use crate::support::sandbox::wait_until;

/// A path, what became of it, when it was asked for, and how long that took.
struct Asked {
    path: String,
    status: Result<u16, Lost>,
    began: Instant,
    took: Duration,
}

/// Requests that may go on at once: with more of them a development server on a busy machine would only fall behind.
const AT_ONCE: usize = 16;

/// Somebody who asks on a connection of its own every 5 ms, whether or not the last answers have come.
struct Ticker {
    done: Arc<AtomicBool>,
    ticking: JoinHandle<Vec<JoinHandle<Asked>>>,
}

impl Ticker {
    fn start(address: SocketAddr, ask: fn(SocketAddr, String) -> Asked) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let ticking = std::thread::spawn(move || {
            let mut clients = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let path = format!("/{}", clients.len());
                clients.push(std::thread::spawn(move || ask(address, path)));
                std::thread::sleep(Duration::from_millis(5));
                while clients.iter().rev().filter(|client: &&JoinHandle<_>| !client.is_finished()).count()
                    >= AT_ONCE
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            clients
        });
        Self { done, ticking }
    }

    fn asked(self) -> Vec<Asked> {
        self.done.store(true, Ordering::Relaxed);
        self.ticking.join().unwrap().into_iter().map(|client| client.join().unwrap()).collect()
    }
}

fn ask_version(address: SocketAddr, _: String) -> Asked {
    let (path, began) = ("/version".to_owned(), Instant::now());
    let status = get(address, &path).map(|answer| answer.status);
    Asked { path, status, began, took: began.elapsed() }
}

fn post_once(address: SocketAddr, path: String) -> Asked {
    let began = Instant::now();
    let status = post(address, &format!("/post{path}"), "a body").map(|answer| answer.status);
    Asked { path, status, began, took: began.elapsed() }
}

/// What a restart is to clients: who asked from the edit until new code answered waited so long at most, while the server
/// took so long to start, and all of it took so long.
struct Restart {
    longest: Duration,
    start: Duration,
    whole: Duration,
}

/// The time that devrun has measured from each start but the first to its being ready.
fn starts(served: &Served) -> Vec<Duration> {
    let events = served.running.lines().into_iter().filter_map(|line| serde_json::from_str(&line).ok());
    let ready =
        events.filter(|event: &serde_json::Value| event["event"] == "ready" && event["generation"] != 1);
    ready.map(|event| Duration::from_micros(event["start_to_ready_us"].as_u64().unwrap())).collect()
}

/// Twenty edits under a client every 5 ms: each is answered 200, and none waits longer than a start takes.
fn nobody_notices_twenty_restarts(source: &'static str, options: &[&str], command: &[&str]) {
    let mut served = Served::start(source, &[options, &["--log-format", "json"]].concat(), command);
    let ticker = Ticker::start(served.address, ask_version);
    let mut edits = Vec::new();
    for version in 2..=21 {
        let began = Instant::now();
        served.edit(&version.to_string());
        served.wait_for(&version.to_string());
        edits.push((began, Instant::now()));
    }
    let asked = ticker.asked();
    let lost: Vec<_> = asked.iter().filter(|one| one.status != Ok(200)).map(|one| &one.status).collect();
    // On a shared socket nobody but the server knows of a connection that it has yet to read from when the signal comes: it
    // may close it unanswered, and on a busy machine there is one at most restarts. Nothing else is ever lost.
    let forgiven = if options.contains(&"--listen") { 20 } else { 0 };
    assert!(
        lost.len() <= forgiven && lost.iter().all(|status| matches!(status, Err(Lost::Empty(_)))),
        "{} lost: {:?}\n{}",
        lost.len(),
        &lost[..lost.len().min(5)],
        served.output()
    );
    let starts = starts(&served);
    assert_eq!(starts.len(), edits.len(), "{}", served.output());
    let restarts = edits.into_iter().zip(starts).map(|((began, ended), start)| {
        let meanwhile = asked.iter().filter(|one| (began..ended).contains(&one.began));
        let longest = meanwhile.map(|one| one.took).max().unwrap_or_default();
        Restart { longest, start, whole: ended - began }
    });
    let restarts: Vec<Restart> = restarts.collect();
    nobody_waits_longer_than_a_start(source, options, asked.len(), &restarts);
    served.running.stop();
}

/// At most of the restarts, since all of this shares two cores with other tests: one that the machine was busy with says
/// nothing of devrun, and every other one does.
fn nobody_waits_longer_than_a_start(source: &str, options: &[&str], asked: usize, restarts: &[Restart]) {
    let median = |part: fn(&Restart) -> Duration| {
        let mut times: Vec<Duration> = restarts.iter().map(part).collect();
        times.sort();
        (times[times.len() / 2].as_millis(), times[times.len() - 1].as_millis())
    };
    let (start, longest) = (median(|restart| restart.start), median(|restart| restart.longest));
    // Without overlap the old generation has to end first, so that only the whole is a bound.
    let alone = options.contains(&"--no-overlap");
    let bound = |one: &Restart| if alone { one.whole } else { one.start } + Duration::from_millis(100);
    let late = restarts.iter().filter(|one| one.longest > bound(one)).count();
    println!(
        "{source} {options:?}: {asked} requests over {} restarts; a start took {} ms ({} at most), the longest wait {} ms \
         ({} at most); {late} times longer than it may be",
        restarts.len(),
        start.0,
        start.1,
        longest.0,
        longest.1
    );
    assert!(late <= restarts.len() / 2, "{source} {options:?}: {late} of {}", restarts.len());
}

/// What is posted is done once if it was answered 200, and never twice: over restarts, and when the server is killed.
fn a_post_is_never_done_twice(source: &'static str, options: &[&str], command: &[&str]) {
    let mut served = Served::start(source, options, command);
    let ticker = Ticker::start(served.address, post_once);
    for version in 2..=6 {
        served.edit(&version.to_string());
        served.wait_for(&version.to_string());
    }
    served.kill_server();
    wait_until("devrun says that nobody serves", || {
        get(served.address, "/version").is_ok_and(|answer| answer.status == 503)
    });
    served.edit("7");
    served.wait_for("7");
    let asked = ticker.asked();
    let posts = std::fs::read_to_string(served.sandbox.path("data/posts")).unwrap();
    let mut done: HashMap<&str, usize> = HashMap::new();
    for post in posts.lines() {
        *done.entry(post).or_default() += 1;
    }
    let good = asked.iter().filter(|one| one.status == Ok(200)).count();
    println!("{source} {options:?}: {} posts, {good} of them answered 200", asked.len());
    for one in &asked {
        let times = done.get(one.path.as_str()).copied().unwrap_or(0);
        let fits = match one.status {
            Ok(200) => times == 1,
            Ok(503) => times == 0,
            _ => times <= 1,
        };
        assert!(
            fits,
            "{} was done {times} times and answered {:?}\n{}",
            one.path,
            one.status,
            served.output()
        );
    }
    assert!(good > 50);
    served.running.stop();
}

/// The server is killed in the middle of a body: the client is cut off, and what it has cannot look whole.
fn a_killed_server_never_looks_done(source: &'static str, command: &[&str]) {
    let mut served = Served::start(source, &["--proxy", "ADDRESS"], command);
    let download = served.begin_download();
    served.kill_server();
    let end = download.finish().map(|answer| answer.body.len());
    assert!(matches!(end, Err(Lost::Cut(_))), "{end:?}\n{}", served.output());
    served.running.stop();
}

/// A broken edit: the old code serves on, with a banner; without overlap devrun says what is wrong. Mended, new code answers.
fn a_broken_edit_is_shown_and_mended(source: &'static str, options: &[&str], command: &[&str], error: &str) {
    let overlap = !options.contains(&"--no-overlap");
    let mut served = Served::start(source, options, command);
    let good = std::fs::read_to_string(served.sandbox.path(source)).unwrap();
    served.sandbox.write(source, format!("{good}\n}}}} this is no code {{{{\n"));
    let page = || {
        let mut opened =
            Opened::get(served.address, "/version", &["Accept: text/html", "Connection: close"]).ok()?;
        let status = opened.status;
        Some((status, String::from_utf8_lossy(&opened.rest()).into_owned()))
    };
    if overlap {
        served.running.wait_for_line("exited with status");
        for _ in 0..10 {
            assert_eq!(get(served.address, "/version").unwrap().text(), "1", "{}", served.output());
        }
    } else {
        wait_until("devrun names the error", || {
            page().is_some_and(|(status, text)| status == 503 && text.contains(error))
        });
    }
    if overlap && options.contains(&"--proxy") {
        let mut events =
            Opened::get(served.address, "/__devrun/events", &["Accept: text/event-stream"]).unwrap();
        let banner = events.line_with("banner").unwrap();
        assert!(banner.contains("The old code serves on"), "{banner}");
    }
    served.sandbox.write(source, &good);
    served.edit("3");
    served.wait_for("3");
    served.running.stop();
}

const FLASK: [&str; 2] = ["PYTHON", "flask_app.py"];
const UVICORN: [&str; 6] = ["PYTHON", "-m", "uvicorn", "asgi_app:app", "--port", "{port}"];
const UVICORN_FD: [&str; 6] = ["PYTHON", "-m", "uvicorn", "asgi_app:app", "--fd", "{fd}"];
const GUNICORN: [&str; 8] =
    ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "--threads", "16", "-b", "127.0.0.1:{port}"];
const GUNICORN_FD: [&str; 6] = ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "--threads", "16"];
const DJANGO: [&str; 5] = ["PYTHON", "django_app.py", "runserver", "--noreload", "{port}"];
const NODE: [&str; 2] = ["node", "node_app.js"];
const PROXY: [&str; 2] = ["--proxy", "ADDRESS"];
const LISTEN: [&str; 2] = ["--listen", "ADDRESS"];
const PROXY_ALONE: [&str; 3] = ["--proxy", "ADDRESS", "--no-overlap"];
const LISTEN_ALONE: [&str; 3] = ["--listen", "ADDRESS", "--no-overlap"];

#[test]
#[ignore = "needs Python with Flask"]
fn nobody_notices_twenty_restarts_of_flask() {
    nobody_notices_twenty_restarts("flask_app.py", &PROXY, &FLASK);
}

#[test]
#[ignore = "needs Python with Flask"]
fn nobody_notices_twenty_restarts_of_flask_one_after_the_other() {
    nobody_notices_twenty_restarts("flask_app.py", &PROXY_ALONE, &FLASK);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn nobody_notices_twenty_restarts_of_uvicorn() {
    nobody_notices_twenty_restarts("asgi_app.py", &PROXY, &UVICORN);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn nobody_notices_twenty_restarts_of_uvicorn_on_one_socket() {
    nobody_notices_twenty_restarts("asgi_app.py", &LISTEN, &UVICORN_FD);
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn nobody_notices_twenty_restarts_of_gunicorn() {
    nobody_notices_twenty_restarts("wsgi_app.py", &PROXY, &GUNICORN);
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn nobody_notices_twenty_restarts_of_gunicorn_on_one_socket() {
    nobody_notices_twenty_restarts("wsgi_app.py", &LISTEN, &GUNICORN_FD);
}

#[test]
#[ignore = "needs Python with Django"]
fn nobody_notices_twenty_restarts_of_django() {
    nobody_notices_twenty_restarts("django_app.py", &PROXY, &DJANGO);
}

#[test]
#[ignore = "needs node"]
fn nobody_notices_twenty_restarts_of_node() {
    nobody_notices_twenty_restarts("node_app.js", &PROXY, &NODE);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_post_to_flask_is_never_done_twice() {
    a_post_is_never_done_twice("flask_app.py", &PROXY, &FLASK);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_post_to_flask_is_never_done_twice_one_after_the_other() {
    a_post_is_never_done_twice("flask_app.py", &PROXY_ALONE, &FLASK);
}

#[test]
#[ignore = "needs node"]
fn a_post_to_node_is_never_done_twice() {
    a_post_is_never_done_twice("node_app.js", &PROXY, &NODE);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_killed_flask_never_looks_done() {
    a_killed_server_never_looks_done("flask_app.py", &FLASK);
}

#[test]
#[ignore = "needs Python with Django"]
fn a_killed_django_never_looks_done() {
    a_killed_server_never_looks_done("django_app.py", &DJANGO);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn a_killed_uvicorn_never_looks_done() {
    a_killed_server_never_looks_done("asgi_app.py", &UVICORN);
}

#[test]
#[ignore = "needs node"]
fn a_killed_node_never_looks_done() {
    a_killed_server_never_looks_done("node_app.js", &NODE);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_broken_edit_of_flask() {
    a_broken_edit_is_shown_and_mended("flask_app.py", &PROXY, &FLASK, "SyntaxError");
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_broken_edit_of_flask_without_overlap() {
    a_broken_edit_is_shown_and_mended("flask_app.py", &PROXY_ALONE, &FLASK, "SyntaxError");
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn a_broken_edit_of_uvicorn_on_one_socket() {
    a_broken_edit_is_shown_and_mended("asgi_app.py", &LISTEN, &UVICORN_FD, "SyntaxError");
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn a_broken_edit_of_uvicorn_on_one_socket_without_overlap() {
    a_broken_edit_is_shown_and_mended("asgi_app.py", &LISTEN_ALONE, &UVICORN_FD, "SyntaxError");
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn a_broken_edit_of_gunicorn_on_one_socket() {
    a_broken_edit_is_shown_and_mended("wsgi_app.py", &LISTEN, &GUNICORN_FD, "SyntaxError");
}

#[test]
#[ignore = "needs node"]
fn a_broken_edit_of_node_without_overlap() {
    a_broken_edit_is_shown_and_mended("node_app.js", &PROXY_ALONE, &NODE, "SyntaxError");
}
