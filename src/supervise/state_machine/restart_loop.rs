//! Detects restart loops by their rhythm, names them and slows them down. Pure.
//!
//! A server that writes a watched file while it starts restarts itself forever. Such a file changes at the same
//! moment after each start. A path that follows [`MIN_STARTS`] starts in a row in this way is named. From then on,
//! a change of that path alone restarts the server only after a delay, which doubles with each start up to
//! [`MAX_RESTART_DELAY`]. If the server writes a file of another name each time, its directory is named instead.
//!
//! A build writes new names at any moment. So a directory in which files appear or vanish is also named without a
//! rhythm, if it follows [`MIN_IRREGULAR_STARTS`] starts in a row, each in its window or before the server was ready.
//!
//! A change of any other path restarts at once. So does an edit of the path itself outside of this rhythm, or
//! outside of the window after a start; it ends the suspicion. No change is ever dropped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::action::Action;
use crate::change::{Batch, Change, ChangeKind};
use crate::supervise::event::{Event, Phase};
use crate::supervise::options::{OnLoop, Options};

/// Time after a start in which a change follows it.
const WINDOW: Duration = Duration::from_secs(3);
/// Number of starts in a row that a path follows before it is named.
const MIN_STARTS: u32 = 3;
/// Number of starts in a row that a directory with new names follows at any moment before it is named.
const MIN_IRREGULAR_STARTS: u32 = 5;
/// Maximum difference between the times from a start to a change, unless [`MAX_SPREAD_RATIO`] allows more. A
/// person, or a script with its own clock, is less regular than a server.
const MAX_SPREAD: Duration = Duration::from_millis(200);
/// Maximum difference between these times, relative to the longest. Builds take minutes and vary.
const MAX_SPREAD_RATIO: f32 = 0.25;
/// Delay of the first restart for a path that was just named.
const FIRST_RESTART_DELAY: Duration = Duration::from_millis(300);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(30);
/// Maximum number of tracked paths, and of tracked directories.
const MAX_TRACKED_PATHS: usize = 256;

/// Detects restart loops.
#[derive(Debug, Default)]
pub(super) struct RestartLoops {
    enabled: bool,
    has_builds: bool,
    /// Number of starts.
    starts: u64,
    /// Time of the last start, or of the last begin or end of its builds.
    started_at: Option<Instant>,
    /// Builds run since `started_at`. What they write may come at any time until their end.
    building: bool,
    /// No generation has been ready since `started_at`.
    is_starting: bool,
    paths: Candidates,
    /// Parent directories of the files that appear or vanish after a start.
    directories: Candidates,
}

impl RestartLoops {
    pub(super) fn new(options: &Options) -> Self {
        let (enabled, has_builds) = (options.on_loop == OnLoop::Warn, !options.builds.is_empty());
        let directories = Candidates { any_rhythm: true, ..Candidates::default() };
        Self { enabled, has_builds, directories, ..Self::default() }
    }

    /// Learns from the actions which builds and generations start now.
    pub(super) fn observe(&mut self, actions: &[Action], now: Instant) {
        for action in actions {
            match action {
                Action::Build { .. } if self.has_builds => {
                    self.count_start(now);
                    (self.started_at, self.building) = (Some(now), true);
                }
                Action::Spawn { .. } => {
                    if !self.has_builds {
                        self.count_start(now);
                    }
                    (self.started_at, self.is_starting) = (Some(now), true);
                }
                Action::Emit(Event::Phase { phase: Phase::Ready { .. }, .. }) => self.is_starting = false,
                _ => {}
            }
        }
    }

    pub(super) fn build_ended(&mut self, now: Instant) {
        if self.building {
            // The watch may notice their last writes a little later, so the window starts again.
            (self.started_at, self.building) = (Some(now), false);
        }
    }

    fn count_start(&mut self, now: Instant) {
        let window_passed =
            self.started_at.is_some_and(|started_at| now.saturating_duration_since(started_at) > WINDOW);
        for candidates in [&mut self.paths, &mut self.directories] {
            candidates.forget_unless_followed(self.starts, window_passed);
        }
        self.starts += 1;
    }

    /// Counts the changes that follow the last start. Returns one [`Event::RestartLoop`] for each path that has just
    /// been found to loop, and the delay of the restart; `None` if any change restarts at once.
    pub(super) fn decide(&mut self, batch: &Batch) -> (Vec<Event>, Option<Duration>) {
        let mut events = Vec::new();
        let Some(started_at) = self.started_at.filter(|_| self.enabled) else { return (events, None) };
        let (start, building, is_starting) = (self.starts, self.building, self.is_starting);
        let moment = Moment { start, started_at, building, is_starting, changed_at: batch.compared_at };
        let delays = batch.changes.iter().map(|change| self.decide_one(change, &moment, &mut events));
        // `None` is the least: one change that restarts at once is enough.
        let delay = delays.min().flatten();
        (events, delay)
    }

    fn decide_one(&mut self, change: &Change, moment: &Moment, events: &mut Vec<Event>) -> Option<Duration> {
        let is_new_name = change.kind != ChangeKind::Modified;
        let path = self.paths.record(&change.path, moment, is_new_name);
        let is_unnamed = |path: &&mut Candidate| path.is_new_name && path.doublings().is_none();
        let directory =
            if path.as_ref().map_or(is_new_name, is_unnamed) { change.path.parent() } else { None };
        let candidate = match directory {
            Some(directory) => self.directories.record(directory, moment, true)?,
            None => path?,
        };
        let doublings = candidate.doublings()?;
        if !std::mem::replace(&mut candidate.is_named, true) {
            let (path, directory) = (change.path.clone(), directory.map(Path::to_owned));
            let times = candidate.times.max(candidate.irregular_times);
            events.push(Event::RestartLoop { path, directory, times });
        }
        Some(FIRST_RESTART_DELAY.saturating_mul(2_u32.saturating_pow(doublings)).min(MAX_RESTART_DELAY))
    }
}

/// When a change happened, relative to the last start.
#[derive(Debug)]
struct Moment {
    /// Number of the last start.
    start: u64,
    started_at: Instant,
    building: bool,
    is_starting: bool,
    changed_at: Instant,
}

/// A path that may be part of a restart loop.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Number of starts in a row that the path followed with one rhythm.
    times: u32,
    /// Number of starts in a row that the path followed at any moment; 0 if only a rhythm counts.
    irregular_times: u32,
    /// Number of the last start that it followed.
    last_start: u64,
    last_change: Instant,
    /// Shortest and longest time from a start to the first change that follows it.
    shortest: Duration,
    longest: Duration,
    /// The path appeared or vanished after each start that it followed.
    is_new_name: bool,
    is_named: bool,
}

impl Candidate {
    fn new(elapsed: Duration, moment: &Moment, is_new_name: bool) -> Self {
        Self {
            times: 1,
            irregular_times: 0,
            last_start: moment.start,
            last_change: moment.changed_at,
            shortest: elapsed,
            longest: elapsed,
            is_new_name,
            is_named: false,
        }
    }

    /// How often the delay of a restart has doubled; `None` if the path restarts at once.
    fn doublings(&self) -> Option<u32> {
        let regular = self.times.checked_sub(MIN_STARTS);
        regular.max(self.irregular_times.checked_sub(MIN_IRREGULAR_STARTS))
    }
}

/// The paths that followed the last start.
#[derive(Debug, Default)]
struct Candidates {
    by_path: BTreeMap<PathBuf, Candidate>,
    /// A path may follow a start at any moment of its window, or before the generation is ready.
    any_rhythm: bool,
}

impl Candidates {
    /// Records a change. Returns the candidate if the change follows a start, `None` if it restarts at once.
    fn record(&mut self, path: &Path, moment: &Moment, is_new_name: bool) -> Option<&mut Candidate> {
        // A change from before the start belongs to the generation before, and says nothing about this one.
        let Some(elapsed) = moment.changed_at.checked_duration_since(moment.started_at) else {
            return self.by_path.get_mut(path);
        };
        let follows_start = moment.building || elapsed <= WINDOW || self.any_rhythm && moment.is_starting;
        let step = u32::from(self.any_rhythm);
        let first = Candidate { irregular_times: step, ..Candidate::new(elapsed, moment, is_new_name) };
        let Some(known) = self.by_path.get(path) else {
            if !follows_start || self.by_path.len() >= MAX_TRACKED_PATHS {
                return None;
            }
            return Some(self.by_path.entry(path.to_owned()).or_insert(first));
        };
        // A server that goes on writing the file extends the window: its next write is no edit either.
        let goes_on = moment.changed_at.saturating_duration_since(known.last_change) <= WINDOW;
        if !follows_start && !goes_on {
            self.by_path.remove(path);
            return None;
        }
        let candidate = self.by_path.get_mut(path)?;
        candidate.last_change = moment.changed_at;
        if candidate.last_start != moment.start {
            let (shortest, longest) = (candidate.shortest.min(elapsed), candidate.longest.max(elapsed));
            let is_regular = longest - shortest <= MAX_SPREAD.max(longest.mul_f32(MAX_SPREAD_RATIO));
            *candidate = if is_regular {
                let is_new_name = is_new_name && candidate.is_new_name;
                let (times, last_start) = (candidate.times + 1, moment.start);
                Candidate { times, last_start, shortest, longest, is_new_name, ..*candidate }
            } else {
                // The rhythm is broken. The path is not named twice.
                let Candidate { is_named, irregular_times, .. } = *candidate;
                Candidate { is_named, irregular_times, ..first }
            };
            candidate.irregular_times += step;
        }
        Some(candidate)
    }

    /// Forgets the paths that did not follow `start`. A named path is kept if the generation was stopped
    /// before it had the time to write.
    fn forget_unless_followed(&mut self, start: u64, window_passed: bool) {
        self.by_path
            .retain(|_, candidate| candidate.last_start == start || candidate.is_named && !window_passed);
    }
}
