//! The values of options, parsed from text. The command line, the environment and devrun.toml share these parsers.
//!
//! An error is `PROBLEM; REMEDY`: one sentence for each, in lower case.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::str::FromStr;
use std::time::Duration;

use devrun::supervise::Signal;

/// Parses a duration such as `10ms`, `1s` or `1m30s`. The maximum is a year, because a sum with an `Instant` must
/// not overflow.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("a duration is missing; write it with its unit, such as 50ms, 1s or 2m".into());
    }
    if text.starts_with('-') {
        return Err(format!("a duration cannot be negative; write {}", text.trim_start_matches('-')));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("the unit is missing; write {text}ms or {text}s"));
    }
    if text.contains(char::is_whitespace) {
        let joined: String = text.split_whitespace().collect();
        return Err(format!("a duration has no spaces; write {joined}"));
    }
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("`{text}` is not a duration; write a number and its unit (ms, s, m, h), such as 50ms or 2m")
    })?;
    if duration > YEAR {
        return Err("a duration can be at most one year; write a shorter one, such as 10m".into());
    }
    Ok(duration)
}

/// Maximum duration.
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Parses the value of a flag: `--postpone=false`, `DEVRUN_POSTPONE=1`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("not a boolean; write true or false".into()),
    }
}

/// A file extension without its dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension(pub(crate) String);

impl FromStr for Extension {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim().trim_start_matches("*.").trim_start_matches('.');
        if bare.is_empty() {
            return Err("an extension is empty; write a list such as rs,toml".into());
        }
        if bare.contains(',') {
            return Err("a string holds one extension; write a list such as [\"rs\", \"toml\"]".into());
        }
        if bare.contains(['/', '*', '?', '[']) {
            return Err(format!("`{text}` is not an extension; use --filter for globs"));
        }
        Ok(Self(bare.to_owned()))
    }
}

/// A valid glob in the syntax of globset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(pub(crate) String);

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the glob is empty; write a glob such as src/**/*.rs".into());
        }
        if let Some(rest) = text.strip_prefix('!') {
            return Err(format!("a filter cannot be negated; to exclude paths use --ignore '{rest}'"));
        }
        globset::GlobBuilder::new(text).literal_separator(true).build().map_err(|error| {
            let reason = error.kind().to_string().replace("; ", ": ");
            format!("{reason}; write a glob such as src/**/*.rs")
        })?;
        Ok(Self(text.to_owned()))
    }
}

/// A pattern in gitignore syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) Vec<u8>);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_os(text.into())
    }
}

impl Pattern {
    /// Parses the bytes of an argument: a pattern may match paths that are not UTF-8.
    pub(crate) fn from_os(text: OsString) -> Result<Self, String> {
        let bytes = text.into_encoded_bytes();
        if matches!(bytes.trim_ascii(), b"" | b"!" | b"/" | b"!/") {
            return Err("the pattern is empty; write a gitignore pattern such as downloads/".into());
        }
        if bytes.contains(&b'\n') {
            return Err("a pattern cannot contain a line break; repeat --ignore for each pattern".into());
        }
        Ok(Self(bytes))
    }
}

/// A signal that ends a process, by name or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopSignal(pub(crate) Signal);

impl FromStr for StopSignal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let signal: Signal = text.parse().map_err(|_| {
            format!("there is no signal `{text}`; write a name such as SIGTERM, INT or HUP, or a number")
        })?;
        let not_ending =
            ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGCHLD", "SIGWINCH", "SIGURG"];
        if not_ending.contains(&signal.to_string().as_str()) {
            return Err(format!("{signal} does not end a process; use SIGTERM, SIGINT, SIGHUP or SIGKILL"));
        }
        Ok(Self(signal))
    }
}

/// The path of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlPath(pub(crate) String);

impl FromStr for UrlPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, rest)) = text.split_once("://") {
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            return Err(format!("expected a path, found a URL; write {path}"));
        }
        if !text.starts_with('/') {
            return Err(format!("the path must begin with `/`; write /{text}"));
        }
        if text.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            return Err("the path has spaces, control or non-ASCII characters; write them as %XX".into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A variable for the environment of COMMAND, written `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) key: OsString,
    pub(crate) value: OsString,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            format!("`=` is missing; write {}=VALUE", if text.is_empty() { "NAME" } else { text })
        })?;
        Self::new(key.into(), value.into())
    }
}

impl Variable {
    /// Parses the bytes of an argument: a value need not be UTF-8. The name ends at the first `=`.
    pub(crate) fn from_os(text: OsString) -> Result<Self, String> {
        if let Some(text) = text.to_str() {
            return text.parse();
        }
        let bytes = text.as_bytes();
        match bytes.iter().position(|byte| *byte == b'=') {
            None => Err("`=` is missing; write NAME=VALUE".into()),
            Some(at) => {
                let (key, value) = (OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]));
                Self::new(key.into(), value.into())
            }
        }
    }

    fn new(key: OsString, value: OsString) -> Result<Self, String> {
        if key.is_empty() {
            return Err("the name before `=` is empty; write NAME=VALUE".into());
        }
        let nul = |text: &OsStr| text.as_encoded_bytes().contains(&0);
        if key.as_encoded_bytes().contains(&b'=') || nul(&key) || nul(&value) {
            return Err(
                "a name cannot contain `=`, and neither a name nor a value can contain NUL; write NAME=VALUE"
                    .into(),
            );
        }
        Ok(Self { key, value })
    }
}

/// A command in devrun.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandLine {
    /// A program and its arguments, run without a shell.
    Words(Vec<OsString>),
    /// A line that a shell runs.
    Line(String),
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        if line.trim().is_empty() {
            return Err("the command is empty; write a command such as 'cargo build'".into());
        }
        Ok(Self::Line(line.to_owned()))
    }
}

/// The shell that runs COMMAND: `--shell`, `--shell=zsh`, `shell = true`, `shell = "zsh"`, `shell = false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShellChoice {
    /// No shell: devrun runs COMMAND itself.
    No,
    /// The shell runs COMMAND with `-c`.
    Program(OsString),
}

impl FromStr for ShellChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" | "true" => Ok(Self::Program("sh".into())),
            "false" => Ok(Self::No),
            shell if shell.contains(char::is_whitespace) => {
                Err("the shell has spaces; write its name or path, such as bash".into())
            }
            shell => Ok(Self::Program(shell.into())),
        }
    }
}
