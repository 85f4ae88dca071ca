//! Finds git's own files: repository, info/exclude, worktrees, configuration.
//!
//! Looks at the file system and, when asked to, runs `git config` once; the environment is always an argument.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rules::options::GitEnv;
use crate::rules::path_key as key;

/// The top directory of the repository that a directory is in: itself or the nearest above.
pub(in crate::rules) fn top_of(dir: &Path) -> Option<&Path> {
    top_and_common(dir).map(|(top, _)| top)
}

/// The top with its [`common_dir`].
fn top_and_common(dir: &Path) -> Option<(&Path, PathBuf)> {
    dir.ancestors().find_map(|dir| Some((dir, common_dir(dir)?)))
}

/// The directory with `info/exclude`, if `dir` is the top of a working tree.
///
/// In a linked worktree and in a submodule `.git` is a file that names the directory; what the worktrees of a
/// repository share is where `commondir` says.
pub(in crate::rules) fn common_dir(dir: &Path) -> Option<PathBuf> {
    let dot_git = dir.join(".git");
    let kind = std::fs::metadata(&dot_git).ok()?;
    let git_dir = if kind.is_dir() { dot_git } else { named_in(&dot_git, b"gitdir:", dir)? };
    let common = match named_in(&git_dir.join("commondir"), b"", &git_dir) {
        // It is named with `..`; what is shown and watched is where it really is.
        Some(named) => named.canonicalize().unwrap_or(named),
        None => git_dir.clone(),
    };
    let is_repository = git_dir.join("HEAD").symlink_metadata().is_ok()
        && common.join("objects").is_dir()
        && common.join("refs").is_dir();
    is_repository.then_some(common)
}

/// The path that a small file of git's holds, after a prefix; a relative one counts from `from`.
fn named_in(file: &Path, prefix: &[u8], from: &Path) -> Option<PathBuf> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let content = std::fs::read(file).ok()?;
    let path = content.strip_prefix(prefix)?.trim_ascii();
    (!path.is_empty()).then(|| from.join(key::to_path(path)))
}

impl GitEnv {
    /// Asks git what its configuration says for a directory: one `git config`, and none outside a repository
    /// or where no configuration file speaks of the two keys (a process costs more than all else at the start).
    ///
    /// `environment` is the whole environment that git and this function see (`std::env::vars_os()` in a
    /// program). Where git is missing, fails or says nothing, git's defaults hold: `$XDG_CONFIG_HOME/git/ignore`
    /// or `$HOME/.config/git/ignore`, and case counts.
    #[must_use]
    pub fn ask(dir: &Path, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let Some((top, common)) = top_and_common(dir) else { return Self::default() };
        let environment: Vec<_> = environment.into_iter().collect();
        let value = |name: &str| {
            let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| PathBuf::from(value))
        };
        let home = value("HOME");
        let config_home = value("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let plain = says_nothing(&common, home.as_deref(), config_home.as_deref(), &environment);
        let answer = if plain { None } else { run_git_config(top, &environment) }.unwrap_or_default();
        let mut env =
            Self { excludes_file: config_home.map(|dir| dir.join("git/ignore")), ..Self::default() };
        for entry in answer.split(|byte| *byte == 0) {
            let (key, value) = match entry.iter().position(|byte| *byte == b'\n') {
                Some(at) => (&entry[..at], Some(&entry[at + 1..])),
                None => (entry, None),
            };
            match key {
                b"core.excludesfile" => env.excludes_file = excludes_file(value, top, home.as_deref()),
                b"core.ignorecase" => env.ignore_case = is_true(value),
                _ => {}
            }
        }
        env
    }
}

/// The files under version control at and below a directory, absolute, as `git ls-files` lists them; none
/// outside a repository. `environment` as for [`GitEnv::ask`].
///
/// # Errors
/// If git cannot be run or refuses.
pub fn tracked_files(
    dir: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<Vec<PathBuf>> {
    if top_of(dir).is_none() {
        return Ok(Vec::new());
    }
    let mut git = Command::new("git");
    git.args(["ls-files", "-z"]).current_dir(dir).env_clear().envs(environment).stdin(Stdio::null());
    let output = git.output()?;
    if !output.status.success() {
        // git's advice is on lines of its own, indented.
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(io::Error::other(format!("git ls-files: {why}")));
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| dir.join(key::to_path(path))).collect())
}

/// Whether it is certain, without asking git, that neither key is set: the configuration files are known, and
/// none holds a word that could set them or include another file. Any doubt is a no.
fn says_nothing(
    common: &Path,
    home: Option<&Path>,
    config_home: Option<&Path>,
    environment: &[(OsString, OsString)],
) -> bool {
    const HARMLESS: [&str; 3] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];
    let value = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let matters = |key: &str| {
        key.starts_with("GIT_CONFIG") && !HARMLESS.contains(&key)
            || key == "GIT_DIR"
            || key == "GIT_COMMON_DIR"
    };
    if environment.iter().any(|(key, _)| key.to_str().is_none_or(matters)) {
        return false;
    }
    let mut files = vec![common.join("config")];
    match value("GIT_CONFIG_GLOBAL") {
        Some(file) => files.push(file.into()),
        None => {
            files.extend(home.map(|dir| dir.join(".gitconfig")));
            files.extend(config_home.map(|dir| dir.join("git/config")));
        }
    }
    match (value("GIT_CONFIG_NOSYSTEM"), value("GIT_CONFIG_SYSTEM")) {
        (Some(no), _) if no == "1" || no == "true" => {}
        (None, Some(file)) => files.push(file.into()),
        (None, None) => match value("PATH").and_then(|path| files_for_the_machine(path)) {
            Some(known) => files.extend(known.iter().map(PathBuf::from)),
            None => return false,
        },
        _ => return false,
    }
    files.iter().all(|file| match std::fs::read(file) {
        Ok(content) => !holds_a_word(&content),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    })
}

/// What the git that would be run reads for the whole machine, where that is certain: on Linux, the system's own git, or
/// one that was built from source into /usr/local, whichever of the two files it was told to read.
fn files_for_the_machine(path: &OsStr) -> Option<&'static [&'static str]> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let first = std::env::split_paths(path).map(|dir| dir.join("git")).find(|git| git.exists());
    match first.as_deref().map(|git| git.to_str()) {
        None => Some(&[]),
        Some(Some("/usr/bin/git" | "/bin/git")) => Some(&["/etc/gitconfig"]),
        Some(Some(local @ "/usr/local/bin/git")) if is_program(Path::new(local)) => {
            Some(&["/usr/local/etc/gitconfig", "/etc/gitconfig"])
        }
        _ => None,
    }
}

/// Whether a file is a program itself: no link to one elsewhere, and no script that runs one.
fn is_program(file: &Path) -> bool {
    let mut magic = [0; 4];
    let mut read = || std::fs::File::open(file)?.read_exact(&mut magic);
    file.symlink_metadata().is_ok_and(|found| found.is_file()) && read().is_ok() && magic == *b"\x7fELF"
}

/// Whether a configuration file may set one of the keys, or send git to other files.
fn holds_a_word(content: &[u8]) -> bool {
    let content = content.to_ascii_lowercase();
    let words: [&[u8]; 4] = [b"excludesfile", b"ignorecase", b"include", b"worktreeconfig"];
    words.iter().any(|word| content.windows(word.len()).any(|window| window == *word))
}

fn run_git_config(top: &Path, environment: &[(OsString, OsString)]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(["config", "-z", "--get-regexp", r"^core\.(excludesfile|ignorecase)$"])
        .current_dir(top)
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    // Status 1 says that neither is set.
    output.status.success().then_some(output.stdout)
}

/// `core.excludesFile` as a path: `~/` is the home, a relative path counts from the top; empty: there is none.
fn excludes_file(value: Option<&[u8]>, top: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let value = value.filter(|value| !value.is_empty())?;
    match (value.strip_prefix(b"~/"), home) {
        (Some(rest), Some(home)) => Some(home.join(key::to_path(rest))),
        _ => Some(top.join(key::to_path(value))),
    }
}

/// git's reading of a truth value: a key without one is true.
fn is_true(value: Option<&[u8]>) -> bool {
    let Some(value) = value else { return true };
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    matches!(text.as_str(), "true" | "yes" | "on") || text.parse::<i64>().is_ok_and(|number| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_read_as_git_reads_it() {
        for yes in [None, Some("true"), Some("Yes"), Some("ON"), Some("1"), Some("-2")] {
            assert!(is_true(yes.map(str::as_bytes)), "{yes:?}");
        }
        for no in ["", "false", "no", "off", "0", "maybe"] {
            assert!(!is_true(Some(no.as_bytes())), "{no:?}");
        }
    }
}
