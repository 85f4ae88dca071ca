//! Why a process was not started: the exit status that a shell would report, one sentence, and a remedy.

use std::ffi::OsStr;
use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Remedy;
use crate::supervise::command::Command;
use crate::supervise::env_file::EnvFileError;
use crate::supervise::event::{ExitReport, ProcessExit};

use super::exceeded_limit::ExceededLimit;
use super::exec::ExecError;

/// Status if an environment file cannot be used, if another program has the port of the server, or if a limit of the
/// system is reached: as for any configuration error.
const BAD_CONFIGURATION: i32 = 2;
/// Statuses of a shell for a program that it cannot execute, and for one that it does not find.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// Maximum length of the first line of a script that is read to find its interpreter.
const MAX_SHEBANG_LENGTH: u64 = 256;

/// The report about a process that was not started.
fn report(status: i32, message: String, remedy: Remedy) -> ExitReport {
    let ended = ProcessExit::NotStarted(status);
    ExitReport { ended, ran: Duration::ZERO, message: Some(message), remedy, output: Vec::new() }
}

/// An environment file cannot be used.
pub(crate) fn env_file(error: &EnvFileError) -> ExitReport {
    report(BAD_CONFIGURATION, error.to_string(), error.remedy.clone())
}

/// Another program listens on the fixed port of the server already.
pub(crate) fn port_in_use(address: SocketAddr, holder: &str) -> ExitReport {
    let message = format!("{address} is in use by {holder}, which COMMAND did not start");
    report(BAD_CONFIGURATION, message, Remedy::Text("end that process, or use another port".into()))
}

/// The system refused something that has nothing to do with the program.
pub(super) fn system(program: &OsStr, error: &io::Error) -> ExitReport {
    let shown = program.display();
    match ExceededLimit::of(error) {
        Some(limit) => report(BAD_CONFIGURATION, format!("cannot start {shown}: {limit}"), limit.remedy()),
        None => report(NOT_EXECUTABLE, format!("cannot start {shown}: {error}"), Remedy::None),
    }
}

/// Finds out why a program was not executed.
pub(super) fn explain(
    error: ExecError,
    program: &OsStr,
    command: &Command,
    candidates: &[PathBuf],
) -> ExitReport {
    let base = command.current_dir.as_deref().unwrap_or(Path::new("."));
    let shown = program.display();
    let not_executable = |message| report(NOT_EXECUTABLE, message, Remedy::None);
    let error = match error {
        ExecError::Fork(error) => return system(program, &error),
        ExecError::Workdir(error) => {
            return not_executable(format!("cannot start {shown} in {}: {error}", base.display()));
        }
        ExecError::Exec(error) if ExceededLimit::of(&error).is_some() => return system(program, &error),
        ExecError::Exec(error) => error,
    };
    let found = candidates.iter().map(|file| base.join(file)).find(|file| file.exists());
    match (error.kind(), found) {
        (io::ErrorKind::NotFound, None) => not_found(program, base),
        (io::ErrorKind::NotFound, Some(file)) => no_interpreter(program, &file),
        (_, Some(file)) if file.is_dir() => not_executable(format!("cannot run {shown}: it is a directory")),
        (io::ErrorKind::PermissionDenied, Some(file)) if !is_executable(&file) => {
            let remedy = Remedy::Text(format!("chmod +x {}", file.display()).into());
            report(NOT_EXECUTABLE, format!("cannot run {shown}: it is not executable"), remedy)
        }
        (io::ErrorKind::PermissionDenied, Some(_)) => {
            not_executable(format!("cannot run {shown}: permission denied"))
        }
        _ => not_executable(format!("cannot run {shown}: {error}")),
    }
}

fn not_found(program: &OsStr, base: &Path) -> ExitReport {
    let shown = program.display();
    if program.as_bytes().contains(&b'/') {
        return report(NOT_FOUND, format!("cannot run {shown}: no such file"), Remedy::None);
    }
    let is_here = base.join(program).is_file();
    if program.as_bytes().contains(&b' ') && !is_here {
        return report(
            NOT_FOUND,
            format!("cannot run `{shown}`: no program has that name"),
            Remedy::UseShell,
        );
    }
    let remedy = if is_here {
        Remedy::Text(format!("to run the file here: ./{shown}").into())
    } else {
        Remedy::FindProgram { name: program.to_string_lossy().into_owned() }
    };
    report(NOT_FOUND, format!("cannot run {shown}: not found in PATH"), remedy)
}

/// The file exists, but its interpreter does not.
fn no_interpreter(program: &OsStr, file: &Path) -> ExitReport {
    let mut line = Vec::new();
    if let Ok(opened) = std::fs::File::open(file) {
        let _ = io::BufReader::new(opened.take(MAX_SHEBANG_LENGTH)).read_until(b'\n', &mut line);
    }
    let text = String::from_utf8_lossy(&line);
    let interpreter = text.get(2..).and_then(|text| text.split_ascii_whitespace().next()).unwrap_or_default();
    let mut remedy = Remedy::None;
    let reason = if !line.starts_with(b"#!") {
        "the loader it asks for does not exist (built for another system?)".to_owned()
    } else if line.ends_with(b"\r\n") {
        remedy = Remedy::Text("save it with LF line ends".into());
        format!("its first line ends in a carriage return, so {interpreter} is not found")
    } else {
        format!("its interpreter {interpreter} does not exist")
    };
    report(NOT_FOUND, format!("cannot run {}: {reason}", program.display()), remedy)
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}
