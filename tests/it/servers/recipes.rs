//! Real servers with the commands of README.md and docs/sockets.md, each across an edit.

use crate::servers::served::{Served, generations_overlap, generations_take_turns, socket_is_handed_on};
use crate::servers::websocket::{Frame, WebSocket};
use crate::support::http::free_address;

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
    let mut socket = WebSocket::open(served.address, "/ws", &[]).unwrap();
    assert_eq!(socket.receive(), Some(Frame::Text("1".to_owned())));
    served.edit("2");
    assert_eq!(socket.receive(), Some(Frame::Close(1012)));
    served.wait_for("2");
    let mut again = WebSocket::open(served.address, "/ws", &[]).unwrap();
    assert_eq!(again.receive(), Some(Frame::Text("2".to_owned())));
    served.running.stop();
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn gunicorn_behind_the_proxy() {
    let command = ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "--threads", "16", "-b", "127.0.0.1:{port}"];
    generations_overlap("wsgi_app.py", &[], &command);
}

#[test]
#[ignore = "needs Python with gunicorn"]
fn gunicorn_on_a_unix_socket_behind_the_proxy() {
    let command = ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "--threads", "16", "-b", "unix:data/app.sock"];
    generations_take_turns("wsgi_app.py", &["--proxy", "ADDRESS"], &command);
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
