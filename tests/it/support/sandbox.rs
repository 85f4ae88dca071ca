//! A temporary project with a clean environment, and conditions with a deadline.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a test waits for a condition. Only a failure reaches it, so it is generous to a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test with each of these values at the same time. Panics if one of the tests panics.
pub(crate) fn at_once<T: Send>(values: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        let running: Vec<_> = values.into_iter().map(|value| scope.spawn(move || test(value))).collect();
        let ended: Vec<_> = running.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Waits until `probe` returns a value. Panics with `what` after [`PATIENCE`].
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `probe` returns true. Panics with `what` after [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut probe: impl FnMut() -> bool) {
    wait_for(what, || probe().then_some(()));
}

/// The path of an example program: `target/debug/examples/NAME`.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut dir = std::env::current_exe().unwrap();
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    let path = dir.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo test` (or `cargo build --examples`) builds it",
        path.display()
    );
    path
}

/// Whether the process exists and is no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    let state = if cfg!(target_os = "linux") {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next())
    } else {
        let told = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
        told.stdout.trim_ascii_start().first().map(|state| char::from(*state))
    };
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Makes a named pipe.
pub(crate) fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The Python that runs real servers: `DEVRUN_TEST_PYTHON` (set by `.ci/run`), or `python3`.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("DEVRUN_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// The variables that `cargo` needs in a cleared environment.
#[cfg(feature = "cli")]
pub(crate) fn rust_homes() -> Vec<(&'static str, PathBuf)> {
    let mut homes: Vec<(&str, PathBuf)> = Vec::new();
    for (key, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(usual));
        homes.extend(std::env::var_os(key).map(PathBuf::from).or_else(home).map(|path| (key, path)));
    }
    homes.extend(std::env::var_os("RUSTUP_TOOLCHAIN").map(|name| ("RUSTUP_TOOLCHAIN", name.into())));
    homes
}

/// A temporary project and a temporary home directory. Both are removed when it is dropped.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("devrun-test-").tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("project");
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir, root }
    }

    /// The project's directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory next to the project, outside of it.
    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Writes a file, and creates its directories.
    pub(crate) fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A command in the project with a cleared environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env_clear();
        for key in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(key) {
                command.env(key, value);
            }
        }
        let home = self.dir.path().join("home");
        // The control sockets of the test are its own.
        command.env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    /// `git ARGS` in the project; panics if it fails.
    pub(crate) fn git(&self, args: &[&str]) {
        let output = self.command("git").args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The program `devrun`.
    #[cfg(feature = "cli")]
    pub(crate) fn devrun(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_devrun"))
    }

    /// The program with these options, for a test that edits right after each start. Otherwise devrun would
    /// take the edits for a restart loop and slow them down.
    #[cfg(feature = "cli")]
    pub(crate) fn devrun_without_loops(&self, options: &[&str]) -> Command {
        let mut command = self.devrun();
        command.args(["--on-loop", "restart"]).args(options);
        command
    }
}
