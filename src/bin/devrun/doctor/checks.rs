//! What `devrun doctor` knows to look for. Reads and asks; changes nothing.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use devrun::rules::{Defect, EntryKind, Rules};
use devrun::supervise::{Endpoint, Shell};
use devrun::watch::{Mode, Summary, Watch, Why};

use super::finding::Symptom;
use crate::config::server::shown_endpoint;
use crate::config::settings::Settings;
use crate::project::{self, DataLike};
use crate::report::mode_reason;
use crate::system::inotify;
use crate::system::ports::{self, Obstacle};
use crate::ui::escape::{escape_bytes, escape_path, escape_text};
use crate::ui::numbers::count;

/// The kernel's limits and their use.
pub(crate) fn limits() -> Vec<Symptom> {
    let Some(limits) = inotify::limits() else {
        return vec![Symptom::note("inotify", "this system has no inotify: its own events are used", "")];
    };
    vec![
        nearly_used(
            "inotify-watches",
            limits.watches,
            "watched directories",
            "raise it: sudo sysctl fs.inotify.max_user_watches=1048576\n\
             and for good: echo fs.inotify.max_user_watches=1048576 | sudo tee /etc/sysctl.d/60-inotify.conf",
        ),
        nearly_used(
            "inotify-instances",
            limits.instances,
            "watchers",
            "raise it: sudo sysctl fs.inotify.max_user_instances=1024",
        ),
        match limits.queue {
            0..8192 => Symptom::note(
                "inotify-queue",
                format!(
                    "only {} events may wait: large bursts become rescans (nothing is lost)",
                    limits.queue
                ),
                "raise it: sudo sysctl fs.inotify.max_queued_events=16384",
            ),
            queue => Symptom::good("inotify-queue", format!("{queue} events may wait")),
        },
    ]
}

fn nearly_used(id: &'static str, limit: inotify::Limit, what: &str, remedy: &str) -> Symptom {
    let message = format!("{} of {} {what} are in use by your programs", limit.used, limit.limit);
    if limit.used.saturating_mul(10) >= limit.limit.saturating_mul(9) {
        Symptom::warning(id, message, remedy)
    } else {
        Symptom::good(id, message)
    }
}

/// How each root would be watched, and the bad lines of the rules.
pub(crate) async fn watching(settings: &Settings) -> Vec<Symptom> {
    let watch = match Watch::start(settings.watch_options()).await {
        Ok(watch) => watch,
        Err(error) => {
            let message = format!("watching would fail to {}", escape_text(&error.to_string()));
            return vec![Symptom::error("watch", message, "mend that first")];
        }
    };
    let summary = watch.summary();
    let mut symptoms = roots(settings, &summary);
    symptoms.extend(watch.rules().defects().iter().map(|defect| bad_line(settings, defect)));
    symptoms.extend(data(settings, watch.rules()));
    watch.stop().await;
    symptoms
}

fn roots(settings: &Settings, summary: &Summary) -> Vec<Symptom> {
    let mut symptoms: Vec<Symptom> = Vec::new();
    for root in summary.roots.iter().filter(|root| within(settings, &root.path)) {
        let shown = settings.shown(&root.path);
        let system = file_system(&root.path).map(|system| format!(" on {system}")).unwrap_or_default();
        let files = count(root.files, "file");
        let (mode, why) = (root.mode.as_str(), mode_reason(&root.why));
        let message = format!("{shown}{system}: {mode} ({why}), {files}");
        symptoms.push(match &root.why {
            Why::Missing => {
                Symptom::warning("root", message, "make it, or correct `paths`: it is watched once it exists")
            }
            Why::Limit(_) => {
                Symptom::warning("root", message, "raise the limit named above, or watch less: -w src")
            }
            Why::Unreadable => {
                let count = count(root.directories, "directory");
                let message =
                    format!("{count} below {shown} may not be read: what is in there is not watched");
                Symptom::warning("root", message, "make it readable, or ignore it in .watchignore")
            }
            Why::NoEvents(_) => {
                Symptom::note("root", message, "changes are found by scans; --poll-interval says how often")
            }
            _ => Symptom::good("root", message),
        });
    }
    if summary.files == 0 {
        symptoms.push(Symptom::warning(
            "nothing-watched",
            "no file counts: nothing would ever restart COMMAND",
            "`devrun list --ignored` shows which rules leave files out; --ext and --filter leave out more",
        ));
    } else if summary.files > 50_000 && summary.roots.iter().any(|root| root.mode == Mode::Stat) {
        symptoms.push(Symptom::warning(
            "large-scan",
            format!("{} files are scanned again and again", summary.files),
            "watch less: -w src, or leave out folders in .watchignore",
        ));
    }
    symptoms
}

fn bad_line(settings: &Settings, defect: &Defect) -> Symptom {
    let place = defect.source.as_ref().map_or("-i".into(), |source| settings.shown(source));
    let text = escape_bytes(&defect.text);
    let message = match defect.line {
        0 => format!("{place}: {}", escape_text(&defect.to_string())),
        line => format!("{place}:{line}: {}: {text}", escape_text(&defect.to_string())),
    };
    Symptom::warning("rules", message, "`devrun check` says more")
}

/// Whether a path lies in what is to be watched; devrun.toml and environment files are looked at besides.
fn within(settings: &Settings, path: &Path) -> bool {
    settings.watch.roots.iter().any(|root| path.starts_with(root))
}

/// Folders that look like data and are watched.
fn data(settings: &Settings, rules: &Rules) -> Vec<Symptom> {
    let data = project::data_like(&settings.base, &project::recognise(&settings.base).made);
    let folder = |data: &DataLike| settings.base.join(data.pattern.trim_matches('/'));
    let plain = data.iter().filter(|data| data.source_inside.is_none() && within(settings, &folder(data)));
    let watched = plain.filter(|data| !rules.is_ignored(&folder(data), EntryKind::Dir));
    watched
        .map(|data| {
            let folder = data.pattern.trim_start_matches('/');
            Symptom::warning(
                "data-watched",
                format!("{folder} looks like data, and is watched: a file written there restarts COMMAND"),
                format!("add this line to .watchignore: {}", data.pattern),
            )
        })
        .collect()
}

/// The type of the file system that a path lies on, by the longest mount point above it (proc_pid_mountinfo(5)).
fn file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (before, after) = line.split_once(" - ")?;
        // Blanks in a mount point are written as \040; such a mount is told by the one above it.
        let point = Path::new(before.split(' ').nth(4)?);
        let length = point.components().count();
        if path.starts_with(point) && best.is_none_or(|(longest, _)| length >= longest) {
            best = Some((length, after.split(' ').next()?));
        }
    }
    best.map(|(_, system)| escape_text(system).into_owned())
}

/// Whether what is to be listened at is free.
pub(crate) fn ports(settings: &Settings) -> Vec<Symptom> {
    let server = &settings.server;
    let mut symptoms: Vec<Symptom> =
        server.addresses.iter().map(|address| port("--proxy", *address, ports::tcp(*address))).collect();
    for listen in &server.listen {
        match &listen.endpoint {
            Endpoint::Tcp(address) => symptoms.push(port("--listen", *address, ports::tcp(*address))),
            Endpoint::Udp(address) => symptoms.push(port("--listen udp", *address, ports::udp(*address))),
            Endpoint::Unix(path) => symptoms.push(socket_file(path, &shown_endpoint(&listen.endpoint))),
            _ => {}
        }
    }
    if let Some(upstream) = server.proxy.and_then(|proxy| proxy.upstream) {
        let address = upstream.socket();
        if ports::accepts(address) {
            symptoms.push(Symptom::warning(
                "upstream",
                format!("somebody answers at {address} already: COMMAND could not listen there"),
                "end the program that does, or leave `=UPSTREAM` out so that each generation gets a free port",
            ));
        }
    }
    symptoms
}

fn port(option: &str, address: SocketAddr, tried: Result<(), Obstacle>) -> Symptom {
    match tried {
        Ok(()) => Symptom::good("port", format!("{option}: {address} is free")),
        Err(Obstacle::Taken(holder)) => {
            let (who, remedy) = ports::describe_holder(holder.as_ref(), address.port());
            Symptom::error(
                "port",
                format!("{option}: {address} is taken: {who}"),
                format!("{remedy}; or take another port"),
            )
        }
        Err(Obstacle::Refused(error)) => {
            let remedy = ports::remedy(error.kind());
            Symptom::error("port", format!("{option}: {address} cannot be listened at: {error}"), remedy)
        }
    }
}

fn socket_file(path: &Path, shown: &str) -> Symptom {
    match path.symlink_metadata() {
        Err(_) if path.parent().is_some_and(Path::is_dir) => {
            Symptom::good("port", format!("--listen: {shown} is free"))
        }
        Err(_) => Symptom::error(
            "port",
            format!("--listen: the directory of {shown} does not exist"),
            "make it first",
        ),
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => Symptom::error(
            "port",
            format!("--listen: somebody listens at {shown}"),
            "end that program, or take another path",
        ),
        Ok(_) => Symptom::note(
            "port",
            format!("--listen: {shown} was left behind by a program that has ended"),
            "",
        ),
    }
}

/// The repository, and git at work in it.
pub(crate) fn git(settings: &Settings) -> Vec<Symptom> {
    let Some(top) = settings.base.ancestors().find(|dir| dir.join(".git").exists()) else {
        return vec![Symptom::note(
            "git",
            "no repository: only .watchignore and the built-in rules decide",
            "",
        )];
    };
    let shown = settings.shown(top);
    if !settings.watch.vcs {
        return vec![Symptom::good("git", format!("the repository at {shown} is left out of it, as asked"))];
    }
    let mut symptoms = vec![match in_path(OsStr::new("git"), None) {
        Some(_) => Symptom::good("git", format!("the rules of the repository at {shown} count")),
        None => Symptom::note(
            "git",
            "git is not installed: core.excludesFile and core.ignoreCase are taken to be as git's defaults",
            "",
        ),
    }];
    let lock = top.join(".git/index.lock");
    if lock.exists() {
        symptoms.push(Symptom::warning(
            "git-lock",
            format!("{} exists: devrun waits with restarts while git is at work", settings.shown(&lock)),
            format!("if no git is running, it was left behind: rm {}", settings.shown(&lock)),
        ));
    }
    symptoms
}

/// Whether COMMAND can be run, and whether it restarts by itself too.
pub(crate) fn command(settings: &Settings) -> Vec<Symptom> {
    let Some(command) = &settings.run.command else { return Vec::new() };
    let mut symptoms = Vec::new();
    let shown = escape_bytes(command.program.as_encoded_bytes());
    if command.shell == Shell::None {
        symptoms.push(match in_path(&command.program, command.workdir.as_deref()) {
            Some(path) => Symptom::good("command", format!("COMMAND is {}", escape_path(&path))),
            None if settings.run.builds.is_empty() => Symptom::error(
                "command",
                format!("COMMAND {shown} is not found, or not executable"),
                "install it, or correct `command`",
            ),
            None => Symptom::note(
                "command",
                format!("COMMAND {shown} is not there yet: `build` has to make it"),
                "",
            ),
        });
    }
    let words: Vec<OsString> = std::iter::once(&command.program).chain(&command.args).cloned().collect();
    let line: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    symptoms.extend(reloader(&line));
    if let Some((message, remedy)) = settings.server.unfilled(command) {
        symptoms.push(Symptom::warning("port-placeholder", message, remedy));
    }
    symptoms
}

/// A reloader inside COMMAND: two supervisors would fight.
fn reloader(line: &[String]) -> Option<Symptom> {
    let has = |word: &str| line.iter().any(|known| known == word || known.ends_with(&format!("/{word}")));
    let remedy = if has("uvicorn") && has("--reload") {
        "leave --reload out: devrun restarts it"
    } else if has("runserver") && !has("--noreload") {
        "add --noreload: devrun restarts it"
    } else if has("nodemon") {
        "run node instead of nodemon: devrun restarts it"
    } else if has("node") && has("--watch") {
        "leave --watch out: devrun restarts it"
    } else if has("cargo") && has("watch") {
        "use `cargo run` instead of `cargo watch`: devrun restarts it"
    } else {
        return None;
    };
    Some(Symptom::warning("reloader-inside", "COMMAND restarts by itself too: the two would fight", remedy))
}

/// The program as the child would find it: by its path, else in `PATH`.
fn in_path(program: &OsStr, workdir: Option<&Path>) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if program.as_encoded_bytes().contains(&b'/') {
        let path = workdir.unwrap_or(Path::new("")).join(program);
        return Some(path).filter(executable);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(executable)
}

/// What is peculiar to the kind of project.
pub(crate) fn project(settings: &Settings) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    let kind = project::recognise(&settings.base).kind;
    if matches!(kind, Some("Python" | "Flask" | "FastAPI" | "Django")) {
        let set = std::env::var_os("PYTHONDONTWRITEBYTECODE");
        symptoms.push(match set {
            Some(value) if value.is_empty() => Symptom::warning(
                "python-bytecode",
                "PYTHONDONTWRITEBYTECODE is set to nothing: Python would run a stale .pyc after two saves of the same length in one second",
                "unset it: devrun then sets it to 1",
            ),
            _ => Symptom::good("python-bytecode", "Python writes no .pyc files: no stale one can be run"),
        });
    }
    if settings.base.join(".watchdogignore").exists() {
        symptoms.push(Symptom::warning(
            "watchdogignore",
            ".watchdogignore is read by nothing",
            "`devrun init` takes its rules over into a .watchignore",
        ));
    }
    symptoms
}
