//! Clients of the real servers over many restarts, broken edits and crashes: no request is lost or done
//! twice, and no cut response looks complete.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::servers::served::Served;
use crate::support::http::{Lost, Opened, get, post};
use crate::support::sandbox::wait_until;

/// A path, the result of its request, the time of the request, and its duration.
struct Asked {
    path: String,
    status: Result<u16, Lost>,
    began: Instant,
    took: Duration,
}

/// Maximum number of requests at a time. With more of them, a development server on a busy machine falls
/// behind.
const AT_ONCE: usize = 16;

/// A client that sends a request every 5 ms on a new connection, without waiting for earlier answers.
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

/// The durations of one restart: the longest wait of a client after the edit, the start of the server, and
/// the whole restart.
struct Restart {
    longest: Duration,
    start: Duration,
    whole: Duration,
}

/// The durations from start to readiness that devrun reports, without the first start.
fn starts(served: &Served) -> Vec<Duration> {
    let events = served.running.lines().into_iter().filter_map(|line| serde_json::from_str(&line).ok());
    let ready =
        events.filter(|event: &serde_json::Value| event["event"] == "ready" && event["generation"] != 1);
    ready.map(|event| Duration::from_micros(event["start_to_ready_us"].as_u64().unwrap())).collect()
}

/// A client sends a request every 5 ms during twenty edits. Each answer is 200, and none takes longer than a
/// start.
fn no_client_notices_twenty_restarts(source: &'static str, options: &[&str], command: &[&str]) {
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
    // Only the server knows the connections that it has not read from when the signal arrives. It may close
    // them without an answer, which loses at most one request at each restart of a shared socket.
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
    no_client_waits_longer_than_a_start(source, options, asked.len(), &restarts);
    served.running.stop();
}

/// This must hold for half of the restarts, because the tests share two cores. A single slow restart may have
/// met a busy machine.
fn no_client_waits_longer_than_a_start(source: &str, options: &[&str], asked: usize, restarts: &[Restart]) {
    let median = |part: fn(&Restart) -> Duration| {
        let mut times: Vec<Duration> = restarts.iter().map(part).collect();
        times.sort();
        (times[times.len() / 2].as_millis(), times[times.len() - 1].as_millis())
    };
    let (start, longest) = (median(|restart| restart.start), median(|restart| restart.longest));
    // Without overlap, the old generation ends first, so the bound is the whole restart.
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

/// A POST that is answered 200 is done once, and no POST is done twice, over restarts and after a kill of the
/// server.
fn a_post_is_never_done_twice(source: &'static str, options: &[&str], command: &[&str]) {
    let mut served = Served::start(source, options, command);
    let ticker = Ticker::start(served.address, post_once);
    for version in 2..=6 {
        served.edit(&version.to_string());
        served.wait_for(&version.to_string());
    }
    served.kill_server();
    wait_until("devrun answers that no server runs", || {
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

/// A server is killed in the middle of a body. Its client gets a cut response that cannot look complete.
fn the_response_of_a_killed_server_never_looks_complete(source: &'static str, command: &[&str]) {
    let mut served = Served::start(source, &["--proxy", "ADDRESS"], command);
    let download = served.begin_download();
    served.kill_server();
    let end = download.finish().map(|answer| answer.body.len());
    assert!(matches!(end, Err(Lost::Cut(_))), "{end:?}\n{}", served.output());
    served.running.stop();
}

/// After a broken edit, the old code serves with a banner. Without overlap, devrun shows the error. The
/// corrected code then answers.
fn a_broken_edit_is_shown_and_corrected(
    source: &'static str,
    options: &[&str],
    command: &[&str],
    error: &str,
) {
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
fn no_client_notices_twenty_restarts_of_flask() {
    no_client_notices_twenty_restarts("flask_app.py", &PROXY, &FLASK);
}

#[test]
#[ignore = "needs Python with Flask"]
fn no_client_notices_twenty_restarts_of_flask_without_overlap() {
    no_client_notices_twenty_restarts("flask_app.py", &PROXY_ALONE, &FLASK);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn no_client_notices_twenty_restarts_of_uvicorn() {
    no_client_notices_twenty_restarts("asgi_app.py", &PROXY, &UVICORN);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn no_client_notices_twenty_restarts_of_uvicorn_on_one_socket() {
    no_client_notices_twenty_restarts("asgi_app.py", &LISTEN, &UVICORN_FD);
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn no_client_notices_twenty_restarts_of_gunicorn() {
    no_client_notices_twenty_restarts("wsgi_app.py", &PROXY, &GUNICORN);
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn no_client_notices_twenty_restarts_of_gunicorn_on_one_socket() {
    no_client_notices_twenty_restarts("wsgi_app.py", &LISTEN, &GUNICORN_FD);
}

#[test]
#[ignore = "needs Python with Django"]
fn no_client_notices_twenty_restarts_of_django() {
    no_client_notices_twenty_restarts("django_app.py", &PROXY, &DJANGO);
}

#[test]
#[ignore = "needs node"]
fn no_client_notices_twenty_restarts_of_node() {
    no_client_notices_twenty_restarts("node_app.js", &PROXY, &NODE);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_post_to_flask_is_never_done_twice() {
    a_post_is_never_done_twice("flask_app.py", &PROXY, &FLASK);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_post_to_flask_is_never_done_twice_without_overlap() {
    a_post_is_never_done_twice("flask_app.py", &PROXY_ALONE, &FLASK);
}

#[test]
#[ignore = "needs node"]
fn a_post_to_node_is_never_done_twice() {
    a_post_is_never_done_twice("node_app.js", &PROXY, &NODE);
}

#[test]
#[ignore = "needs Python with Flask"]
fn the_response_of_a_killed_flask_never_looks_complete() {
    the_response_of_a_killed_server_never_looks_complete("flask_app.py", &FLASK);
}

#[test]
#[ignore = "needs Python with Django"]
fn the_response_of_a_killed_django_never_looks_complete() {
    the_response_of_a_killed_server_never_looks_complete("django_app.py", &DJANGO);
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn the_response_of_a_killed_uvicorn_never_looks_complete() {
    the_response_of_a_killed_server_never_looks_complete("asgi_app.py", &UVICORN);
}

#[test]
#[ignore = "needs node"]
fn the_response_of_a_killed_node_never_looks_complete() {
    the_response_of_a_killed_server_never_looks_complete("node_app.js", &NODE);
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_broken_edit_of_flask() {
    a_broken_edit_is_shown_and_corrected("flask_app.py", &PROXY, &FLASK, "SyntaxError");
}

#[test]
#[ignore = "needs Python with Flask"]
fn a_broken_edit_of_flask_without_overlap() {
    a_broken_edit_is_shown_and_corrected("flask_app.py", &PROXY_ALONE, &FLASK, "SyntaxError");
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn a_broken_edit_of_uvicorn_on_one_socket() {
    a_broken_edit_is_shown_and_corrected("asgi_app.py", &LISTEN, &UVICORN_FD, "SyntaxError");
}

#[test]
#[ignore = "needs Python with uvicorn"]
fn a_broken_edit_of_uvicorn_on_one_socket_without_overlap() {
    a_broken_edit_is_shown_and_corrected("asgi_app.py", &LISTEN_ALONE, &UVICORN_FD, "SyntaxError");
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn a_broken_edit_of_gunicorn_on_one_socket() {
    a_broken_edit_is_shown_and_corrected("wsgi_app.py", &LISTEN, &GUNICORN_FD, "SyntaxError");
}

#[test]
#[ignore = "needs node"]
fn a_broken_edit_of_node_without_overlap() {
    a_broken_edit_is_shown_and_corrected("node_app.js", &PROXY_ALONE, &NODE, "SyntaxError");
}
