//! Pure: many hints in, one burst per quiet period out. No clock: `now` is an argument.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::watch::debounce::policy::DebouncePolicy;
use crate::watch::fs::paths::{PathMap, PathSet};
use crate::watch::raw_event::RawEventKind;

/// A file that was made is waited for until it is closed, so long.
const OPEN_GRACE: Duration = Duration::from_millis(200);
/// A file that went away may be about to come back: editors rename it away and write it anew. Among many it is not
/// an editor's.
const GONE_GRACE: Duration = Duration::from_millis(50);
/// A file that was made may be about to go away: editors write another one and rename it.
const MADE_GRACE: Duration = Duration::from_millis(18);
/// A burst that never ends is cut: soon if few paths cause it (a log file), late if many do (a checkout).
const LONGEST_OF_FEW: Duration = Duration::from_secs(2);
const LONGEST_OF_MANY: Duration = Duration::from_secs(10);
const FEW: usize = 3;
const MANY: usize = 32;
/// A burst in which a file is just being written is held back for so long after its last hint; then that file
/// waits for itself alone.
const TOGETHER: Duration = Duration::from_millis(100);
/// The paths hinted at in one burst.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    /// Each once, in no order.
    pub(crate) paths: PathSet,
    /// Whether events were lost: everything is to be compared.
    pub(crate) everything: bool,
    /// When the first hint came.
    pub(crate) first: Instant,
    /// When the last hint came.
    pub(crate) last: Instant,
    /// Since when it is held back for a file that is just being written, and how long it may be.
    pub(crate) held_since: Instant,
    pub(crate) hold_until: Instant,
}

/// Gathers hints until they pause.
#[derive(Debug)]
pub(crate) struct Debouncer {
    quiet: DebouncePolicy,
    burst: Option<Pending>,
    started: Option<Instant>,
    /// What the last burst that was decided was about.
    previous: PathSet,
    /// What the last burst, which was cut, left to the next.
    kept: PathSet,
}

#[derive(Debug)]
struct Pending {
    paths: PathSet,
    everything: bool,
    first: Instant,
    last: Instant,
    /// Since when it goes on without having been held back.
    free: Instant,
    /// The longest pause within it.
    pause: Duration,
    /// The least quiet time, since it came right after a start.
    stretch: Duration,
    /// Not closed yet.
    open: PathMap<Open>,
    /// Gone for now or just made, and until when that is not believed.
    passing: PathMap<Instant>,
    /// Since when, and until when, it is held back for a file that was found to be written just when it ended.
    held: Option<(Instant, Instant)>,
}

/// A file that was made and is not closed yet.
#[derive(Debug)]
struct Open {
    since: Instant,
    /// It has not just been renamed away.
    is_new: bool,
}

impl Pending {
    /// When it ends at the latest.
    fn cut(&self) -> Instant {
        self.free + if self.paths.len() > FEW { LONGEST_OF_MANY } else { LONGEST_OF_FEW }
    }
}

impl Debouncer {
    /// `debounce`: the quiet time after a single change. None: the default. Zero: bursts end at once.
    pub(crate) fn new(debounce: Option<Duration>) -> Self {
        let quiet = DebouncePolicy::new(debounce);
        Self { quiet, burst: None, started: None, previous: PathSet::new(), kept: PathSet::new() }
    }

    /// A path was hinted at.
    pub(crate) fn push(&mut self, path: PathBuf, sign: RawEventKind, now: Instant) {
        let stretch = self.stretch(&path, now);
        let path = path.into_os_string();
        let burst = self.pending(now);
        burst.stretch = burst.stretch.max(stretch);
        match sign {
            RawEventKind::Opened => {
                let is_new = burst.passing.remove(&path).is_none();
                burst.open.entry(path.clone()).or_insert(Open { since: now, is_new });
            }
            RawEventKind::Written | RawEventKind::Closed => {
                burst.passing.remove(&path);
                if burst.open.remove(&path).is_some_and(|open| open.is_new) {
                    burst.passing.insert(path.clone(), now + MADE_GRACE);
                }
            }
            RawEventKind::Gone => {
                burst.open.remove(&path);
                let grace = if burst.paths.len() < FEW { GONE_GRACE } else { MADE_GRACE };
                burst.passing.insert(path.clone(), now + grace);
            }
        }
        burst.paths.insert(path);
    }

    /// EventSource were lost.
    pub(crate) fn push_everything(&mut self, now: Instant) {
        self.pending(now).everything = true;
    }

    /// A path turned out not to matter after all: a temporary file that is gone again.
    pub(crate) fn withdraw(&mut self, path: &Path) {
        let path = path.as_os_str();
        if let Some(burst) = &mut self.burst
            && burst.paths.remove(path)
        {
            burst.open.remove(path);
            burst.passing.remove(path);
            if burst.paths.is_empty() && !burst.everything {
                self.burst = None;
            }
        }
    }

    /// A generation of the child has just been started.
    pub(crate) fn generation_started(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// When the burst ends if nothing else comes; `None` without one.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let burst = self.burst.as_ref()?;
        let quiet = burst.last + self.quiet.after(burst.paths.len(), burst.pause).max(burst.stretch);
        let open = burst.open.values().map(|open| open.since + OPEN_GRACE);
        let passing = burst.passing.values().copied();
        let settled = match burst.open.len() + burst.passing.len() {
            0..MANY => open.chain(passing).max(),
            // Asked for each of so many hints, it must not take longer the more there are.
            _ => Some(burst.last + if burst.open.is_empty() { MADE_GRACE } else { OPEN_GRACE }),
        };
        let end = settled.map_or(quiet, |settled| settled.max(quiet)).min(burst.cut());
        Some(burst.held.map_or(end, |(_, until)| end.max(until)))
    }

    /// The burst, if it has ended.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Burst> {
        if self.deadline()? > now {
            return None;
        }
        let mut burst = self.burst.take()?;
        if burst.cut() <= now {
            self.keep_passing(&mut burst, now);
        } else {
            self.kept.clear();
        }
        let held_since = burst.held.map_or(now, |(since, _)| since);
        let hold_until = held_since.min(burst.last) + TOGETHER;
        let Pending { paths, everything, first, last, .. } = burst;
        Some(Burst { paths, everything, first, last, held_since, hold_until })
    }

    /// A burst that is cut may be so in the middle of a save: what is open or passing goes on to the next burst, once.
    fn keep_passing(&mut self, burst: &mut Pending, now: Instant) {
        let open = burst.open.iter().filter(|(_, open)| open.since + OPEN_GRACE > now);
        let passing = burst.passing.iter().filter(|(_, until)| **until > now);
        let mut kept: PathSet = open.map(|one| one.0).chain(passing.map(|one| one.0)).cloned().collect();
        kept.retain(|path| !self.kept.contains(path));
        for path in &kept {
            burst.paths.remove(path);
            let open = burst.open.remove(path);
            let until = burst.passing.remove(path);
            let next = self.pending(now);
            next.paths.insert(path.clone());
            next.open.extend(open.map(|open| (path.clone(), open)));
            next.passing.extend(until.map(|until| (path.clone(), until)));
        }
        self.kept = kept;
    }

    /// A burst could not be decided, since a file is just being written: it goes on, until then at least.
    pub(crate) fn extend_until(&mut self, burst: Burst, until: Instant) {
        let held_since = burst.held_since;
        self.resume(burst);
        if let Some(pending) = &mut self.burst {
            pending.held = Some((held_since, until));
        }
    }

    /// A burst was decided. Its paths that come again are no news.
    pub(crate) fn decided(&mut self, burst: Burst) {
        self.previous = burst.paths;
    }

    /// Its paths go on waiting, for what comparing everything brings.
    pub(crate) fn resume(&mut self, burst: Burst) {
        let pending = self.pending(burst.last);
        pending.first = pending.first.min(burst.first);
        pending.free = pending.free.min(burst.first);
        pending.paths.extend(burst.paths);
    }

    /// Whether everything is to be compared anyway.
    pub(crate) fn is_about_everything(&self) -> bool {
        self.burst.as_ref().is_some_and(|burst| burst.everything)
    }

    /// Whether the burst's end depends on little but time: hints may then be left to gather until its deadline.
    pub(crate) fn is_patient(&self) -> bool {
        let ends_early = |burst: &Pending| burst.paths.len() <= FEW && !burst.passing.is_empty();
        self.burst.as_ref().is_some_and(|burst| burst.open.is_empty() && !ends_early(burst))
    }

    /// The paths of the burst.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.burst.iter().flat_map(|burst| &burst.paths).map(Path::new)
    }

    /// SyncMode many they are.
    pub(crate) fn count(&self) -> usize {
        self.burst.as_ref().map_or(0, |burst| burst.paths.len())
    }

    /// DebouncePolicy starts anew from now: what held the burst back has just ended.
    pub(crate) fn restart_quiet(&mut self, now: Instant) {
        if let Some(burst) = &mut self.burst {
            burst.last = burst.last.max(now);
            burst.free = burst.free.max(now);
        }
    }

    fn pending(&mut self, now: Instant) -> &mut Pending {
        let burst = self.burst.get_or_insert_with(|| Pending {
            paths: PathSet::new(),
            everything: false,
            first: now,
            last: now,
            free: now,
            pause: Duration::ZERO,
            stretch: Duration::ZERO,
            open: PathMap::new(),
            passing: PathMap::new(),
            held: None,
        });
        burst.pause = burst.pause.max(now.saturating_duration_since(burst.last));
        burst.last = burst.last.max(now);
        burst
    }

    /// SyncMode much longer to gather because of this path: not after one that a developer saves again.
    fn stretch(&self, path: &Path, now: Instant) -> Duration {
        match self.started {
            Some(started) if !self.previous.contains(path.as_os_str()) => {
                self.quiet.stretch(now.saturating_duration_since(started))
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::debounce::policy::{PER_PATH, SINGLE};

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn decide(debouncer: &mut Debouncer, now: Instant) {
        let burst = debouncer.take(now).unwrap();
        debouncer.decided(burst);
    }

    /// Pushes writes of distinct paths at these milliseconds; gives when each burst would end.
    fn ends(debouncer: &mut Debouncer, zero: Instant, writes: &[u64]) -> Vec<u64> {
        let mut ends = Vec::new();
        let mut end = |debouncer: &mut Debouncer, until: Option<Instant>| {
            while let Some(deadline) = debouncer.deadline()
                && until.is_none_or(|until| deadline <= until)
            {
                decide(debouncer, deadline);
                debouncer.generation_started(deadline);
                ends.push((deadline - zero).as_millis() as u64);
            }
        };
        for (number, at) in writes.iter().enumerate() {
            end(debouncer, Some(zero + ms(*at)));
            debouncer.push(format!("/{number}").into(), RawEventKind::Written, zero + ms(*at));
        }
        end(debouncer, None);
        ends
    }

    #[test]
    fn a_single_save_is_not_made_to_wait() {
        assert_eq!(ends(&mut Debouncer::new(None), Instant::now(), &[0]), [4]);
    }

    #[test]
    fn five_hundred_files_in_300_ms_are_one_burst_that_ends_soon_after_the_last() {
        let writes: Vec<u64> = (0..500).map(|number| number * 3 / 5).collect();
        assert_eq!(ends(&mut Debouncer::new(None), Instant::now(), &writes), [299 + 15]);
    }

    #[test]
    fn a_formatter_that_writes_every_50_ms_costs_two_bursts() {
        let writes: Vec<u64> = (0..20).map(|number| number * 50).collect();
        assert_eq!(ends(&mut Debouncer::new(None), Instant::now(), &writes).len(), 2);
    }

    #[test]
    fn the_same_file_saved_again_soon_is_not_stretched() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        for save in [0, 100, 200] {
            debouncer.push("/a".into(), RawEventKind::Written, zero + ms(save));
            assert_eq!(debouncer.deadline(), Some(zero + ms(save + 4)));
            decide(&mut debouncer, zero + ms(save + 4));
            debouncer.generation_started(zero + ms(save + 5));
        }
    }

    #[test]
    fn an_open_file_is_waited_for_and_a_gone_one_too() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        debouncer.push("/a".into(), RawEventKind::Gone, zero);
        assert_eq!(debouncer.deadline(), Some(zero + GONE_GRACE));
        debouncer.push("/a".into(), RawEventKind::Opened, zero + ms(1));
        assert_eq!(debouncer.deadline(), Some(zero + ms(1) + OPEN_GRACE));
        debouncer.push("/a".into(), RawEventKind::Written, zero + ms(30));
        assert_eq!(debouncer.deadline(), Some(zero + ms(34)));
    }

    #[test]
    fn a_file_that_was_just_made_may_be_about_to_be_renamed() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        debouncer.push("/a.new".into(), RawEventKind::Opened, zero);
        debouncer.push("/a.new".into(), RawEventKind::Written, zero + ms(1));
        assert_eq!(debouncer.deadline(), Some(zero + ms(1) + MADE_GRACE));
        debouncer.push("/a".into(), RawEventKind::Written, zero + ms(2));
        debouncer.withdraw(Path::new("/a.new"));
        assert_eq!(debouncer.deadline(), Some(zero + ms(2) + SINGLE));
    }

    #[test]
    fn what_was_held_back_for_long_waits_for_what_comes_last_as_any_other_burst() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        debouncer.push("/a".into(), RawEventKind::Written, zero);
        let end = zero + LONGEST_OF_MANY;
        debouncer.restart_quiet(end);
        assert!(debouncer.deadline() == Some(end + SINGLE) && debouncer.take(end).is_none());
        debouncer.push("/b".into(), RawEventKind::Written, end + ms(1));
        let burst = debouncer.take(end + ms(1) + SINGLE + PER_PATH);
        assert_eq!(burst.map(|burst| (burst.paths.len(), burst.first)), Some((2, zero)));
    }

    #[test]
    fn a_withdrawn_path_leaves_nothing_behind() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        debouncer.push("/sedA1".into(), RawEventKind::Opened, zero);
        debouncer.withdraw(Path::new("/sedA1"));
        assert_eq!(debouncer.deadline(), None);
    }

    #[test]
    fn an_explicit_quiet_time_is_kept_and_zero_means_at_once() {
        let zero = Instant::now();
        assert_eq!(ends(&mut Debouncer::new(Some(ms(80))), zero, &[0]), [80]);
        assert_eq!(ends(&mut Debouncer::new(Some(ms(0))), zero, &[0, 1, 2]), [0, 1, 2]);
    }

    #[test]
    fn a_burst_is_held_back_for_a_file_being_written_and_not_for_long() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        debouncer.push("/a".into(), RawEventKind::Written, zero);
        // Git held it back until now.
        let mut now = zero + ms(5000);
        debouncer.restart_quiet(now);
        let begun = now;
        loop {
            now = now.max(debouncer.deadline().unwrap());
            let burst = debouncer.take(now).unwrap();
            if burst.hold_until <= now {
                break;
            }
            debouncer.extend_until(burst, now + ms(20));
            debouncer.push("/b".into(), RawEventKind::Written, now);
        }
        assert!((ms(100)..ms(150)).contains(&(now - begun)), "{:?}", now - begun);
    }

    #[test]
    fn a_burst_that_never_pauses_is_cut() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        for at in 0..2000 {
            debouncer.push("/log".into(), RawEventKind::Written, zero + ms(at));
        }
        assert_eq!(debouncer.deadline(), Some(zero + LONGEST_OF_FEW));
    }

    #[test]
    fn a_burst_is_not_cut_in_the_middle_of_a_save_but_once() {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        let mut cuts = Vec::new();
        for at in 0..7000 {
            let now = zero + ms(at);
            debouncer.push("/log".into(), RawEventKind::Written, now);
            debouncer.push("/a.new".into(), RawEventKind::Opened, now);
            if debouncer.deadline().unwrap() <= now {
                cuts.push(debouncer.take(now).unwrap().paths.len());
            }
            if at % 2 == 0 {
                debouncer.withdraw(Path::new("/a.new"));
            }
        }
        assert_eq!(cuts, [1, 2, 1]);
    }
}
