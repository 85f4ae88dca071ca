//! Limits of processes and open files, by the errors that report them.

use std::fmt;
use std::io;

use rustix::process::{Resource, geteuid, getrlimit};

use crate::Remedy;

/// A limit that a failed system call has reached. The value is known if the limit is one of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExceededLimit {
    /// Processes and threads of the user (`RLIMIT_NPROC`), or of the container or system.
    Processes(Option<u64>),
    /// Open files of this process (`RLIMIT_NOFILE`).
    OpenFiles(Option<u64>),
    /// Open files of the whole system.
    OpenFilesOfSystem,
}

impl ExceededLimit {
    /// The limit that made a start of a process or thread, or an `open`, fail. `None` for any other error.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        // The kernel does not apply the limit of processes to root.
        let processes = getrlimit(Resource::Nproc).current.filter(|_| !geteuid().is_root());
        Self::by_number(error.raw_os_error()?, processes, getrlimit(Resource::Nofile).current)
    }

    fn by_number(number: i32, processes: Option<u64>, open_files: Option<u64>) -> Option<Self> {
        match number {
            libc::EAGAIN => Some(Self::Processes(processes)),
            libc::EMFILE => Some(Self::OpenFiles(open_files)),
            libc::ENFILE => Some(Self::OpenFilesOfSystem),
            _ => None,
        }
    }

    /// How to raise the limit.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        Remedy::Text(match self {
            Self::Processes(Some(_)) => "end some processes, or raise the limit with `ulimit -u`".into(),
            Self::Processes(None) => "end some processes, or raise pids.max of the container".into(),
            Self::OpenFiles(_) => "raise the limit with `ulimit -n`; the hard limit is `ulimit -Hn`".into(),
            Self::OpenFilesOfSystem => "end some programs, or raise fs.file-max with `sysctl`".into(),
        })
    }
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processes(Some(limit)) => {
                write!(f, "this user may have no more than {limit} processes and threads")
            }
            Self::Processes(None) => f.write_str("the system allows no more processes"),
            Self::OpenFiles(Some(limit)) => write!(f, "this process may open no more than {limit} files"),
            Self::OpenFiles(None) => f.write_str("this process may open no more files"),
            Self::OpenFilesOfSystem => f.write_str("the system may open no more files"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_number_names_its_limit_value_and_remedy() {
        for (number, sentence, remedy) in [
            (libc::EAGAIN, "this user may have no more than 5 processes and threads", "`ulimit -u`"),
            (libc::EMFILE, "this process may open no more than 20 files", "`ulimit -n`"),
            (libc::ENFILE, "the system may open no more files", "fs.file-max"),
        ] {
            let limit = ExceededLimit::by_number(number, Some(5), Some(20)).unwrap();
            assert_eq!(limit.to_string(), sentence);
            assert!(limit.remedy().to_string().contains(remedy));
        }
        assert_eq!(ExceededLimit::by_number(libc::EACCES, Some(5), Some(20)), None);
    }
}
