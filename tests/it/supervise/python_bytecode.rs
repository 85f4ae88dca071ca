//! Python's bytecode: what would hide an edit is removed before each start, and nothing else.

use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use devrun::GenerationId;
use devrun::change::{Batch, Change, ChangeKind};
use devrun::supervise::{Port, Request};

use crate::support::sandbox::{PATIENCE, Sandbox, fifo, python};
use crate::support::supervisor::TestSupervisor;

const SECOND: u32 = 1_700_000_000;
const SOURCE: &str = "VALUE = 1\n";

/// A `.pyc` file of a source with this time and size.
fn bytecode(flags: u32, second: u32, size: usize) -> Vec<u8> {
    let words = [0x0a0d_0dcb, flags, second, size as u32].map(u32::to_le_bytes);
    [words.concat(), b"code".to_vec()].concat()
}

fn trusted() -> Vec<u8> {
    bytecode(0, SECOND, SOURCE.len())
}

/// A source that was saved at [`SECOND`].
fn source(sandbox: &Sandbox, path: &str) -> PathBuf {
    let path = sandbox.write(path, SOURCE);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(SECOND.into()) + Duration::from_millis(700);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    path
}

fn changed<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Request {
    let change = |path: &PathBuf| Change { path: path.clone(), kind: ChangeKind::Modified };
    let now = std::time::Instant::now();
    let changes = paths.into_iter().map(change).collect();
    Request::Changed(Batch { changes, first_event_at: now, compared_at: now })
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn bytecode_that_hides_an_edit_is_removed_before_the_start() {
    let mut supervisor = TestSupervisor::start("log {}/log up sleep", |_| {});
    supervisor.ready(1).await;
    let sandbox = &supervisor.sandbox;
    let app = source(sandbox, "pkg/app.py");
    source(sandbox, "pkg/other.py");
    let cache = sandbox.path("pkg/__pycache__");
    let write = |name: &str, content: Vec<u8>| sandbox.write(cache.join(name), content);
    write("app.cpython-312.pyc", trusted());
    write("app.cpython-312.opt-1.pyc", trusted());
    write("app.pypy310.pyc", trusted());
    write("app.by-hash.pyc", bytecode(1, SECOND, SOURCE.len()));
    write("app.older.pyc", bytecode(0, SECOND - 1, SOURCE.len()));
    write("app.longer.pyc", bytecode(0, SECOND, SOURCE.len() + 1));
    write("app.short.pyc", b"short".to_vec());
    write("other.cpython-312.pyc", trusted());
    let outside = sandbox.outside().join("outside.pyc");
    std::fs::write(&outside, trusted()).unwrap();
    std::os::unix::fs::symlink(&outside, cache.join("app.link.pyc")).unwrap();
    fifo(&cache.join("app.fifo.pyc"));
    // A directory of bytecode that leads elsewhere.
    let linked = source(sandbox, "linked/app.py");
    let elsewhere = sandbox.write("elsewhere/app.cpython-312.pyc", trusted());
    std::os::unix::fs::symlink(sandbox.path("elsewhere"), sandbox.path("linked/__pycache__")).unwrap();
    let without_cache = source(sandbox, "bare/app.py");
    let removed = sandbox.path("pkg/removed.py");
    supervisor.send(changed([&app, &linked, &without_cache, &removed]));
    supervisor.ready(2).await;
    let left = [
        "app.by-hash.pyc",
        "app.fifo.pyc",
        "app.link.pyc",
        "app.longer.pyc",
        "app.older.pyc",
        "app.short.pyc",
        "other.cpython-312.pyc",
    ];
    assert_eq!(names(&cache), left);
    assert!(outside.exists() && elsewhere.exists());
    supervisor.stop().await;
}

#[tokio::test]
async fn bytecode_below_a_prefix_is_removed_too() {
    let env_file = |sandbox: &Sandbox| sandbox.write(".env", "PYTHONPYCACHEPREFIX=cache\n");
    let root = Sandbox::new();
    let env_file = env_file(&root);
    let mut supervisor = TestSupervisor::start("log {}/log up sleep", |options| {
        options.command.env_files.push(env_file);
        options.command.current_dir = Some(root.root().to_owned());
    });
    supervisor.ready(1).await;
    let app = source(&root, "app.py");
    let below = Path::new("cache").join(root.root().strip_prefix("/").unwrap());
    let stale = root.write(below.join("app.cpython-312.pyc"), trusted());
    supervisor.send(changed([&app]));
    supervisor.ready(2).await;
    assert!(!stale.exists());
    supervisor.stop().await;
}

#[tokio::test]
async fn a_build_does_not_run_stale_bytecode() {
    let mut supervisor = TestSupervisor::start("log {}/log up sleep", |options| {
        let root = options.command.args[1].to_str().unwrap().replace("/log", "");
        let line = format!("test -e {root}/__pycache__/app.cpython-312.pyc; echo built $? >> {root}/log");
        options.builds.push(devrun::Command::new("sh").args(["-c", &line]));
    });
    supervisor.ready(1).await;
    let app = source(&supervisor.sandbox, "app.py");
    supervisor.sandbox.write("__pycache__/app.cpython-312.pyc", trusted());
    supervisor.send(changed([&app]));
    supervisor.ready(2).await;
    assert_eq!(supervisor.logged("built", 2).await, ["built 1", "built 1"]);
    supervisor.stop().await;
}

#[tokio::test]
async fn bytecode_that_the_old_generation_writes_late_is_removed_at_its_end() {
    let mut supervisor = TestSupervisor::start("log {}/log up serve", |options| {
        options.port = Port::Own;
        options.drain_timeout = Some(Duration::from_secs(600));
    });
    supervisor.ready(1).await;
    let app = source(&supervisor.sandbox, "app.py");
    supervisor.send(changed([&app]));
    supervisor.ready(2).await;
    let late = supervisor.sandbox.write("__pycache__/app.cpython-312.pyc", trusted());
    supervisor.send(Request::Drained(GenerationId::FIRST));
    let stopped = |number, phase: &devrun::supervise::Phase| {
        (number == 1 && matches!(phase, devrun::supervise::Phase::Stopped)).then_some(())
    };
    supervisor.phase("the end of the old generation", stopped).await;
    assert!(!late.exists());
    // What the only generation writes is its own.
    let own = supervisor.sandbox.write("__pycache__/app.cpython-312.pyc", trusted());
    supervisor.send(Request::Restart);
    supervisor.ready(3).await;
    assert!(own.exists());
    supervisor.stop().await;
}

#[tokio::test]
#[ignore = "needs Python"]
async fn python_runs_the_last_of_fifty_saves_within_a_second() {
    let sandbox = Sandbox::new();
    let save = |number: usize| {
        let path = sandbox.write("saved.py", format!("VALUE = {number:02}0\n"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(SECOND.into());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
        path
    };
    sandbox.write(
        "main.py",
        "import saved, time\nopen('log', 'a').write(f'{saved.VALUE}\\n')\ntime.sleep(600)\n",
    );
    save(10);
    let mut options = devrun::supervise::Options::new(devrun::Command::new(python()).args(["main.py"]));
    options.command.current_dir = Some(sandbox.root().to_owned());
    options.command = options.command.env("PYTHONDONTWRITEBYTECODE", "");
    options.on_loop = devrun::supervise::OnLoop::Restart;
    let supervisor = devrun::supervise::Supervisor::start(options).unwrap();
    let lines = || std::fs::read_to_string(sandbox.path("log")).unwrap_or_default().lines().count();
    for number in 10..60 {
        let deadline = std::time::Instant::now() + PATIENCE;
        while lines() < number - 9 {
            assert!(std::time::Instant::now() < deadline, "generation {} did not start", number - 9);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let path = save(number + 1);
        supervisor.handle().send(changed([&path]));
    }
    supervisor.stop().await;
    let log = std::fs::read_to_string(sandbox.path("log")).unwrap();
    let stale = (10..).zip(log.lines()).filter(|(number, line)| *line != format!("{number}0")).count();
    assert_eq!(stale, 0, "{log}");
}
