//! Checks whether COMMAND can be started, and warns of a reloader in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use devrun::Command;
use devrun::supervise::Shell;

use super::finding::Finding;
use crate::config::resolved::settings::Settings;
use crate::ui::{escape_bytes, escape_path};

/// Checks COMMAND, if there is one.
pub(super) fn run(settings: &Settings) -> Vec<Finding> {
    let Some(command) = &settings.run.command else { return Vec::new() };
    let has_build = !settings.run.builds.is_empty();
    // A shell reports a missing program itself.
    let program = (command.shell == Shell::None).then(|| check_program(command, has_build));
    let placeholder = settings
        .server
        .unfilled_placeholder(command)
        .map(|(message, remedy)| Finding::warning("port-placeholder", message).with_remedy(remedy));
    program.into_iter().chain(check_reloader(command)).chain(placeholder).collect()
}

/// The path of a program as COMMAND would be found: the path itself if it has a slash, otherwise from `PATH`.
pub(super) fn find_program(program: &OsStr, workdir: Option<&Path>) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        let path = workdir.unwrap_or(Path::new("")).join(program);
        return is_executable(&path).then_some(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| is_executable(path))
}

fn check_program(command: &Command, has_build: bool) -> Finding {
    let name = escape_bytes(command.program.as_encoded_bytes());
    match find_program(&command.program, command.workdir.as_deref()) {
        Some(path) => Finding::good("command", format!("COMMAND is {}", escape_path(&path))),
        None if has_build => {
            Finding::note("command", format!("COMMAND {name} does not exist yet: `build` must create it"))
        }
        None => Finding::error("command", format!("COMMAND {name} is not found, or not executable"))
            .with_remedy("install it, or correct `command`"),
    }
}

/// Warns of a reloader inside of COMMAND, because it and devrun would both restart the server.
fn check_reloader(command: &Command) -> Option<Finding> {
    let words = std::iter::once(&command.program).chain(&command.args);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let has = |name: &str| words.iter().any(|word| word == name || word.ends_with(&format!("/{name}")));
    let remedy = if has("uvicorn") && has("--reload") {
        "remove --reload: devrun restarts the server"
    } else if has("runserver") && !has("--noreload") {
        "add --noreload: devrun restarts the server"
    } else if has("nodemon") {
        "run node instead of nodemon: devrun restarts it"
    } else if has("node") && has("--watch") {
        "remove --watch: devrun restarts the server"
    } else if has("cargo") && has("watch") {
        "use `cargo run` instead of `cargo watch`: devrun restarts it"
    } else {
        return None;
    };
    let message = "COMMAND has its own reloader: it and devrun would both restart the server";
    Some(Finding::warning("reloader-inside", message).with_remedy(remedy))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
