//! Why a process was not started: the exit status that a shell would report, one sentence, and a remedy.

use std::ffi::OsStr;
use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Remedy;
use crate::supervise::command::Command;
use crate::supervise::env_file::EnvFileError;
use crate::supervise::phase::ExitReport;

use super::environment::{Environment, candidates};
use super::exec::ExecError;

/// Status if an environment file cannot be used: as for any configuration error.
const BAD_FILE: i32 = 2;
/// Status if another program has the port of the server.
const BAD_PORT: i32 = 2;
/// Statuses of a shell for a program that it cannot execute, and for one that it does not find.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// Maximum length of the first line of a script that is read to find its interpreter.
const MAX_SHEBANG_LENGTH: u64 = 256;

/// Why a process was not started.
#[derive(Debug)]
pub(crate) struct StartError {
    status: i32,
    message: String,
    remedy: Remedy,
}

impl StartError {
    fn new(status: i32, message: String) -> Self {
        Self { status, message, remedy: Remedy::None }
    }

    fn with_remedy(self, remedy: Remedy) -> Self {
        Self { remedy, ..self }
    }

    /// An environment file cannot be used.
    pub(crate) fn env_file(error: &EnvFileError) -> Self {
        Self::new(BAD_FILE, error.to_string()).with_remedy(error.remedy.clone())
    }

    /// Another program listens on the fixed port of the server already.
    pub(crate) fn port_in_use(address: SocketAddr, holder: &str) -> Self {
        let message = format!("{address} is in use by {holder}, which COMMAND did not start");
        Self::new(BAD_PORT, message).with_remedy(Remedy::Text("end that process, or use another port".into()))
    }

    /// The system refused something that has nothing to do with the program.
    pub(super) fn system(program: &OsStr, error: &io::Error) -> Self {
        Self::new(NOT_EXECUTABLE, format!("cannot start {}: {error}", program.display()))
    }

    /// The report of a generation or a build that was never started.
    pub(crate) fn into_report(self) -> ExitReport {
        ExitReport::not_started(self.status, self.message, self.remedy)
    }

    /// Finds out why a program was not executed.
    pub(super) fn explain(
        error: ExecError,
        program: &OsStr,
        command: &Command,
        environment: &Environment,
    ) -> Self {
        let base = command.workdir.as_deref().unwrap_or(Path::new("."));
        let shown = program.display();
        let error = match error {
            ExecError::Fork(error) => return Self::system(program, &error),
            ExecError::Workdir(error) => {
                let message = format!("cannot start {shown} in {}: {error}", base.display());
                return Self::new(NOT_EXECUTABLE, message);
            }
            ExecError::Exec(error) => error,
        };
        let files = candidates(program, environment).into_iter().map(|file| base.join(file));
        let found = files.into_iter().find(|file| file.exists());
        match (error.kind(), found) {
            (io::ErrorKind::NotFound, None) => not_found(program, base),
            (io::ErrorKind::NotFound, Some(file)) => no_interpreter(program, &file),
            (_, Some(file)) if file.is_dir() => {
                Self::new(NOT_EXECUTABLE, format!("cannot run {shown}: it is a directory"))
            }
            (io::ErrorKind::PermissionDenied, Some(file)) => permission_denied(program, &file),
            _ => Self::new(NOT_EXECUTABLE, format!("cannot run {shown}: {error}")),
        }
    }
}

fn not_found(program: &OsStr, base: &Path) -> StartError {
    let shown = program.display();
    if program.as_bytes().contains(&b'/') {
        return StartError::new(NOT_FOUND, format!("cannot run {shown}: no such file"));
    }
    let is_line = program.as_bytes().contains(&b' ');
    if is_line && !base.join(program).is_file() {
        let message = format!("cannot run `{shown}`: no program has that name");
        return StartError::new(NOT_FOUND, message).with_remedy(Remedy::UseShell);
    }
    let error = StartError::new(NOT_FOUND, format!("cannot run {shown}: not found in PATH"));
    if base.join(program).is_file() {
        return error.with_remedy(Remedy::Text(format!("to run the file here: ./{shown}").into()));
    }
    let name = program.to_string_lossy().into_owned();
    error.with_remedy(Remedy::FindProgram { name })
}

/// The file exists, but its interpreter does not.
fn no_interpreter(program: &OsStr, file: &Path) -> StartError {
    let shown = program.display();
    let error = |reason: String| StartError::new(NOT_FOUND, format!("cannot run {shown}: {reason}"));
    let mut line = Vec::new();
    if let Ok(opened) = std::fs::File::open(file) {
        let _ = io::BufReader::new(opened.take(MAX_SHEBANG_LENGTH)).read_until(b'\n', &mut line);
    }
    let Some(line) = line.strip_prefix(b"#!") else {
        return error("the loader it asks for does not exist (built for another system?)".to_owned());
    };
    let text = String::from_utf8_lossy(line);
    let interpreter = text.split_ascii_whitespace().next().unwrap_or_default();
    if line.ends_with(b"\r\n") {
        let reason = format!("its first line ends in a carriage return, so {interpreter} is not found");
        return error(reason).with_remedy(Remedy::Text("save it with LF line ends".into()));
    }
    error(format!("its interpreter {interpreter} does not exist"))
}

fn permission_denied(program: &OsStr, file: &Path) -> StartError {
    let shown = program.display();
    let is_executable = std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    if is_executable {
        return StartError::new(NOT_EXECUTABLE, format!("cannot run {shown}: permission denied"));
    }
    StartError::new(NOT_EXECUTABLE, format!("cannot run {shown}: it is not executable"))
        .with_remedy(Remedy::Text(format!("chmod +x {}", file.display()).into()))
}
