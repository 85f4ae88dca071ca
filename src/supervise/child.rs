//! Spawns one process: environment, standard streams, descriptors. No policy.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::change::Batch;

use super::capture::Ends;
use super::command::{Command, Shell, Stdin};
use super::env_file::{self, EnvFileError, Environment};
use super::options::{Capture, PassSocket};
use super::os::launch::{Launch, LaunchError, OWN_PID};
use super::os::unix::{own_group, pipe};
use super::sockets::Held;
use super::streams::{OutputStreams, StdStream};

/// Where `DEVRUN_CHANGED` is cut, at the end of a path: the environment is bounded.
const CHANGED: usize = 4096;
/// How often a program that is just being written (`ETXTBSY`) is tried again.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// The status of a start that failed by a file of devrun's own: as for any configuration error.
const BAD_FILE: i32 = 2;
/// What must not come from devrun's own caller: sockets that were meant for devrun.
const STRIPPED: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD", "LISTEN_PIDFDID"];

/// More descriptors are not believed to have been given to devrun.
const MOST_OWN: u32 = 1024;

/// What surrounds one start.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) generation: u64,
    pub(super) because: Option<&'a Batch>,
    /// Marks every process of the tree.
    pub(super) marker: (String, String),
    /// The soft limit of its open files, if it is another one than here.
    pub(super) open_files: Option<u64>,
    pub(super) port: Option<u16>,
    pub(super) sockets: Vec<&'a Held>,
    /// Nobody else serves on these sockets now.
    pub(super) alone: bool,
    pub(super) pass_socket: PassSocket,
    /// What of its output goes through us, and where to.
    pub(super) capture: Capture,
    pub(super) streams: Option<&'a OutputStreams>,
    pub(super) die_with_parent: bool,
    /// It may read devrun's standard input, and own the terminal.
    pub(super) interactive: bool,
}

/// A started process and devrun's ends of its pipes.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: i32,
    /// Kept open, so that the child's standard input does not end.
    pub(super) stdin: Option<OwnedFd>,
    /// What it writes, as far as it is captured, and where that goes.
    pub(super) output: Vec<(OwnedFd, StdStream)>,
    /// The terminal is the child's now.
    pub(super) terminal: bool,
}

/// Why nothing was started: the status that a shell would give, one sentence, and what else to know.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) status: i32,
    pub(super) message: String,
}

/// Starts a command.
pub(super) fn spawn(command: &Command, around: &Surroundings<'_>) -> Result<Child, NotStarted> {
    let environment = environment(command, around).map_err(|error| not_prepared(&error))?;
    start(command, around, &environment)
}

/// Whether the environment files of a command can be used, as they are now.
///
/// # Errors
/// [`EnvFileError`]: the first thing that is wrong, with its place.
pub fn check_env_files(command: &Command) -> Result<(), EnvFileError> {
    if command.env_files.is_empty() {
        return Ok(());
    }
    let mut environment = std::env::vars_os().collect();
    command.env_files.iter().try_for_each(|file| env_file::add(file, &mut environment))
}

/// A start that is impossible because of an environment file.
pub(super) fn not_prepared(error: &EnvFileError) -> NotStarted {
    NotStarted { status: BAD_FILE, message: with_remedy(error) }
}

fn with_remedy(error: &EnvFileError) -> String {
    format!("{error}; {}", error.remedy)
}

fn start(
    command: &Command,
    around: &Surroundings<'_>,
    environment: &Environment,
) -> Result<Child, NotStarted> {
    let failed = |error: io::Error| NotStarted {
        status: 126,
        message: format!("cannot start {}: {error}", command.program.display()),
    };
    let words = words(command, around);
    let inherit = around.interactive && command.stdin == Stdin::Inherit;
    let piped = around.interactive && command.stdin == Stdin::Pipe;
    let (stdin_read, stdin_write) = match piped {
        true => pipe().map(|(read, write)| (Some(read), Some(write))),
        false if inherit => Ok((None, None)),
        false => nothing().map(|null| (Some(null), None)),
    }
    .map_err(failed)?;
    let ends = Ends::open(around.capture, around.streams).map_err(failed)?;
    let (own_in, own_out, own_err) = (io::stdin(), io::stdout(), io::stderr());
    let stdin = stdin_read.as_ref().map_or(own_in.as_fd(), AsFd::as_fd);
    let [stdout, stderr] = &ends.theirs;
    let stdout = stdout.as_ref().map_or(own_out.as_fd(), AsFd::as_fd);
    let stderr = stderr.as_ref().map_or(own_err.as_fd(), AsFd::as_fd);
    let terminal = inherit && owns_terminal(own_in.as_fd());
    let pass = around.sockets.iter().map(|held| held.for_child(around.generation, around.alone));
    let launch = Launch {
        candidates: candidates(&words[0], environment).into_iter().map(c_string).collect(),
        argv: words.iter().map(c_string).collect(),
        envp: environment_block(environment, !around.sockets.is_empty()),
        workdir: command.workdir.as_deref().map(c_string),
        stdio: [stdin, stdout, stderr],
        pass: pass.collect::<Result<_, _>>().map_err(failed)?,
        die_with_parent: around.die_with_parent,
        terminal: terminal.then(|| own_in.as_fd()),
        open_files: around.open_files,
        own: meant_for_us(),
    };
    let pid = launch_patiently(&launch).map_err(|error| explain(error, &words[0], command, environment))?;
    Ok(Child { pid, stdin: stdin_write, output: ends.ours, terminal })
}

/// Standard input for who is to read nothing.
fn nothing() -> io::Result<OwnedFd> {
    Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())
}

/// How many descriptors from 3 on are sockets that devrun's own caller has opened for devrun (`sd_listen_fds(3)`).
fn meant_for_us() -> usize {
    let number = |key: &str| std::env::var(key).ok()?.parse::<u32>().ok();
    let ours = number("LISTEN_PID") == Some(std::process::id());
    number("LISTEN_FDS").filter(|_| ours).map_or(0, |count| count.min(MOST_OWN) as usize)
}

/// A program that was built a moment ago may still be open for writing in somebody's fork.
fn launch_patiently(launch: &Launch<'_>) -> Result<i32, LaunchError> {
    for _ in 0..BUSY_TRIES {
        match launch.start() {
            Err(LaunchError::Exec(error)) if error.raw_os_error() == Some(libc::ETXTBSY) => {
                std::thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
    launch.start()
}

/// Whether devrun is the foreground of the terminal on its standard input, so that it may give it away.
fn owns_terminal(stdin: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(stdin).is_ok_and(|group| group.as_raw_nonzero().get() == own_group())
}

/// The words to execute, placeholders filled in.
fn words(command: &Command, around: &Surroundings<'_>) -> Vec<OsString> {
    let fill = |word: &OsString| {
        let mut word = word.clone();
        if let Some(port) = around.port {
            word = replace(&word, "{port}", &port.to_string());
        }
        if !around.sockets.is_empty() {
            word = replace(&word, "{fd}", "3");
        }
        word
    };
    let words = std::iter::once(&command.program).chain(&command.args).map(fill);
    match &command.shell {
        Shell::None => words.collect(),
        Shell::Program(shell) => {
            let line = words.collect::<Vec<_>>().join(OsStr::new(" "));
            vec![shell.clone(), "-c".into(), line]
        }
    }
}

fn replace(word: &OsStr, placeholder: &str, value: &str) -> OsString {
    let (mut rest, mut filled) = (word.as_bytes(), Vec::new());
    while let Some(at) = rest.windows(placeholder.len()).position(|window| window == placeholder.as_bytes()) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value.as_bytes());
        rest = &rest[at + placeholder.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

/// The files that a program name may mean, in the order of `PATH` of the child.
fn candidates(program: &OsStr, environment: &Environment) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    search_path(environment).iter().map(|dir| dir.join(program)).collect()
}

fn search_path(environment: &Environment) -> Vec<PathBuf> {
    // The fallback is that of execvp(3).
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new("/bin:/usr/bin"), OsString::as_os_str);
    // An empty entry means the working directory.
    std::env::split_paths(path).map(|dir| if dir.as_os_str().is_empty() { ".".into() } else { dir }).collect()
}

/// A byte string for the system; a NUL byte, which none of them can contain, ends it.
fn c_string(text: impl Into<OsString>) -> CString {
    let mut bytes = text.into().into_vec();
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    CString::new(bytes).unwrap_or_default()
}

fn environment_block(environment: &Environment, own_pid: bool) -> Vec<CString> {
    let own_pid = own_pid.then(|| CString::new(OWN_PID).unwrap_or_default());
    let pairs = environment.iter().map(|(key, value)| {
        let mut pair = OsString::with_capacity(key.len() + value.len() + 2);
        pair.push(key);
        pair.push("=");
        pair.push(value);
        c_string(pair)
    });
    pairs.chain(own_pid).collect()
}

/// The whole environment of the child.
fn environment(command: &Command, around: &Surroundings<'_>) -> Result<Environment, EnvFileError> {
    let mut environment: Environment = std::env::vars_os().collect();
    for key in STRIPPED {
        environment.remove(OsStr::new(key));
    }
    for file in &command.env_files {
        env_file::add(file, &mut environment)?;
    }
    environment.extend(command.envs.iter().cloned());
    let mut unless_set = |key: &str, value: &str| {
        environment.entry(key.into()).or_insert_with(|| value.into());
    };
    // Two saves of the same length within a second would otherwise run a stale .pyc: it is trusted by size and whole seconds.
    unless_set("PYTHONDONTWRITEBYTECODE", "1");
    unless_set("FLASK_RUN_RELOAD", "0");
    if around.capture == Capture::All {
        // Through a pipe Python would hold back what it prints until it has 8 KiB of it.
        unless_set("PYTHONUNBUFFERED", "1");
    }
    let mut set = |key: &str, value: OsString| environment.insert(key.into(), value);
    set("DEVRUN", "1".into());
    set("DEVRUN_GENERATION", around.generation.to_string().into());
    set("DEVRUN_CHANGED", around.because.map(changed).unwrap_or_default());
    set(&around.marker.0, around.marker.1.clone().into());
    if let Some(port) = around.port {
        set("PORT", port.to_string().into());
    }
    if !around.sockets.is_empty() {
        let names: Vec<_> = around.sockets.iter().map(|held| held.name.as_str()).collect();
        set("LISTEN_FDS", around.sockets.len().to_string().into());
        set("LISTEN_FDNAMES", names.join(":").into());
        set("LISTEN_FDS_FIRST_FD", "3".into());
        if around.pass_socket == PassSocket::Werkzeug {
            // werkzeug reads the first only together with the second.
            set("WERKZEUG_SERVER_FD", "3".into());
            set("WERKZEUG_RUN_MAIN", "true".into());
        }
    }
    Ok(environment)
}

/// The changed paths, a line each, cut at the end of a path.
fn changed(batch: &Batch) -> OsString {
    let mut text = OsString::new();
    for change in &batch.changes {
        if text.len() + change.path.as_os_str().len() + 1 > CHANGED {
            break;
        }
        if !text.is_empty() {
            text.push("\n");
        }
        text.push(&change.path);
    }
    text
}

/// What a failed start means, as a shell would count it.
fn explain(error: LaunchError, program: &OsStr, command: &Command, environment: &Environment) -> NotStarted {
    let shown = program.display();
    let (status, message) = match error {
        LaunchError::Fork(error) => (126, format!("cannot start {shown}: {error}")),
        LaunchError::Workdir(error) => {
            let dir = command.workdir.as_deref().unwrap_or(Path::new("."));
            (126, format!("cannot start {shown} in {}: {error}", dir.display()))
        }
        LaunchError::Exec(error) => {
            let base = command.workdir.as_deref().unwrap_or(Path::new("."));
            let files = candidates(program, environment).into_iter().map(|file| base.join(file));
            let found = files.into_iter().find(|file| file.exists());
            match (error.kind(), found) {
                (io::ErrorKind::NotFound, None) => (127, not_found(program, base, environment)),
                (io::ErrorKind::NotFound, Some(file)) => (127, no_interpreter(program, &file)),
                (_, Some(file)) if file.is_dir() => (126, format!("cannot run {shown}: it is a directory")),
                (io::ErrorKind::PermissionDenied, Some(file)) => (126, forbidden(program, &file)),
                _ => (126, format!("cannot run {shown}: {error}")),
            }
        }
    };
    NotStarted { status, message }
}

fn not_found(program: &OsStr, base: &Path, environment: &Environment) -> String {
    let shown = program.display();
    if program.as_bytes().contains(&b'/') {
        return format!("cannot run {shown}: no such file");
    }
    if base.join(program).is_file() {
        return format!("cannot run {shown}: not found in PATH; to run the file here: ./{shown}");
    }
    if program.as_bytes().contains(&b' ') {
        return format!(
            "cannot run `{shown}`: no program has that name; for a whole command line use --shell"
        );
    }
    match nearest(&program.to_string_lossy(), environment) {
        Some(name) => format!("cannot run {shown}: not found in PATH; did you mean {name}?"),
        None => format!("cannot run {shown}: not found in PATH"),
    }
}

/// A file that exists and still is "not found": its interpreter is not there.
fn no_interpreter(program: &OsStr, file: &Path) -> String {
    let shown = program.display();
    let mut line = Vec::new();
    if let Ok(opened) = std::fs::File::open(file) {
        let _ = io::BufReader::new(opened.take(256)).read_until(b'\n', &mut line);
    }
    let Some(line) = line.strip_prefix(b"#!") else {
        return format!(
            "cannot run {shown}: the loader it asks for does not exist (built for another system?)"
        );
    };
    let text = String::from_utf8_lossy(line);
    let interpreter = text.split_ascii_whitespace().next().unwrap_or_default();
    if line.ends_with(b"\r\n") {
        return format!(
            "cannot run {shown}: its first line ends in a carriage return, so {interpreter} is not found; save it with LF line ends"
        );
    }
    format!("cannot run {shown}: its interpreter {interpreter} does not exist")
}

fn forbidden(program: &OsStr, file: &Path) -> String {
    let shown = program.display();
    let executable = std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    if executable {
        return format!("cannot run {shown}: permission denied");
    }
    format!("cannot run {shown}: it is not executable; chmod +x {}", file.display())
}

/// The program in `PATH` whose name is nearest to this one: at most two letters off, at most one in a short name.
fn nearest(name: &str, environment: &Environment) -> Option<String> {
    let most = if name.len() < 5 { 1 } else { 2 };
    let dirs = search_path(environment);
    let files = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let near = names.map(|one| (distance(name, &one), one)).filter(|(off, _)| *off <= most);
    near.min().map(|(_, name)| name)
}

/// Letters to change, add, remove, or swap with their neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for i in 1..=one.len() {
        let mut row = vec![i; other.len() + 1];
        for j in 1..=other.len() {
            let differs = usize::from(one[i - 1] != other[j - 1]);
            row[j] = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_near() {
        assert_eq!(distance("flsk", "flask"), 1);
        assert_eq!(distance("pyhton", "python"), 1);
        assert!(distance("cargo", "docker") > 2);
    }

    #[test]
    fn placeholders_are_filled_everywhere_and_bytes_kept() {
        let word = OsString::from_vec(b"\xff{port}:{port}{fd}".to_vec());
        assert_eq!(replace(&word, "{port}", "80").as_bytes(), b"\xff80:80{fd}");
    }

    #[test]
    fn changed_paths_are_cut_at_a_path() {
        let changes = (0..1000).map(|number| crate::change::Change {
            path: format!("/project/src/file-{number:04}.rs").into(),
            kind: crate::change::ChangeKind::Modified,
        });
        let now = std::time::Instant::now();
        let text = changed(&Batch { changes: changes.collect(), first: now, last: now });
        assert!(text.len() <= CHANGED && text.len() > CHANGED - 64);
        assert!(text.to_string_lossy().lines().all(|line| line.ends_with(".rs")));
    }
}
