//! Runs every command and every configuration of the pages as written.
//!
//! The programs of the pages are stand-ins (`tests/cases/stand-in.sh`); `--ignored` runs the real ones. Only
//! the ports differ from the page, and `list --hot` takes less time.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::docs::blocks::{blocks, pages};
use crate::docs::commands::commands;
use crate::docs::project::{Project, Run, panic_if_gone, shorter};
use crate::support::http::{free_address, text};
use crate::support::process::TestProcess;
use crate::support::sandbox::{PATIENCE, Sandbox, python};

/// Commands that the tests do not run, with the reason. A command that is on no page is an error.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo test", "it is what runs this"),
    (".ci/run", "it is what runs this"),
    (
        "cargo fmt --check && cargo clippy --all-targets --all-features -- -D warnings && cargo test",
        "each is a step of .ci/run",
    ),
    ("rustup target add aarch64-apple-darwin", "needs that target's standard library"),
    (
        "cargo clippy --target aarch64-apple-darwin --all-targets --all-features -- -D warnings",
        "so does this",
    ),
    ("rustup component add rust-src", "needs the standard library's source"),
    (
        "cargo +nightly clippy -Zbuild-std --target aarch64-apple-darwin --all-targets --all-features -- -D warnings",
        "so does this",
    ),
    ("cargo install --locked --path .", "compiles devrun once more"),
    ("cargo install --locked --git ${{ vars.DEVRUN_REPOSITORY }}", "so does this"),
    ("rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl", "needs the network"),
    ("packaging/build --out dist", ".ci/run does this"),
    ("tar -xzf dist/devrun-0.1.0-x86_64-unknown-linux-musl.tar.gz", "tests/it/cli/packages.rs does this"),
    ("pip install --no-index --find-links dist devrun", "so does this"),
    ("npm install --save-dev dist/devrun-cli-0.1.0.tgz dist/devrun-linux-x64-0.1.0.tgz", "so does this"),
    ("devrun explain", "the name of a subcommand, which wants paths"),
    ("devrun completions", "the name of a subcommand, which wants a shell"),
    ("devrun reference", "the name of a subcommand, which wants a page"),
];

/// Runs the commands of the pages, each in its own project.
fn run_all(pages: &[&str], at_least: usize) {
    let lines = commands(pages);
    assert!(lines.len() >= at_least, "{} lines in {pages:?}", lines.len());
    for (line, file) in lines {
        if NOT_RUN.iter().any(|(not_run, _)| *not_run == line) {
            continue;
        }
        let mut line = line.strip_prefix("exec ").unwrap_or(&line).to_owned();
        // In a clone, this prefix stands for `devrun`.
        if let Some(rest) = line.strip_prefix("cargo run -- ") {
            line = format!("devrun {rest}");
        }
        println!("{}: {line}", file.display());
        let project = Project::new();
        let options = line.split(" -- ").next().unwrap();
        if line.contains(" -- ")
            && options.split(' ').nth(1).is_none_or(|word| word.starts_with('-') || word == "--")
        {
            project.runs(&Run::new(&line));
        } else if options.starts_with("devrun --") && options != "devrun --help" {
            project.runs_configured(&line);
        } else {
            project.answers(&shorter(&line));
        }
    }
}

/// A configuration of a page with a free port instead of its port.
fn configuration(block: &str) -> (String, Option<SocketAddr>) {
    let address = free_address();
    let ours = format!("proxy = {}", address.port());
    let line = block.lines().find(|line| line.starts_with("proxy = "));
    (line.map_or(block.to_owned(), |line| block.replace(line, &ours)), line.map(|_| address))
}

/// The words of a command in a configuration. The command may be one line for the shell.
fn command_line(value: &toml::Value) -> String {
    let words = value.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
    value.as_str().map_or_else(|| words.collect::<Vec<_>>().join(" "), str::to_owned)
}

/// The run of a configuration, with or without a profile. `None` if the configuration has no command.
fn configured(file: &toml::Table, profile: Option<&str>) -> Option<Run> {
    let over = profile.and_then(|name| file["profile"][name].get("run"));
    let key = |key: &str| over.and_then(|run| run.get(key)).or_else(|| file.get("run")?.get(key));
    let command = command_line(key("command")?);
    let builds = key("build").and_then(toml::Value::as_array).into_iter().flatten().map(command_line);
    let env = key("env").and_then(toml::Value::as_table).into_iter().flatten();
    let line = profile.map_or("devrun".into(), |name| format!("devrun --profile {name}"));
    let mut run = Run::new(&line);
    run.started = builds.chain([command]).collect();
    run.variables = env.map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
    Some(run)
}

#[test]
fn every_configuration_of_the_pages_is_run() {
    let (mut runs, mut checks) = (0, 0);
    for (file, page) in pages() {
        for block in blocks(&page, "toml") {
            println!("{}:\n{block}", file.display());
            let (block, front) = configuration(block);
            let table: toml::Table = block.parse().unwrap();
            let profiles = table.get("profile").and_then(toml::Value::as_table).into_iter().flatten();
            for profile in std::iter::once(None).chain(profiles.map(|(name, _)| Some(name.as_str()))) {
                let Some(mut run) = configured(&table, profile) else { continue };
                // A test run serves no client.
                run.front = front.filter(|_| run.started.last().unwrap() != "cargo test");
                let project = Project::new();
                project.sandbox.write("devrun.toml", &block);
                project.runs(&run);
                runs += 1;
            }
            if table.contains_key("check") {
                let project = Project::new();
                project.sandbox.write("devrun.toml", &block);
                project.answers("devrun check");
                project.sandbox.write(".watchignore", "/downloads/\n/data/\n/debug/\n*.rs\n");
                let careless = project.shell("devrun check").output().unwrap();
                let said = String::from_utf8_lossy(&careless.stdout);
                assert!(careless.status.code() == Some(1) && said.contains("src/main.rs"), "{said}");
                checks += 1;
            }
        }
    }
    assert!(runs >= 5 && checks >= 2, "{runs} runs, {checks} checks");
}

#[test]
fn the_rules_on_the_page_decide_as_documented() {
    let mut count = 0;
    for (_, page) in pages() {
        for block in blocks(&page, "gitignore") {
            let sandbox = Sandbox::new();
            sandbox.write(".watchignore", block);
            for rule in block.lines().filter(|line| !line.starts_with('#')) {
                let path = rule.trim_start_matches(['!', '/']).replace('*', "x");
                let output = sandbox.devrun().args(["explain", &path]).output().unwrap();
                assert_eq!(output.status.code(), Some(i32::from(rule.starts_with('!'))), "{rule} for {path}");
                assert!(String::from_utf8_lossy(&output.stdout).contains(rule), "{rule} for {path}");
                count += 1;
            }
        }
    }
    assert!(count > 3);
}

#[test]
fn the_environment_file_on_the_page_has_its_documented_meaning() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md")).unwrap();
    let [block] = blocks(&page, "sh")[..] else { panic!("one block in sh") };
    let sandbox = Sandbox::new();
    sandbox.write(".env", block);
    let mut devrun = sandbox.devrun();
    devrun.args([
        "-q",
        "--env-file",
        ".env",
        "--on-exit",
        "quit",
        "--",
        "printenv",
        "NAME",
        "TOKEN",
        "BANNER",
        "URL",
    ]);
    let output = devrun.output().unwrap();
    let got = "value with blanks\nanything: $ \\ \"\ntwo\nlines, value with blanks\nhttp://localhost/\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), got, "{output:?}");
}

#[test]
fn the_mistake_on_the_page_has_its_documented_message() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let shown = blocks(&page, "text").into_iter().find(|block| block.starts_with("error: ")).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("devrun.toml", "[watch]\ndebonce = \"1s\"\n");
    let output = sandbox.devrun().args(["--", "true"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end(), shown.trim_end());
}

#[test]
fn every_command_of_the_readme_is_run() {
    run_all(&["README.md"], 15);
}

#[test]
fn every_command_of_the_guide_is_run() {
    run_all(&["docs/guide.md"], 12);
}

#[test]
fn every_command_of_the_reference_is_run() {
    run_all(&["docs/reference/cli.md"], 50);
}

#[test]
fn every_command_of_the_other_pages_is_run() {
    let of_their_own = ["README.md", "docs/guide.md", "docs/reference/cli.md"];
    let files: Vec<String> = pages().iter().map(|(file, _)| file.to_string_lossy().into_owned()).collect();
    let is_other = |file: &&str| !of_their_own.iter().any(|name| file.ends_with(name));
    let others: Vec<&str> = files.iter().map(String::as_str).filter(is_other).collect();
    run_all(&others, 25);
}

#[test]
fn each_command_that_is_not_run_is_on_a_page() {
    let files: Vec<String> = pages().iter().map(|(file, _)| file.to_string_lossy().into_owned()).collect();
    let shown = commands(&files.iter().map(String::as_str).collect::<Vec<_>>());
    for (line, reason) in NOT_RUN {
        assert!(shown.contains_key(*line), "{line} ({reason}) is on no page");
    }
}

/// The program of a line, its source on the page, and the case file that takes the place of that source.
const REAL: &[(&str, &str, &str)] = &[
    ("flask", "app.py", "flask_app.py"),
    ("python manage.py", "manage.py", "django_app.py"),
    ("python app.py", "app.py", "flask_app.py"),
    ("gunicorn", "app.py", "wsgi_app.py"),
    ("waitress-serve", "app.py", "wsgi_app.py"),
    ("uvicorn", "app.py", "asgi_app.py"),
    ("hypercorn", "app.py", "asgi_app.py"),
    ("daphne", "app.py", "asgi_app.py"),
    ("granian", "app.py", "asgi_app.py"),
    ("node", "server.js", "node_app.js"),
];

/// Each line with a proxy whose program is a real server here. The server answers with the version before the
/// edit, then with the next one.
#[test]
#[ignore = "needs node and Python with the servers"]
fn the_real_servers_of_the_pages_are_run() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/servers");
    let mut count = 0;
    for (line, file) in commands(&["README.md", "docs/guide.md", "docs/sockets.md", "docs/reference/cli.md"])
    {
        let run = Run::new(&line);
        let (Some(front), Some(command)) = (run.front, run.line.split(" -- ").nth(1)) else { continue };
        let Some((_, name, case)) = REAL.iter().find(|row| command.starts_with(row.0)) else { continue };
        println!("{}: {line}", file.display());
        let mut project = Project::new();
        let source = std::fs::read_to_string(cases.join(case)).unwrap();
        project.sandbox.write("held.py", std::fs::read(cases.join("held.py")).unwrap());
        project.sandbox.write(name, &source);
        project.programs = python().parent().unwrap().into();
        let mut shell = project.shell(&format!("exec {}", run.line));
        let mut devrun = TestProcess::start(shell.env("HARD_PORT", project.fixed.port().to_string()));
        let answers = |version: &str| {
            let deadline = Instant::now() + 2 * PATIENCE;
            while text(front, "/version").as_deref() != Some(version) {
                let said = || devrun.lines().join("\n");
                panic_if_gone(&devrun, &run);
                assert!(Instant::now() < deadline, "{line} never serves version {version}:\n{}", said());
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        answers("1");
        project.sandbox.write(name, source.replace("VERSION = \"1\"", "VERSION = \"2\""));
        answers("2");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&devrun.stop()), Some(15), "{line}");
        count += 1;
    }
    assert!(count > 15, "{count}");
}
