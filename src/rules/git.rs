//! What git knows and rules need: repositories, `info/exclude`, tracked files and two values of its
//! configuration.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::path_key;

/// The values of git's configuration that matter to rules. The library looks them up only in [`GitEnv::ask`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitEnv {
    /// `core.excludesFile`, absolute; `None` if there is none.
    pub excludes_file: Option<PathBuf>,
    /// `core.ignoreCase`: whether patterns match without regard to ASCII case.
    pub ignore_case: bool,
}

impl GitEnv {
    /// Asks git for its configuration in a directory. This runs `git config` at most once. It runs nothing
    /// outside a repository, or if no configuration file contains the two keys, because a process is the
    /// slowest part of a launch.
    ///
    /// `environment` is the whole environment of git (`std::env::vars_os()` in a program). Without git, or
    /// without an answer from it, git's defaults apply: case counts, and the excludes file is
    /// `$XDG_CONFIG_HOME/git/ignore` or `$HOME/.config/git/ignore`.
    #[must_use]
    pub fn ask(dir: &Path, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let Some(repository) = Repository::containing(dir) else { return Self::default() };
        let environment = Environment::new(environment);
        let top = repository.top;
        let mut answer = Vec::new();
        if !environment.has_defaults_only(&repository) {
            let keys = ["config", "-z", "--get-regexp", r"^core\.(excludesfile|ignorecase)$"];
            // git exits with 1 if neither key is set.
            let output = run_git(&keys, top, environment.variables.clone()).ok();
            answer = output.filter(|output| output.status.success()).map_or(answer, |output| output.stdout);
        }
        let default_file = environment.config_home.as_ref().map(|dir| dir.join("git/ignore"));
        let mut git_env = Self { excludes_file: default_file, ignore_case: false };
        for entry in answer.split(|byte| *byte == 0) {
            let (key, value) = match entry.iter().position(|byte| *byte == b'\n') {
                Some(at) => (&entry[..at], Some(&entry[at + 1..])),
                None => (entry, None),
            };
            match key {
                b"core.excludesfile" => git_env.excludes_file = environment.excludes_file(value, top),
                b"core.ignorecase" => git_env.ignore_case = is_true(value),
                _ => {}
            }
        }
        git_env
    }
}

/// Lists the files under version control in a directory and below, as absolute paths, by `git ls-files`.
/// Outside a repository there are none. `environment` is the whole environment of git, as for
/// [`GitEnv::ask`].
///
/// # Errors
/// If git cannot be run or fails.
pub fn tracked_files(
    dir: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<Vec<PathBuf>> {
    if Repository::containing(dir).is_none() {
        return Ok(Vec::new());
    }
    let output = run_git(&["ls-files", "-z"], dir, environment)?;
    if !output.status.success() {
        // git puts its advice on more lines, indented.
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(io::Error::other(format!("git ls-files: {reason}")));
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| dir.join(path_key::path_from(path))).collect())
}

/// Runs git in a directory, and waits for its end.
fn run_git(
    args: &[&str],
    dir: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<Output> {
    let mut git = Command::new("git");
    git.args(args).current_dir(dir).env_clear().envs(environment).stdin(Stdio::null()).output()
}

/// A git repository with a working tree.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    /// The top directory of the working tree.
    pub(super) top: &'a Path,
    /// git's directory, which all worktrees of the repository share.
    common_dir: PathBuf,
}

impl<'a> Repository<'a> {
    /// The repository that contains a directory: the nearest one whose top is the directory or an ancestor.
    pub(super) fn containing(dir: &'a Path) -> Option<Self> {
        dir.ancestors().find_map(Self::with_top)
    }

    /// The repository whose working tree starts at `top`.
    ///
    /// In a linked worktree and in a submodule, `.git` is a file that names git's directory. The file
    /// `commondir` in there names the directory that all worktrees of the repository share.
    pub(super) fn with_top(top: &'a Path) -> Option<Self> {
        let dot_git = top.join(".git");
        let metadata = std::fs::metadata(&dot_git).ok()?;
        let git_dir = if metadata.is_dir() { dot_git } else { path_in_file(&dot_git, b"gitdir:", top)? };
        let common_dir = match path_in_file(&git_dir.join("commondir"), b"", &git_dir) {
            // The file contains `..`. Messages and watches need the real path.
            Some(common_dir) => common_dir.canonicalize().unwrap_or(common_dir),
            None => git_dir.clone(),
        };
        let is_repository = git_dir.join("HEAD").symlink_metadata().is_ok()
            && common_dir.join("objects").is_dir()
            && common_dir.join("refs").is_dir();
        is_repository.then_some(Self { top, common_dir })
    }

    /// The path of `info/exclude`, whether the file exists or not.
    pub(super) fn exclude_file(&self) -> PathBuf {
        self.common_dir.join("info/exclude")
    }
}

/// The line of a `.git` file that links a worktree to its repository; `None` for every other file, such as the
/// one of a submodule, and for a directory.
pub(super) fn worktree_link(dot_git: &Path) -> Option<Vec<u8>> {
    let repository = path_in_file(dot_git, b"gitdir:", Path::new(""))?;
    let worktrees = repository.parent()?;
    let is_link = worktrees.ends_with(".git/worktrees");
    is_link.then(|| [b"gitdir: ", path_key::of(&repository)].concat())
}

/// Reads a path from a small file of git's, behind a prefix. A relative path counts from `base`.
fn path_in_file(file: &Path, prefix: &[u8], base: &Path) -> Option<PathBuf> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let content = std::fs::read(file).ok()?;
    let path = content.strip_prefix(prefix)?.trim_ascii();
    (!path.is_empty()).then(|| base.join(path_key::path_from(path)))
}

/// The environment of git.
struct Environment {
    variables: Vec<(OsString, OsString)>,
    home: Option<PathBuf>,
    /// The directory of the user's configuration files.
    config_home: Option<PathBuf>,
}

impl Environment {
    fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let variables: Vec<_> = variables.into_iter().collect();
        let directory = |name: &str| {
            let found = variables.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| PathBuf::from(value))
        };
        let home = directory("HOME");
        let config_home =
            directory("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        Self { variables, home, config_home }
    }

    fn value(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Whether it is certain, without asking git, that neither key is set: the configuration files are known,
    /// and none contains a word that may set a key or include another file.
    fn has_defaults_only(&self, repository: &Repository<'_>) -> bool {
        const HARMLESS: [&str; 3] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];
        let matters = |key: &str| {
            key.starts_with("GIT_CONFIG") && !HARMLESS.contains(&key)
                || key == "GIT_DIR"
                || key == "GIT_COMMON_DIR"
        };
        if self.variables.iter().any(|(key, _)| key.to_str().is_none_or(matters)) {
            return false;
        }
        let Some(system_files) = self.system_config_files() else { return false };
        let files = [repository.common_dir.join("config")]
            .into_iter()
            .chain(self.user_config_files())
            .chain(system_files);
        files.into_iter().all(|file| match std::fs::read(file) {
            Ok(content) => !may_set_a_key(&content),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        })
    }

    fn user_config_files(&self) -> Vec<PathBuf> {
        if let Some(file) = self.value("GIT_CONFIG_GLOBAL") {
            return vec![file.into()];
        }
        let in_home = self.home.as_ref().map(|dir| dir.join(".gitconfig"));
        let in_config_home = self.config_home.as_ref().map(|dir| dir.join("git/config"));
        in_home.into_iter().chain(in_config_home).collect()
    }

    /// The configuration files for the whole machine; `None` if they are not known.
    fn system_config_files(&self) -> Option<Vec<PathBuf>> {
        match (self.value("GIT_CONFIG_NOSYSTEM"), self.value("GIT_CONFIG_SYSTEM")) {
            (Some(flag), _) if flag == "1" || flag == "true" => Some(Vec::new()),
            (None, Some(file)) => Some(vec![file.into()]),
            (None, None) => {
                let files = default_system_config_files(self.value("PATH")?)?;
                Some(files.iter().map(PathBuf::from).collect())
            }
            _ => None,
        }
    }

    /// The path that `core.excludesFile` names: `~/` is the home directory, and a relative path counts from
    /// `top`. An empty value means no file.
    fn excludes_file(&self, value: Option<&[u8]>, top: &Path) -> Option<PathBuf> {
        let value = value.filter(|value| !value.is_empty())?;
        match (value.strip_prefix(b"~/"), &self.home) {
            (Some(rest), Some(home)) => Some(home.join(path_key::path_from(rest))),
            _ => Some(top.join(path_key::path_from(value))),
        }
    }
}

/// The configuration files that the first `git` of `PATH` reads for the whole machine; `None` if that is not
/// certain. It is certain on Linux for the distribution's git, and for a git built from source into
/// `/usr/local`, which reads one of two files.
fn default_system_config_files(path: &OsStr) -> Option<&'static [&'static str]> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let first = std::env::split_paths(path).map(|dir| dir.join("git")).find(|git| git.exists());
    match first.as_deref().map(|git| git.to_str()) {
        None => Some(&[]),
        Some(Some("/usr/bin/git" | "/bin/git")) => Some(&["/etc/gitconfig"]),
        Some(Some(local @ "/usr/local/bin/git")) if is_elf_file(Path::new(local)) => {
            Some(&["/usr/local/etc/gitconfig", "/etc/gitconfig"])
        }
        _ => None,
    }
}

/// Whether a file is an executable itself, and not a link or a script that may run another git.
fn is_elf_file(file: &Path) -> bool {
    let mut magic = [0; 4];
    let mut read = || std::fs::File::open(file)?.read_exact(&mut magic);
    file.symlink_metadata().is_ok_and(|found| found.is_file()) && read().is_ok() && magic == *b"\x7fELF"
}

/// Whether a configuration file may set one of the keys or include another file.
fn may_set_a_key(content: &[u8]) -> bool {
    let content = content.to_ascii_lowercase();
    let words: [&[u8]; 4] = [b"excludesfile", b"ignorecase", b"include", b"worktreeconfig"];
    words.iter().any(|word| content.windows(word.len()).any(|window| window == *word))
}

/// Parses a boolean as git does: a key without a value is true.
fn is_true(value: Option<&[u8]>) -> bool {
    let Some(value) = value else { return true };
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    matches!(text.as_str(), "true" | "yes" | "on") || text.parse::<i64>().is_ok_and(|number| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_parsed_as_git_parses_them() {
        for yes in [None, Some("true"), Some("Yes"), Some("ON"), Some("1"), Some("-2")] {
            assert!(is_true(yes.map(str::as_bytes)), "{yes:?}");
        }
        for no in ["", "false", "no", "off", "0", "maybe"] {
            assert!(!is_true(Some(no.as_bytes())), "{no:?}");
        }
    }
}
