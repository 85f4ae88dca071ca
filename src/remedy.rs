//! What the user can do about an error or a warning, as data.
//!
//! The library names no command-line flag. A program that has flags matches on [`Remedy`] and words each one itself.
//! [`Display`](std::fmt::Display) names the library's own options instead.

use std::borrow::Cow;
use std::fmt;

/// What the user can do about an error or a warning. `Display` words it for users of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// There is nothing to do.
    None,
    /// A sentence that names no option of devrun, such as one about the syntax of a file.
    Text(Cow<'static, str>),
    /// Nothing reads an ignore file of this name: rename it to `.watchignore`, or make the rules read it.
    ReadIgnoreFile {
        /// The file's name.
        name: Cow<'static, str>,
    },
    /// A generation was not ready in time: allow more time.
    AllowMoreTime,
    /// A generation listens, but not on the port that it was given.
    ListenOnPort,
    /// A generation ended beside an older one. If two cannot run at a time, let them take turns.
    TakeTurns,
    /// The child used the terminal without owning it: give it the terminal.
    GiveTerminal,
    /// A path lies in no root of the watch: add a root.
    AddRoot,
    /// A file in a root is neither of a watched extension nor matched by a filter: add one.
    SelectFile,
    /// The proxy does not speak the client's protocol: let the command accept on a listening socket itself.
    PassListeningSocket,
    /// The server expects TLS, which neither the proxy nor a check of readiness speaks. To keep TLS, let the command
    /// accept on a listening socket itself.
    KeepTls,
    /// An environment file of a command cannot be read: create it, or remove it from the command.
    CreateEnvFile,
    /// The name of a program looks like a whole command line: let a shell run it.
    UseShell,
    /// No directory of the search path has a program of this name: it may be misspelled.
    FindProgram {
        /// The name.
        name: String,
    },
    /// The kernel's limits of inotify watches or instances are used up: raise them.
    RaiseInotifyLimits,
    /// Scans cost too much: ignore more paths, or use kernel events.
    ScanLess,
    /// A line of a rule file never matches: correct or remove it. The other lines are in effect.
    CorrectRuleLine,
    /// Further lines of rule files never match: list them.
    ListRuleDefects,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Text(text) => text,
            Self::ReadIgnoreFile { name } => {
                return write!(
                    f,
                    "rename it to .watchignore, or add {name} to `file_names` of `rules::Options`"
                );
            }
            Self::AllowMoreTime => "allow more time with `ready.timeout` of `supervise::Options`",
            Self::ListenOnPort => {
                "make it listen on the port that it is given, or name its address with `Port::Fixed`"
            }
            Self::TakeTurns => "if two cannot run at a time, set `overlap` of `supervise::Options` to false",
            Self::GiveTerminal => "set `stdin` of `supervise::Command` to `Stdin::Inherit`",
            Self::AddRoot => "add a directory that contains it to `roots` of `watch::Options`",
            Self::SelectFile => {
                "add its extension to `extensions` of `watch::Options`, or a glob for it to `filters`"
            }
            Self::PassListeningSocket => {
                "give the command a socket by `listen` of `supervise::Options`: its bytes pass no proxy"
            }
            Self::KeepTls => {
                "to keep TLS, give the command a socket by `listen` of `supervise::Options`, without a ready path"
            }
            Self::CreateEnvFile => "create it, or remove it from `env_files` of `Command`",
            Self::UseShell => "to run a whole command line, set `shell` of `Command`",
            Self::FindProgram { .. } => "check the spelling and the variable PATH",
            Self::RaiseInotifyLimits => {
                "raise it, for example: sudo sysctl fs.inotify.max_user_watches=1048576 \
                 fs.inotify.max_user_instances=1024"
            }
            Self::ScanLess => {
                "ignore paths that need no watching, or set `mode` of `watch::Options` to `Mode::Event`"
            }
            Self::CorrectRuleLine => "correct the line or remove it; the other lines are in effect",
            Self::ListRuleDefects => "see `Rules::defects`",
        })
    }
}
