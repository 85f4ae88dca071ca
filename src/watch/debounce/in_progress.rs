//! Pure: files that are still being written. Each waits for itself alone: looked at again until it rests, and at
//! the latest when its patience is over taken as it is. No clock: `now` is an argument.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::watch::fs::signature::FileSignature;

/// It is looked at again so often.
const LOOK: Duration = Duration::from_millis(100);
/// Unchanged for so long, it rests; longer each time it went on after all.
const REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(2);
/// SyncMode long it is waited for, the first time and each further time.
const PATIENCE: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16), Duration::from_secs(30)];
/// A file that has grown again so soon after it counted is still being written.
const GROWS_ON: Duration = Duration::from_secs(1);
/// Remembered are so many, for so long.
const MOST: usize = 256;
const REMEMBERED: Duration = Duration::from_secs(60);

/// The files that are being written, and those that counted lately.
#[derive(Debug, Default)]
pub(crate) struct InProgressWrites {
    pens: HashMap<PathBuf, PendingFile>,
    counted: HashMap<PathBuf, Reported>,
}

/// One file that is being written.
#[derive(Debug)]
struct PendingFile {
    signature: FileSignature,
    since: Instant,
    moved: Instant,
    next: Instant,
    level: usize,
}

/// A file that counted.
#[derive(Debug)]
struct Reported {
    signature: FileSignature,
    at: Instant,
    /// SyncMode many times in quick succession.
    streak: usize,
}

impl InProgressWrites {
    /// The file looks like this and goes on being written: from now on it waits for itself.
    pub(crate) fn wait(&mut self, path: PathBuf, signature: FileSignature, now: Instant) {
        let level = self.growth_streak(&path, &signature, now);
        let pen = PendingFile { signature, since: now, moved: now, next: now + LOOK, level };
        self.pens.entry(path).or_insert(pen);
    }

    /// Whether this file counted lately and has grown again so soon that it is to wait: no save does that.
    pub(crate) fn is_growing(&self, path: &Path, signature: &FileSignature, now: Instant) -> bool {
        self.growth_streak(path, signature, now) > 0
    }

    fn growth_streak(&self, path: &Path, signature: &FileSignature, now: Instant) -> usize {
        let Some(counted) = self.counted.get(path) else { return 0 };
        let grows = signature.inode == counted.signature.inode && signature.size > counted.signature.size;
        let is_soon = now.saturating_duration_since(counted.at) < GROWS_ON;
        if grows && is_soon { counted.streak } else { 0 }
    }

    /// Whether it waits for this file.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.pens.contains_key(path)
    }

    /// It need not be waited for any longer: an event tells that it is complete, or gone.
    pub(crate) fn release(&mut self, path: &Path) {
        self.pens.remove(path);
    }

    /// All that are waited for, which are so no longer.
    pub(crate) fn release_all(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.pens).into_keys().collect()
    }

    /// The files that are waited for.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.pens.keys()
    }

    /// When to look next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pens.values().map(|pen| pen.next).min()
    }

    /// The files to look at now.
    pub(crate) fn due(&self, now: Instant) -> Vec<PathBuf> {
        let due = self.pens.iter().filter(|(_, pen)| pen.next <= now);
        due.map(|(path, _)| path.clone()).collect()
    }

    /// The file looks like this now. Gives whether it counts, as it is; it is then waited for no longer.
    #[must_use]
    pub(crate) fn looked(&mut self, path: &Path, signature: FileSignature, now: Instant) -> bool {
        let Some(pen) = self.pens.get_mut(path) else { return false };
        if pen.signature != signature {
            (pen.signature, pen.moved) = (signature, now);
        }
        let rest = REST.saturating_mul(1 << pen.level.saturating_sub(1).min(8)).min(LONGEST_REST);
        let end = (pen.moved + rest).min(pen.since + PATIENCE[pen.level.min(PATIENCE.len() - 1)]);
        pen.next = (now + LOOK).min(end);
        let counts = end <= now;
        if counts {
            self.pens.remove(path);
        }
        counts
    }

    /// The file counted, and looked like this.
    pub(crate) fn counted(
        &mut self,
        path: &Path,
        signature: FileSignature,
        was_waited_for: bool,
        now: Instant,
    ) {
        if self.counted.len() >= MOST {
            self.counted.retain(|_, counted| now.saturating_duration_since(counted.at) < GROWS_ON);
        }
        self.counted.retain(|_, counted| now.saturating_duration_since(counted.at) < REMEMBERED);
        if self.counted.len() >= MOST {
            return;
        }
        let goes_on =
            |counted: &&Reported| was_waited_for || now.saturating_duration_since(counted.at) < GROWS_ON;
        let streak = self.counted.get(path).filter(goes_on).map_or(0, |counted| counted.streak) + 1;
        self.counted.insert(path.to_owned(), Reported { signature, at: now, streak });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::fs::signature::Kind;

    fn signature(size: u64) -> FileSignature {
        FileSignature {
            size,
            inode: 2,
            mtime: size as i64,
            ctime: size as i64,
            kind: Kind::File,
            linked: false,
        }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// When a file counts that is written every `pace` for `length`, as scans see it every 100 ms.
    fn counts(pace: u64, length: u64, size: impl Fn(u64) -> u64) -> Vec<u64> {
        let (mut writing, zero, path) = (InProgressWrites::default(), Instant::now(), Path::new("/a"));
        let (mut counts, mut known) = (Vec::new(), signature(0));
        for tick in (0..length + 10_000).step_by(100) {
            let (now, signature) = (zero + ms(tick), signature(size(tick.min(length) / pace + 1)));
            let (held, news) = (writing.holds(path), signature != known);
            let count = match held {
                true => writing.looked(path, signature, now),
                false if news && writing.is_growing(path, &signature, now) => {
                    writing.wait(path.into(), signature, now);
                    false
                }
                false => news,
            };
            if count {
                writing.counted(path, signature, held, now);
                counts.push(tick);
                known = signature;
            }
        }
        counts
    }

    #[test]
    fn a_slow_download_counts_a_few_times_and_once_more_at_its_end() {
        for pace in [50, 300, 600] {
            let counts = counts(pace, 10_000, |size| size);
            assert!(counts.len() <= 5, "every {pace} ms: {counts:?}");
            assert!(*counts.last().unwrap() >= 10_000 && *counts.last().unwrap() <= 12_100, "{counts:?}");
        }
    }

    #[test]
    fn saves_at_the_pace_of_a_developer_all_count_at_once() {
        assert_eq!(counts(1000, 5000, |size| size), [0, 1000, 2000, 3000, 4000, 5000]);
        assert_eq!(counts(500, 2000, |size| 9 - size), [0, 500, 1000, 1500, 2000]);
    }

    #[test]
    fn a_file_that_goes_on_being_written_is_taken_as_it_is_when_patience_is_over() {
        let (mut writing, zero, path) = (InProgressWrites::default(), Instant::now(), Path::new("/a"));
        writing.wait(path.into(), signature(0), zero);
        for tick in 1..10 {
            assert_eq!(writing.due(zero + LOOK * tick), [path]);
            assert!(!writing.looked(path, signature(u64::from(tick)), zero + LOOK * tick));
        }
        assert!(writing.looked(path, signature(10), zero + PATIENCE[0]));
        assert_eq!(writing.deadline(), None);
    }

    #[test]
    fn a_file_that_rests_counts_soon() {
        let (mut writing, zero, path) = (InProgressWrites::default(), Instant::now(), Path::new("/a"));
        writing.wait(path.into(), signature(0), zero);
        assert!(!writing.looked(path, signature(1), zero + LOOK));
        assert!(!writing.looked(path, signature(1), zero + 3 * LOOK));
        assert_eq!(writing.deadline(), Some(zero + LOOK + REST));
        assert!(writing.looked(path, signature(1), zero + LOOK + REST));
    }
}
