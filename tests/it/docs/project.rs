//! A project in which the commands of the pages run, with stand-ins for the programs that they name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::docs::commands::words;
use crate::support::http::{free_address, text};
use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, wait_until};

/// The programs that pages run.
const PROGRAMS: &[&str] = &[
    "cargo",
    "celery",
    "daphne",
    "flask",
    "go",
    "granian",
    "gunicorn",
    "dlv",
    "hypercorn",
    "make",
    "node",
    "npm",
    "npx",
    "pytest",
    "python",
    "uv",
    "uvicorn",
    "waitress-serve",
];

/// Programs that belong to a project.
const OWN_PROGRAMS: &[&str] = &["server", "worker", "generator", "gradlew"];

/// Files that are edited together, so that each command watches at least one of them.
const SOURCES: &[&str] = &[
    "src/main.rs",
    "src/index.html",
    "app.py",
    "server.js",
    "dist/server.js",
    "main.go",
    "backend/server.js",
];

/// Subcommands: a part of the line, the possible exit statuses, a part of the output. The first matching
/// entry counts.
const ANSWERS: &[(&str, &[i32], &str)] = &[
    ("devrun cargo run", &[2], "devrun -- cargo run"),
    ("explain downloads/boq.zip", &[0], ".watchignore:1"),
    ("explain --format json downloads/a.zip", &[0], "\"pattern\":\"/downloads/\""),
    (
        "ls-files -z | devrun explain --stdin -z --format json",
        &[1],
        "{\"path\":\"src/main.rs\",\"ignored\":false",
    ),
    ("git ls-files", &[1], "src/main.rs"),
    ("devrun explain --stdin", &[1], ""),
    ("check --format sarif > devrun.sarif", &[0], ""),
    ("check --format github", &[0], ""),
    ("check --strict --format github", &[0], ""),
    ("check --matches-nothing", &[0], "matches-nothing"),
    ("devrun check", &[0], "nothing found"),
    ("list --ignored", &[0], "downloads"),
    ("list --flat", &[0], "src/main.rs"),
    ("list --hot", &[0], ""),
    ("list --format json", &[0], "\"roots\""),
    ("devrun list", &[0], "src"),
    ("doctor --format json", &[0, 1], "\"event-self-test\""),
    ("devrun doctor", &[0, 1], "inotify"),
    ("init --dry-run", &[0], ".watchignore"),
    ("devrun init", &[0], "devrun.toml"),
    ("completions bash > ", &[0], ""),
    ("completions bash", &[0], "complete -F _devrun"),
    ("man --dir", &[0], ""),
    ("devrun man", &[0], "devrun"),
    ("reference schema", &[0], "\"properties\""),
    ("reference cli", &[0], "# "),
    ("devrun mcp", &[0], ""),
    ("devrun ps --all", &[0], ""),
    // A devrun runs in no project of a page.
    ("devrun restart && devrun wait", &[2], "no devrun runs in"),
    ("devrun ps", &[2], "no devrun runs in"),
    ("devrun logs", &[2], "no devrun runs in"),
    ("devrun why", &[2], "no devrun runs in"),
    ("devrun wait", &[2], "no devrun runs in"),
    ("devrun restart", &[2], "no devrun runs in"),
    ("devrun stop", &[2], "no devrun runs in"),
    ("devrun start", &[2], "no devrun runs in"),
    ("devrun pause", &[2], "no devrun runs in"),
    ("devrun resume", &[2], "no devrun runs in"),
    ("devrun attach", &[2], "no devrun runs in"),
    ("devrun down", &[2], "no devrun runs in"),
    ("devrun -h", &[0], "Usage"),
    ("devrun --help", &[0], "Example:"),
];

/// A project that has everything that the commands of the pages name.
pub(crate) struct Project {
    pub(crate) sandbox: Sandbox,
    /// The fixed port of a script.
    pub(crate) fixed: SocketAddr,
    /// The directory with the programs that the pages run.
    pub(crate) programs: PathBuf,
}

impl Project {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        let programs = sandbox.outside().join("programs");
        let project = Self { sandbox, fixed: free_address(), programs };
        let sandbox = &project.sandbox;
        project.edit(0);
        for name in
            ["downloads/boq.zip", "data/app.sqlite", "debug/trace.log", "Cargo.toml", "templates/index.html"]
        {
            sandbox.write(name, "");
        }
        sandbox.write(".watchignore", "/downloads/\n/data/\n/debug/\n");
        sandbox.write(".gitignore", "/target/\n/bin/\n/dist/\n");
        sandbox.write(".dockerignore", "*.md\n");
        sandbox.write(".env", "TOKEN=secret\n");
        sandbox.git(&["init", "-q"]);
        sandbox.git(&["add", "src", "app.py"]);
        for program in PROGRAMS {
            project.install(&project.programs.join(program));
        }
        for program in OWN_PROGRAMS {
            project.install(&sandbox.path(program));
        }
        std::fs::create_dir_all(sandbox.outside().join("home/.local/share/bash-completion/completions"))
            .unwrap();
        project
    }

    fn install(&self, at: &Path) {
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/stand-in.sh"), at).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(at, mode).unwrap();
    }

    pub(crate) fn edit(&self, number: usize) {
        SOURCES.iter().for_each(|name| drop(self.sandbox.write(name, format!("// edit {number}\n"))));
    }

    /// A shell with a line of a page. Its `PATH` has the stand-ins first, then `devrun`.
    pub(crate) fn shell(&self, line: &str) -> std::process::Command {
        let devrun = Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.sandbox.command("sh");
        command.args(["-c", line]);
        command.env("PATH", format!("{}:{}:{path}", self.programs.display(), devrun.display()));
        command.env("CHILD", example("child")).env("FIXED", self.fixed.port().to_string());
        command
    }

    /// Checks the exit status and the output of a subcommand, or of a line with an error.
    pub(crate) fn answers(&self, line: &str) {
        let output = self.shell(line).stdin(Stdio::null()).output().unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let fits = |row: &&(&str, &[i32], &str)| line.contains(row.0);
        let (_, statuses, text) =
            ANSWERS.iter().find(fits).unwrap_or_else(|| panic!("{line}: no expected answer is known"));
        let status = output.status.code().unwrap_or(-1);
        assert!(statuses.contains(&status) && said.contains(text), "{line}: {status}, no {text:?}\n{said}");
    }

    /// Checks a run: it starts the programs, an edit restarts them, and SIGTERM ends all processes.
    pub(crate) fn runs(&self, run: &Run) {
        let mut devrun = TestProcess::start(&mut self.shell(&format!("exec {}", run.line)));
        let starts = |generation: usize| {
            for wanted in &run.started {
                wait_until(
                    &format!("`{}` starts as `{wanted}` for the {generation}. time", run.line),
                    || {
                        let is_it = |line: &String| is_start(line, generation, wanted);
                        devrun.lines().iter().any(is_it) || panic_if_gone(&devrun, run)
                    },
                );
            }
            for variable in &run.variables {
                assert!(devrun.lines().contains(&format!("env {variable}")), "{}: no {variable}", run.line);
            }
            let Some(front) = run.front else { return };
            wait_until(&format!("generation {generation} of `{}` answers", run.line), || {
                // On a busy machine, an edit of several files may cost two restarts.
                let answer = text(front, "/").and_then(|text| text.parse().ok());
                answer.is_some_and(|answer: usize| answer >= generation)
            });
        };
        if run.has("--postpone") {
            devrun.wait_for_line("watching");
            self.edit(1);
        }
        starts(1);
        if run.has("--no-watch") {
            pids(&devrun).iter().for_each(|pid| kill(*pid));
        } else {
            self.edit(2);
        }
        starts(2);
        let status = devrun.stop();
        let ended = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(ended, Some(15), "{}: {status}\n{}", run.line, devrun.lines().join("\n"));
        for pid in pids(&devrun) {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{}: {pid} still runs", run.line);
        }
    }
}

/// A run from a page, on free ports.
pub(crate) struct Run {
    pub(crate) line: String,
    words: Vec<String>,
    /// The programs that a generation starts, with their arguments from the page.
    pub(crate) started: Vec<String>,
    /// The variables that the page sets for the programs, as `KEY=VALUE`.
    pub(crate) variables: Vec<String>,
    pub(crate) front: Option<SocketAddr>,
}

impl Run {
    pub(crate) fn new(line: &str) -> Self {
        let (line, front) = on_a_free_port(line);
        let words = words(&line);
        let command = words.iter().position(|word| word == "--").map_or(&[][..], |at| &words[at + 1..]);
        let builds = words.windows(2).filter(|pair| pair[0] == "--build").map(|pair| pair[1].clone());
        let started: Vec<String> = builds.chain(command.join(" ").split(" && ").map(str::to_owned)).collect();
        Self { line, front, started, words, variables: Vec::new() }
    }

    fn has(&self, option: &str) -> bool {
        self.words.iter().any(|word| word == option)
    }
}

/// The same line with a free port for the proxy.
fn on_a_free_port(line: &str) -> (String, Option<SocketAddr>) {
    for option in ["--proxy ", "--listen "] {
        if let Some((before, after)) = line.split_once(option) {
            let (shown, rest) = after.split_once(' ').unwrap_or((after, ""));
            let port = shown.rsplit(':').next().unwrap();
            assert!(port.parse::<u16>().is_ok(), "{line}: {port}");
            let address = free_address();
            let ours = shown.replace(port, &address.port().to_string());
            return (format!("{before}{option}{ours} {rest}"), Some(address));
        }
    }
    (line.to_owned(), None)
}

/// Whether a line reports the start of this stand-in. A build belongs to no generation.
fn is_start(line: &str, generation: usize, wanted: &str) -> bool {
    let Some((number, said)) = line.strip_prefix("run ").and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    let Some((_, said)) = said.split_once(": ") else { return false };
    let (said, wanted): (Vec<&str>, Vec<&str>) =
        (said.trim().split(' ').collect(), wanted.split(' ').collect());
    let name = wanted[0].rsplit('/').next().unwrap();
    let is_number = |text: Option<&str>| text.is_some_and(|text| text.parse::<u16>().is_ok());
    let is_same = |(said, wanted): (&&str, &&str)| match wanted.split_once('{') {
        Some((before, rest)) => {
            let after = rest.split_once('}').unwrap().1;
            is_number(said.strip_prefix(before).and_then(|said| said.strip_suffix(after)))
        }
        None => said == wanted,
    };
    ["0".to_owned(), generation.to_string()].contains(&number.to_owned())
        && said[0] == name
        && said.len() == wanted.len()
        && said[1..].iter().zip(&wanted[1..]).all(is_same)
}

/// The processes of the stand-ins.
fn pids(devrun: &TestProcess) -> Vec<i32> {
    let pid = |line: &String| line.strip_prefix("run ")?.split(['(', ')']).nth(1)?.parse().ok();
    devrun.lines().iter().filter_map(pid).collect()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn panic_if_gone(devrun: &TestProcess, run: &Run) -> bool {
    let is_there = Path::new(&format!("/proc/{}/exe", devrun.pid())).read_link().is_ok();
    assert!(is_there, "{} has ended:\n{}", run.line, devrun.lines().join("\n"));
    false
}

/// `list --hot` with a short time.
pub(crate) fn shorter(line: &str) -> String {
    match line.split_once("--hot") {
        Some((before, _)) => format!("{before}--hot 20ms"),
        None => line.to_owned(),
    }
}

impl Project {
    /// A line with options only, because COMMAND is in devrun.toml.
    pub(crate) fn runs_configured(&self, line: &str) {
        let file = "[run]\ncommand = ['cargo', 'run']\n[profile.test.run]\ncommand = ['pytest']\n";
        self.sandbox.write("devrun.toml", file);
        self.sandbox.write("ci/devrun.toml", file);
        let command = if line.contains("--profile test") { "pytest" } else { "cargo run" };
        let mut run = Run::new(line);
        run.started = vec![command.into()];
        self.runs(&run);
    }
}
