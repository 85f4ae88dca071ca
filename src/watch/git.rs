//! Git operations in the watched repositories: whether one is running, and how long a burst waits for it.
//!
//! Git's own files are not watched, so they are read, and only while a burst is pending.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Maximum age of a lock file. An older one was left behind by a git process that has died.
const MAX_LOCK_AGE: Duration = Duration::from_secs(30);
/// Maximum time since the last step of a running rebase. After that, git waits for the developer.
const MAX_STEP_AGE: Duration = Duration::from_secs(1);
/// Directories that exist while git applies several commits one after the other.
const SEQUENCE_DIRS: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];
/// Delay before the lock of a running git operation is checked again.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum wait, after a git operation has ended, for its last events to arrive.
const MAX_EVENT_DELAY: Duration = Duration::from_millis(500);
/// Delay before the hold is announced.
const ANNOUNCE_DELAY: Duration = Duration::from_millis(100);
/// Maximum time for which a burst is held back.
pub(crate) const MAX_HOLD: Duration = Duration::from_secs(30);

/// The git directories of the watched trees.
#[derive(Debug, Default)]
pub(crate) struct GitDirs {
    dirs: Vec<PathBuf>,
}

impl GitDirs {
    /// Adds the repository that contains a directory, if there is one.
    pub(crate) fn add_repository_of(&mut self, inside: &Path) {
        if let Some(dir) = inside.ancestors().find_map(|dir| git_dir(&dir.join(".git")))
            && !self.dirs.contains(&dir)
        {
            self.dirs.push(dir);
        }
    }

    /// The lock file or directory of a running git operation, if there is one.
    pub(crate) fn lock(&self, now: SystemTime) -> Option<PathBuf> {
        self.dirs.iter().find_map(|dir| index_lock(dir, now).or_else(|| sequence_dir(dir, now)))
    }

    /// Whether git has updated an index within the last two seconds.
    pub(crate) fn has_just_updated(&self, now: SystemTime) -> bool {
        let is_new = |dir: &PathBuf| age(&dir.join("index"), now).is_some_and(|age| age < 2 * MAX_STEP_AGE);
        self.dirs.iter().any(is_new)
    }
}

/// Resolves `.git`, which is a file with the directory's path in a linked worktree and in a submodule.
fn git_dir(path: &Path) -> Option<PathBuf> {
    let kind = std::fs::metadata(path).ok()?;
    if kind.is_dir() {
        return Some(path.to_owned());
    }
    let text = std::fs::read(path).ok().filter(|_| kind.is_file())?;
    let name = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    Some(path.parent()?.join(std::ffi::OsStr::from_bytes(name)))
}

fn index_lock(dir: &Path, now: SystemTime) -> Option<PathBuf> {
    let lock = dir.join("index.lock");
    age(&lock, now).filter(|age| *age < MAX_LOCK_AGE).map(|_| lock)
}

fn sequence_dir(dir: &Path, now: SystemTime) -> Option<PathBuf> {
    let sequence = SEQUENCE_DIRS.iter().map(|name| dir.join(name)).find(|sequence| sequence.is_dir())?;
    let touched = [sequence.clone(), dir.join("HEAD"), dir.join("index")];
    touched.iter().filter_map(|path| age(path, now)).any(|age| age < MAX_STEP_AGE).then_some(sequence)
}

fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let modified = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    Some(now.duration_since(modified).unwrap_or_default())
}

/// The hold on the current burst, if there is one.
#[derive(Debug, Default)]
pub(crate) struct GitHold {
    current: Option<Hold>,
}

#[derive(Debug)]
struct Hold {
    since: Instant,
    next_check: Instant,
    is_announced: bool,
    /// The time from which git's lock was gone.
    unlocked_at: Option<Instant>,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HoldCheck {
    /// Git does not work, so the burst may end.
    Free,
    /// The burst is to wait.
    Held,
    /// The burst is to wait, and the owner is to be informed of this lock.
    Announce(PathBuf),
    /// The hold has just ended. Changes of the last moment may still be unknown.
    Ended,
}

impl GitHold {
    /// Ends the hold, because there is no burst.
    pub(crate) fn clear(&mut self) {
        self.current = None;
    }

    /// The time of the next check; `None` without a hold.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|hold| hold.next_check)
    }

    /// Checks whether a burst that would end now is to wait. `lock` is the lock of a running git operation.
    /// `is_behind` says whether events are still on their way.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        lock: Option<PathBuf>,
        is_behind: impl FnOnce() -> bool,
    ) -> HoldCheck {
        let since = self.current.as_ref().map_or(now, |hold| hold.since);
        let waited = now.saturating_duration_since(since);
        let next_check = now + CHECK_INTERVAL;
        let Some(lock) = lock.filter(|_| waited < MAX_HOLD) else {
            let Some(hold) = &mut self.current else { return HoldCheck::Free };
            // Git's last writes belong to this burst.
            let unlocked_for =
                |hold: &mut Hold| now.saturating_duration_since(*hold.unlocked_at.get_or_insert(now));
            if is_behind() && unlocked_for(hold) < MAX_EVENT_DELAY {
                hold.next_check = next_check;
                return HoldCheck::Held;
            }
            self.current = None;
            return HoldCheck::Ended;
        };
        tracing::trace!(?lock, "git works: burst held back");
        let was_announced = self.current.as_ref().is_some_and(|hold| hold.is_announced);
        let announces = !was_announced && waited >= ANNOUNCE_DELAY;
        let is_announced = was_announced || announces;
        self.current = Some(Hold { since, next_check, is_announced, unlocked_at: None });
        if announces { HoldCheck::Announce(lock) } else { HoldCheck::Held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_announced_once_and_ends_with_the_last_events_or_after_its_maximum_time() {
        let (mut hold, zero) = (GitHold::default(), Instant::now());
        let lock = || Some(PathBuf::from("/r/.git/index.lock"));
        assert_eq!(hold.check(zero, None, || true), HoldCheck::Free);
        assert_eq!(hold.check(zero, lock(), || false), HoldCheck::Held);
        assert_eq!(hold.deadline(), Some(zero + CHECK_INTERVAL));
        let now = zero + ANNOUNCE_DELAY;
        assert_eq!(hold.check(now, lock(), || false), HoldCheck::Announce(lock().unwrap()));
        assert_eq!(hold.check(now, lock(), || false), HoldCheck::Held);
        assert_eq!(hold.check(now, None, || true), HoldCheck::Held);
        assert_eq!(hold.check(now, None, || false), HoldCheck::Ended);
        assert_eq!(hold.deadline(), None);
        hold.check(zero, lock(), || false);
        assert_eq!(hold.check(zero + MAX_HOLD, lock(), || false), HoldCheck::Ended);
    }
}
