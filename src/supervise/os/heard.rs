//! Linux: who writes a file, as far as it was heard or can be seen in `/proc`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::BitOrAssign;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::procfs::{Marked, marked, process};

/// So many names are kept at most until they are asked about.
const NAMES: usize = 1024;

/// So long after it was asked about, an answer still holds for what comes late.
const SAME_BURST: Duration = Duration::from_millis(100);

/// Who has written under one name since it was last asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// A process of ours.
    pub(crate) by_us: bool,
    pub(crate) by_others: bool,
    /// Somebody who had ended before he could be looked at, or could not be.
    pub(crate) by_unknown: bool,
}

impl BitOrAssign for Written {
    fn bitor_assign(&mut self, other: Self) {
        self.by_us |= other.by_us;
        self.by_others |= other.by_others;
        self.by_unknown |= other.by_unknown;
    }
}

/// What was heard of writers, by the names of files, until somebody asks. Files of one name in two directories are not told apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<HashMap<OsString, Known>>>);

#[derive(Debug, Default)]
struct Known {
    by: Written,
    /// Since when somebody knows.
    asked: Option<Instant>,
}

impl Heard {
    fn names(&self) -> MutexGuard<'_, HashMap<OsString, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has written.
    pub(super) fn note(&self, name: &OsStr, by: Written) {
        let mut names = self.names();
        if names.len() < NAMES || names.contains_key(name) {
            let known = names.entry(name.to_owned()).or_default();
            if known.asked.is_some() {
                *known = Known::default();
            }
            known.by |= by;
        }
    }

    /// Another file has taken its place, written by these: who of ours wrote the one before is of no interest any more.
    pub(super) fn replaced(&self, name: &OsStr, by: Written) {
        if let Some(known) = self.names().get_mut(name) {
            known.by.by_us = false;
        }
        self.note(name, by);
    }

    /// Who has written since this was last asked. If nobody has, those of just before: of one burst, some may be asked about later.
    pub(super) fn take(&self, name: &OsStr) -> Written {
        let (mut names, now) = (self.names(), Instant::now());
        let Some(known) = names.get_mut(name) else { return Written::default() };
        if now.saturating_duration_since(*known.asked.get_or_insert(now)) <= SAME_BURST {
            return known.by;
        }
        names.remove(name);
        Written::default()
    }

    /// Nobody asks about names of which too many are known.
    pub(super) fn tidy(&self, nobody_is_suspected: bool) {
        let mut names = self.names();
        if nobody_is_suspected || names.len() >= NAMES {
            names.clear();
        }
    }
}

/// Whose process this is.
pub(super) fn writer(pid: i32, session: &str) -> Written {
    if pid == std::process::id() as i32 || matches!(marked(pid, session), Marked::Ours(_)) {
        return Written { by_us: true, ..Written::default() };
    }
    // Outside of our PID namespace everybody has the number 0.
    let is_there = pid == 0 || process(pid).is_some();
    Written { by_others: is_there, by_unknown: !is_there, ..Written::default() }
}

/// Whether one of these processes has this file open for writing.
pub(crate) fn has_open(pids: &[i32], file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| pids.iter().any(|pid| is_writing(*pid, &file)))
}

/// Whether this process has this file open for writing.
pub(super) fn is_writing(pid: i32, file: &fs::Metadata) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter(|entry| is_same(&entry.path(), file)).any(|entry| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().display()));
        info.is_ok_and(|info| writes(&info))
    })
}

fn is_same(link: &Path, file: &fs::Metadata) -> bool {
    fs::metadata(link).is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
}

/// `flags:  0100001`, in octal: the lowest two bits are the way it was opened.
fn writes(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}

/// All that these processes, and those of theirs that have ended, have written to anything; `None`: not to be known.
pub(crate) fn bytes_written(pids: &[i32]) -> Option<u64> {
    let written = |pid: &i32| {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        io.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse::<u64>().ok())
    };
    pids.iter().map(written).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_open_for_writing_is_found() {
        let path = std::env::temp_dir().join(format!("devrun-open-{}", std::process::id()));
        let me = [std::process::id() as i32];
        let open = fs::File::create(&path).unwrap();
        assert!(has_open(&me, &path));
        drop(open);
        let _reading = fs::File::open(&path).unwrap();
        assert!(!has_open(&me, &path));
        fs::remove_file(&path).unwrap();
    }
}
