//! Gathers raw events into bursts: one burst per quiet period.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::watch::fs::{PathMap, PathSet};
use crate::watch::queue::{RawEvent, RawEventKind};

/// Default quiet time after a change of one path. It covers the gaps within one save of an editor.
const SINGLE: Duration = Duration::from_millis(4);
/// Quiet time added per further path, up to [`STEADY`], because a large burst is more likely to go on.
const PER_PATH: Duration = Duration::from_millis(2);
/// Maximum quiet time while paths arrive at a steady pace: a restart follows within 30 ms of the last write.
const STEADY: Duration = Duration::from_millis(15);
/// Maximum quiet time after a burst with pauses in it. On a busy machine no program writes steadily.
const CEILING: Duration = Duration::from_millis(23);
/// Minimum number of further paths from which the pace of a burst can be judged.
const MIN_PATHS_FOR_PACE: u32 = 8;
/// Time after a start in which a write is taken for one of several, of which an earlier one has caused the start.
const AFTER_START: Duration = Duration::from_millis(300);
/// Minimum quiet time after such a write.
const MIN_AFTER_START: Duration = Duration::from_millis(50);
/// Maximum of that minimum, for a path that the burst before the start did not have.
const MAX_AFTER_START: Duration = Duration::from_millis(500);
/// Number of new files from which a burst counts as the copy of a tree.
const FILES_OF_COPY: usize = 4;
/// Time after a new directory in which a new burst counts as the copy of a tree.
const AFTER_NEW_DIR: Duration = Duration::from_millis(300);
/// Minimum quiet time of a copy, because a copying program pauses whenever the disk is busy.
const COPY_QUIET_TIME: Duration = Duration::from_millis(150);
/// Maximum wait for the close of a file that was created.
const CLOSE_WAIT: Duration = Duration::from_millis(200);
/// Wait for the return of a removed file. Some editors rename the old file away and then write a new one.
const RETURN_WAIT: Duration = Duration::from_millis(50);
/// Wait for the rename of a new file, and, in a large burst, for the return of a removed one. Other editors
/// write a temporary file and rename it over the old one.
const RENAME_WAIT: Duration = Duration::from_millis(18);
/// Maximum length of a burst of at most [`FEW_PATHS`] paths: a growing log file, for example.
const MAX_LENGTH_OF_FEW: Duration = Duration::from_secs(2);
/// Maximum length of a larger burst: a checkout, for example.
const MAX_LENGTH_OF_MANY: Duration = Duration::from_secs(10);
/// Maximum number of paths in a small burst.
const FEW_PATHS: usize = 3;
/// Number of paths with a wait of their own from which they share one deadline.
const MANY_WAITS: usize = 32;
/// Maximum time for which a burst is extended because one of its files is still being written.
const MAX_EXTENSION: Duration = Duration::from_millis(100);

/// Gathers raw events until they pause.
#[derive(Debug)]
pub(crate) struct Debouncer {
    /// Quiet time after a change of one path. Zero: each burst ends at once.
    single: Duration,
    burst: Option<Burst>,
    generation_started: Option<Instant>,
    /// When the last new directory was found.
    new_dir_at: Option<Instant>,
    /// The paths of the last finished burst.
    previous: PathSet,
    /// The paths that the last burst passed on to the next when it was cut.
    carried_over: PathSet,
}

#[derive(Debug)]
pub(crate) struct Burst {
    /// Each once, in no order.
    pub(crate) paths: PathSet,
    /// Events were lost, so everything is to be compared.
    pub(crate) needs_rescan: bool,
    pub(crate) first: Instant,
    last: Instant,
    /// The time from which the maximum length counts: the first event, or the end of a hold.
    counted_from: Instant,
    longest_pause: Duration,
    /// The minimum quiet time, because the burst came right after a start.
    min_quiet_time: Duration,
    /// Number of files that the snapshot does not have.
    new_files: usize,
    has_new_dir: bool,
    /// The burst ends without a quiet time.
    is_hurried: bool,
    /// Created files that are not closed yet.
    open: PathMap<OpenFile>,
    /// Removed or new files, and until when they may still return or be renamed.
    unsettled: PathMap<Instant>,
    /// Since when, and until when, the burst is extended because a file is still being written.
    extended_since: Option<Instant>,
    extended_until: Option<Instant>,
}

#[derive(Debug)]
struct OpenFile {
    since: Instant,
    /// The file did not exist before, not even under this name a moment ago.
    is_new: bool,
}

impl Burst {
    /// The time until which the burst may be extended for a file that is still being written.
    pub(crate) fn extendable_until(&self, now: Instant) -> Instant {
        self.extended_since.unwrap_or(now).min(self.last) + MAX_EXTENSION
    }

    fn new(now: Instant) -> Self {
        Self {
            paths: PathSet::new(),
            needs_rescan: false,
            first: now,
            last: now,
            counted_from: now,
            longest_pause: Duration::ZERO,
            min_quiet_time: Duration::ZERO,
            new_files: 0,
            has_new_dir: false,
            is_hurried: false,
            open: PathMap::new(),
            unsettled: PathMap::new(),
            extended_since: None,
            extended_until: None,
        }
    }

    fn is_copy(&self) -> bool {
        self.has_new_dir || self.new_files >= FILES_OF_COPY
    }

    fn latest_end(&self) -> Instant {
        let is_large = self.paths.len() > FEW_PATHS;
        self.counted_from + if is_large { MAX_LENGTH_OF_MANY } else { MAX_LENGTH_OF_FEW }
    }

    /// The time when every open file is closed or given up, and every removed one may be believed.
    fn settled_at(&self) -> Option<Instant> {
        if self.open.len() + self.unsettled.len() >= MANY_WAITS {
            // A maximum over all of them would cost more with every event.
            return Some(self.last + if self.open.is_empty() { RENAME_WAIT } else { CLOSE_WAIT });
        }
        let open = self.open.values().map(|open| open.since + CLOSE_WAIT);
        open.chain(self.unsettled.values().copied()).max()
    }

    fn apply(&mut self, event: RawEvent, now: Instant) {
        let RawEvent { path, kind } = event;
        let path = path.into_os_string();
        match kind {
            RawEventKind::Created => {
                let is_new = self.unsettled.remove(&path).is_none();
                self.open.entry(path.clone()).or_insert(OpenFile { since: now, is_new });
            }
            RawEventKind::Written | RawEventKind::Closed => {
                self.unsettled.remove(&path);
                if self.open.remove(&path).is_some_and(|open| open.is_new) {
                    self.unsettled.insert(path.clone(), now + RENAME_WAIT);
                }
            }
            RawEventKind::Removed => {
                self.open.remove(&path);
                let wait = if self.paths.len() < FEW_PATHS { RETURN_WAIT } else { RENAME_WAIT };
                self.unsettled.insert(path.clone(), now + wait);
            }
        }
        self.paths.insert(path);
    }
}

impl Debouncer {
    /// `debounce` is the quiet time after a single change, by default [`SINGLE`].
    pub(crate) fn new(debounce: Option<Duration>) -> Self {
        Self {
            single: debounce.unwrap_or(SINGLE),
            burst: None,
            generation_started: None,
            new_dir_at: None,
            previous: PathSet::new(),
            carried_over: PathSet::new(),
        }
    }

    pub(crate) fn push(&mut self, event: RawEvent, now: Instant) {
        let min_quiet_time = self.min_quiet_time(&event.path, now);
        let burst = self.pending(now);
        burst.min_quiet_time = burst.min_quiet_time.max(min_quiet_time);
        burst.apply(event, now);
    }

    /// As [`Debouncer::push`], for a file that the snapshot does not have.
    pub(crate) fn push_new(&mut self, event: RawEvent, now: Instant) {
        let known = self.len();
        self.push(event, now);
        if let Some(burst) = &mut self.burst {
            burst.new_files += burst.paths.len() - known;
        }
    }

    /// Takes a new directory. It makes the current burst, or one that follows soon, the copy of a tree.
    pub(crate) fn add_new_dir(&mut self, now: Instant) {
        self.new_dir_at = Some(now);
        if let Some(burst) = &mut self.burst {
            burst.has_new_dir = true;
        }
    }

    /// Lets the burst end without a quiet time, because an answer waits for it.
    pub(crate) fn hurry(&mut self) {
        if let Some(burst) = &mut self.burst {
            burst.is_hurried = true;
        }
    }

    /// Marks that events were lost.
    pub(crate) fn require_rescan(&mut self, now: Instant) {
        self.pending(now).needs_rescan = true;
    }

    /// Removes a path that turned out not to matter, such as a temporary file that is gone again.
    pub(crate) fn withdraw(&mut self, path: &Path) {
        let path = path.as_os_str();
        if let Some(burst) = &mut self.burst
            && burst.paths.remove(path)
        {
            burst.open.remove(path);
            burst.unsettled.remove(path);
            // The snapshot has no file that is gone without a change.
            burst.new_files = burst.new_files.saturating_sub(1);
            if burst.paths.is_empty() && !burst.needs_rescan {
                self.burst = None;
            }
        }
    }

    /// Takes the start of a generation, after which new paths are gathered for longer.
    pub(crate) fn generation_started(&mut self, now: Instant) {
        self.generation_started = Some(now);
    }

    /// The end of the burst if no further event comes; `None` without a burst.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let burst = self.burst.as_ref()?;
        if burst.is_hurried {
            let end = burst.settled_at().unwrap_or(burst.last).min(burst.latest_end());
            return Some(burst.extended_until.map_or(end, |until| end.max(until)));
        }
        let copy = if burst.is_copy() && !self.single.is_zero() { COPY_QUIET_TIME } else { Duration::ZERO };
        let quiet_time = self.quiet_time(burst.paths.len(), burst.longest_pause);
        let quiet = burst.last + quiet_time.max(burst.min_quiet_time).max(copy);
        let end = burst.settled_at().map_or(quiet, |settled| settled.max(quiet)).min(burst.latest_end());
        Some(burst.extended_until.map_or(end, |until| end.max(until)))
    }

    /// Takes the burst if it has ended.
    pub(crate) fn take_ended(&mut self, now: Instant) -> Option<Burst> {
        if self.deadline()? > now {
            return None;
        }
        let mut burst = self.burst.take()?;
        if burst.latest_end() <= now {
            self.carry_over(&mut burst, now);
        } else {
            self.carried_over.clear();
        }
        Some(burst)
    }

    /// Moves the files in the middle of a save from a burst that is cut to the next one, each at most once.
    fn carry_over(&mut self, burst: &mut Burst, now: Instant) {
        let open = burst.open.iter().filter(|(_, open)| open.since + CLOSE_WAIT > now).map(|(path, _)| path);
        let unsettled = burst.unsettled.iter().filter(|(_, until)| **until > now).map(|(path, _)| path);
        let mut carried: PathSet = open.chain(unsettled).cloned().collect();
        carried.retain(|path| !self.carried_over.contains(path));
        for path in &carried {
            burst.paths.remove(path);
            let open = burst.open.remove(path);
            let until = burst.unsettled.remove(path);
            let next = self.pending(now);
            next.paths.insert(path.clone());
            next.open.extend(open.map(|open| (path.clone(), open)));
            next.unsettled.extend(until.map(|until| (path.clone(), until)));
        }
        self.carried_over = carried;
    }

    /// Takes a burst back until `until` at least, because one of its files is still being written.
    pub(crate) fn extend(&mut self, burst: Burst, now: Instant, until: Instant) {
        let since = burst.extended_since.unwrap_or(now);
        self.requeue(burst);
        if let Some(pending) = &mut self.burst {
            (pending.extended_since, pending.extended_until) = (Some(since), Some(until));
        }
    }

    /// Takes the paths of a burst back until everything has been compared.
    pub(crate) fn requeue(&mut self, burst: Burst) {
        let pending = self.pending(burst.last);
        pending.first = pending.first.min(burst.first);
        pending.counted_from = pending.counted_from.min(burst.first);
        pending.paths.extend(burst.paths);
        pending.new_files += burst.new_files;
        pending.has_new_dir |= burst.has_new_dir;
        pending.is_hurried |= burst.is_hurried;
    }

    /// Takes a burst that was compared, so that its paths do not count as new ones if they change again.
    pub(crate) fn finish(&mut self, burst: Burst) {
        self.previous = burst.paths;
    }

    /// Whether the burst ends with a comparison of everything.
    pub(crate) fn needs_rescan(&self) -> bool {
        self.burst.as_ref().is_some_and(|burst| burst.needs_rescan)
    }

    /// Whether events may gather until the deadline, because they can hardly make the burst end earlier.
    pub(crate) fn can_gather_until_deadline(&self) -> bool {
        let may_end_early = |burst: &Burst| burst.paths.len() <= FEW_PATHS && !burst.unsettled.is_empty();
        self.burst.as_ref().is_some_and(|burst| burst.open.is_empty() && !may_end_early(burst))
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.burst.iter().flat_map(|burst| &burst.paths).map(Path::new)
    }

    pub(crate) fn len(&self) -> usize {
        self.burst.as_ref().map_or(0, |burst| burst.paths.len())
    }

    /// Whether the burst has a file that the snapshot does not have.
    pub(crate) fn has_new_file(&self) -> bool {
        self.burst.as_ref().is_some_and(|burst| burst.new_files > 0)
    }

    /// Starts the quiet time again, because a hold on the burst has just ended. The program that held it has
    /// finished its copy.
    pub(crate) fn restart_quiet_time(&mut self, now: Instant) {
        self.new_dir_at = None;
        if let Some(burst) = &mut self.burst {
            (burst.new_files, burst.has_new_dir) = (0, false);
            burst.last = burst.last.max(now);
            burst.counted_from = burst.counted_from.max(now);
        }
    }

    fn pending(&mut self, now: Instant) -> &mut Burst {
        let is_after_new_dir = self.new_dir_at.is_some_and(|at| now <= at + AFTER_NEW_DIR);
        let burst =
            self.burst.get_or_insert_with(|| Burst { has_new_dir: is_after_new_dir, ..Burst::new(now) });
        burst.longest_pause = burst.longest_pause.max(now.saturating_duration_since(burst.last));
        burst.last = burst.last.max(now);
        burst
    }

    /// The minimum quiet time after this path.
    ///
    /// A formatter goes on to other files after its first write has caused a start. It writes at a steady pace, so
    /// the quiet time after a new path is twice the time since the start.
    fn min_quiet_time(&self, path: &Path, now: Instant) -> Duration {
        let since_start = self.generation_started.map(|started| now.saturating_duration_since(started));
        match since_start {
            Some(since) if since <= AFTER_START && !self.single.is_zero() => {
                let is_new = !self.previous.contains(path.as_os_str());
                let pace = if is_new { since * 2 + CEILING } else { Duration::ZERO };
                pace.clamp(MIN_AFTER_START, MAX_AFTER_START)
            }
            _ => Duration::ZERO,
        }
    }

    /// The quiet time of a burst with this number of paths, of which the longest gap between two was `pause`.
    fn quiet_time(&self, paths: usize, pause: Duration) -> Duration {
        if self.single.is_zero() {
            return Duration::ZERO;
        }
        let more = u32::try_from(paths.saturating_sub(1)).unwrap_or(u32::MAX);
        let grown = self.single.saturating_add(PER_PATH.saturating_mul(more)).min(STEADY.max(self.single));
        let pauses = match more {
            0 => 0,
            1..MIN_PATHS_FOR_PACE => 2,
            MIN_PATHS_FOR_PACE.. => 5,
        };
        grown.max(pause * pauses).min(CEILING.max(self.single))
    }
}

#[cfg(test)]
mod tests;
