//! Files that a program is still writing.
//!
//! Such a file leaves the burst, so that other changes need not wait for it. It is examined again and again
//! until it rests, and after a maximum wait it is reported in its current state.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::watch::fs::FileSignature;

const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Time without a change after which a file is complete. Doubles with each growth after a report.
const REST_TIME: Duration = Duration::from_millis(250);
/// Maximum of the doubled rest time.
const MAX_REST_TIME: Duration = Duration::from_secs(2);
/// Maximum wait for a file, for the first report and for each further one.
const MAX_WAIT: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16), Duration::from_secs(30)];
/// Time after a report within which growth means that the program is still writing.
const GROWTH_WINDOW: Duration = Duration::from_secs(1);
const MAX_REPORTED: usize = 256;
/// Time for which a report is remembered.
const REPORT_LIFETIME: Duration = Duration::from_secs(60);

/// The files in progress, and the files reported recently.
#[derive(Debug, Default)]
pub(crate) struct InProgressWrites {
    pending: HashMap<PathBuf, PendingFile>,
    reported: HashMap<PathBuf, Reported>,
}

#[derive(Debug)]
struct PendingFile {
    signature: FileSignature,
    since: Instant,
    last_change: Instant,
    next_check: Instant,
    /// Number of earlier reports in quick succession.
    streak: usize,
}

#[derive(Debug)]
struct Reported {
    signature: FileSignature,
    at: Instant,
    /// Number of reports in quick succession.
    streak: usize,
}

impl InProgressWrites {
    /// Adds a file with its current signature.
    pub(crate) fn add(&mut self, path: PathBuf, signature: FileSignature, now: Instant) {
        let streak = self.growth_streak(&path, &signature, now);
        let file =
            PendingFile { signature, since: now, last_change: now, next_check: now + CHECK_INTERVAL, streak };
        self.pending.entry(path).or_insert(file);
    }

    /// Number of reports in quick succession, if the file has grown right after the last one; else zero. No
    /// editor saves like that.
    pub(crate) fn growth_streak(&self, path: &Path, signature: &FileSignature, now: Instant) -> usize {
        let Some(reported) = self.reported.get(path) else { return 0 };
        let is_soon = now.saturating_duration_since(reported.at) < GROWTH_WINDOW;
        if is_soon && signature.has_grown_since(&reported.signature) { reported.streak } else { 0 }
    }

    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.pending.contains_key(path)
    }

    /// Removes a file, because an event says that it is complete or gone.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.pending.remove(path);
    }

    pub(crate) fn remove_all(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.pending).into_keys().collect()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.pending.keys()
    }

    /// The time of the next check; `None` without a file in progress.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|file| file.next_check).min()
    }

    /// The files to examine now.
    pub(crate) fn due(&self, now: Instant) -> Vec<PathBuf> {
        let due = self.pending.iter().filter(|(_, file)| file.next_check <= now);
        due.map(|(path, _)| path.clone()).collect()
    }

    /// Takes the current signature of a file. Removes the file, and returns `true`, if it is to be reported now.
    #[must_use]
    pub(crate) fn check(&mut self, path: &Path, signature: FileSignature, now: Instant) -> bool {
        let Some(file) = self.pending.get_mut(path) else { return false };
        if file.signature != signature {
            (file.signature, file.last_change) = (signature, now);
        }
        let rest = REST_TIME.saturating_mul(1 << file.streak.saturating_sub(1).min(8)).min(MAX_REST_TIME);
        let max_wait = MAX_WAIT[file.streak.min(MAX_WAIT.len() - 1)];
        let end = (file.last_change + rest).min(file.since + max_wait);
        file.next_check = (now + CHECK_INTERVAL).min(end);
        let is_over = end <= now;
        if is_over {
            self.pending.remove(path);
        }
        is_over
    }

    /// Remembers that a file was reported with this signature. `waited`: it was in progress before.
    pub(crate) fn add_reported(&mut self, path: &Path, signature: FileSignature, waited: bool, now: Instant) {
        let lifetime = if self.reported.len() < MAX_REPORTED { REPORT_LIFETIME } else { GROWTH_WINDOW };
        self.reported.retain(|_, reported| now.saturating_duration_since(reported.at) < lifetime);
        if self.reported.len() >= MAX_REPORTED {
            return;
        }
        let goes_on =
            |reported: &&Reported| waited || now.saturating_duration_since(reported.at) < GROWTH_WINDOW;
        let streak = self.reported.get(path).filter(goes_on).map_or(0, |reported| reported.streak) + 1;
        self.reported.insert(path.to_owned(), Reported { signature, at: now, streak });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::fs::FileKind;

    fn signature(size: u64) -> FileSignature {
        FileSignature::for_test(FileKind::File, size)
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// When a file is reported that is written every `pace` for `length`, and scanned every 100 ms.
    fn reports(pace: u64, length: u64, size: impl Fn(u64) -> u64) -> Vec<u64> {
        let (mut writes, zero, path) = (InProgressWrites::default(), Instant::now(), Path::new("/a"));
        let (mut reports, mut known) = (Vec::new(), signature(0));
        for tick in (0..length + 10_000).step_by(100) {
            let (now, signature) = (zero + ms(tick), signature(size(tick.min(length) / pace + 1)));
            let (was_pending, differs) = (writes.contains(path), signature != known);
            let is_reported = if was_pending {
                writes.check(path, signature, now)
            } else if differs && writes.growth_streak(path, &signature, now) > 0 {
                writes.add(path.into(), signature, now);
                false
            } else {
                differs
            };
            if is_reported {
                writes.add_reported(path, signature, was_pending, now);
                reports.push(tick);
                known = signature;
            }
        }
        reports
    }

    #[test]
    fn a_slow_download_is_reported_a_few_times_and_once_more_at_its_end() {
        for pace in [50, 300, 600] {
            let reports = reports(pace, 10_000, |size| size);
            assert!(reports.len() <= 5, "every {pace} ms: {reports:?}");
            assert!(*reports.last().unwrap() >= 10_000 && *reports.last().unwrap() <= 12_100, "{reports:?}");
        }
    }

    #[test]
    fn saves_at_the_pace_of_a_developer_are_all_reported_at_once() {
        assert_eq!(reports(1000, 5000, |size| size), [0, 1000, 2000, 3000, 4000, 5000]);
        assert_eq!(reports(500, 2000, |size| 9 - size), [0, 500, 1000, 1500, 2000]);
    }

    #[test]
    fn a_file_is_reported_after_its_rest_time_or_the_maximum_wait() {
        let (mut writes, zero, path) = (InProgressWrites::default(), Instant::now(), Path::new("/a"));
        writes.add(path.into(), signature(0), zero);
        for tick in 1..10 {
            assert_eq!(writes.due(zero + CHECK_INTERVAL * tick), [path]);
            assert!(!writes.check(path, signature(u64::from(tick)), zero + CHECK_INTERVAL * tick));
        }
        assert!(writes.check(path, signature(10), zero + MAX_WAIT[0]));
        assert_eq!(writes.deadline(), None);
        writes.add(path.into(), signature(0), zero);
        assert!(!writes.check(path, signature(1), zero + CHECK_INTERVAL));
        assert!(!writes.check(path, signature(1), zero + 3 * CHECK_INTERVAL));
        assert_eq!(writes.deadline(), Some(zero + CHECK_INTERVAL + REST_TIME));
        assert!(writes.check(path, signature(1), zero + CHECK_INTERVAL + REST_TIME));
    }
}
