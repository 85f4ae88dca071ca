//! Python servers beyond their recipes: kinds of gunicorn's workers, `uv run`, a task queue, and Django's own
//! reloader.

use crate::servers::served::{Poll, Served, generations_overlap, socket_is_handed_on};
use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, at_once, python, wait_until};

/// gunicorn's master listens before its workers have loaded the code. Code that does not load replaces no code
/// that works, a download in flight completes, and no request is lost.
#[test]
#[ignore = "needs Python with gunicorn"]
fn each_kind_of_gunicorn_serves_on_over_a_broken_edit() {
    let kinds: [&[&str]; 3] = [&["--workers", "3"], &["--threads", "4"], &["--workers", "3", "--preload"]];
    at_once(kinds, |kind| {
        let gunicorn = ["PYTHON", "-m", "gunicorn", "wsgi_app:app", "-b", "127.0.0.1:{port}"];
        let command = [&gunicorn, kind].concat();
        let mut served = Served::start("wsgi_app.py", &["--proxy", "ADDRESS"], &command);
        let download = served.begin_download();
        let poll = Poll::start(served.address);
        let good = std::fs::read_to_string(served.sandbox.path("wsgi_app.py")).unwrap();
        served.sandbox.write("wsgi_app.py", format!("{good}\nraise RuntimeError('broken')\n"));
        served.running.wait_for_line("generation 2 exited with status");
        served.sandbox.write("wsgi_app.py", good);
        served.edit("3");
        served.wait_for("3");
        served.sandbox.write("data/release", "");
        let answer = download.finish().unwrap_or_else(|lost| panic!("{kind:?}: {lost:?}"));
        assert_eq!(answer.body.len(), 4 << 20);
        let lost = poll.lost();
        assert!(lost.is_empty(), "{kind:?}: {lost:?}\n{}", served.output());
        served.running.stop();
    });
}

/// The stop signal reaches uvicorn once, so it drains. It would cut its responses at a second signal.
#[test]
#[ignore = "needs Python with uv and uvicorn"]
fn uvicorn_under_uv_run() {
    let uv = python().with_file_name("uv").display().to_string();
    let uvicorn = ["python", "-m", "uvicorn", "asgi_app:app"];
    let run = [&*uv, "run", "--no-project", "--offline", "--python", "PYTHON"];
    generations_overlap("asgi_app.py", &[], &[&run[..], &uvicorn, &["--port", "{port}"]].concat());
    socket_is_handed_on("asgi_app.py", &[], &[&run[..], &uvicorn, &["--fd", "{fd}"]].concat(), true);
}

/// The worker finishes the task that it has begun before the next generation starts.
#[test]
#[ignore = "needs Python with celery"]
fn a_task_of_celery_in_flight_is_finished() {
    let sandbox = Sandbox::new();
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/servers");
    for name in ["tasks.py", "held.py"] {
        sandbox.write(name, std::fs::read(cases.join(name)).unwrap());
    }
    sandbox.write(".watchignore", "/data/\n");
    sandbox.write("data/queue/.keep", "");
    sandbox.write("data/control/.keep", "");
    let mut devrun = sandbox.devrun_without_loops(&["--stop-timeout", "10m", "--"]);
    devrun.arg(python()).args(["-m", "celery", "-A", "tasks", "worker", "-c", "1"]);
    let mut running = TestProcess::start(&mut devrun);
    let send = || {
        let mut send = sandbox.command(python());
        assert!(send.args(["-c", "import tasks; tasks.slow.delay()"]).status().unwrap().success());
    };
    let wait_for = |line: &str| {
        wait_until(line, || {
            std::fs::read_to_string(sandbox.path("data/posts")).is_ok_and(|posts| posts.ends_with(line))
        });
    };
    send();
    wait_for("begun by 1\n");
    let tasks = std::fs::read_to_string(sandbox.path("tasks.py")).unwrap();
    sandbox.write("tasks.py", tasks.replace("VERSION = \"1\"", "VERSION = \"2\""));
    running.wait_for_line("Warm shutdown");
    sandbox.write("data/release", "");
    wait_for("finished by 1\n");
    // A worker that shuts down may take a message from the folder and lose it.
    running.wait_for_line("devrun: started in");
    send();
    wait_for("begun by 2\nfinished by 2\n");
    assert_eq!(running.count("Cold shutdown"), 0);
    running.stop();
}

/// Behind the proxy, Django with its own reloader serves new code too. devrun names the reloader, because it cuts
/// responses in flight.
#[test]
#[ignore = "needs Python with Django"]
fn django_runserver_with_its_reloader_serves_new_code() {
    let command = ["PYTHON", "django_app.py", "runserver", "{port}"];
    let mut served = Served::start("django_app.py", &["--proxy", "ADDRESS"], &command);
    served.running.wait_for_line("has its own reloader (Django)");
    served.running.wait_for_line("add --noreload to runserver");
    served.edit("2");
    served.wait_for("2");
    served.edit("3");
    served.wait_for("3");
    served.running.stop();
}
