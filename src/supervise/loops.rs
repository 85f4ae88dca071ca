//! Pure: names the paths that restart the child again and again right after each start, and says what becomes of them.
//!
//! A server that writes a watched file while it starts would restart itself for ever. Two things give it away: the rhythm (the
//! same path changes shortly after each start, several starts in a row) and who wrote it. The rhythm alone proves nothing: a
//! script may save a file right after each start. So a path is left out only once the child is proven to write it, and from then
//! on what it is proven to write, or what nobody saw written but came when the child writes; what nobody can tell of waits longer
//! and longer before it restarts, and never for good; what somebody else wrote is none of this.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::change::Batch;

use super::event::Event;
use super::evidence::{Evidence, Interest, Suspected, Writer};

/// A change later than this after the start has nothing to do with it.
const SHORTLY: Duration = Duration::from_secs(3);
/// How many starts in a row a path must follow to be suspicious.
const TIMES: u32 = 3;
/// Once one path is proven to loop, the others that the child writes at its start need only so many.
const TIMES_MORE: u32 = 2;
/// A generation that is stopped early may not come to write a file: so many starts may lie between two that it follows, if the
/// child is proven to write it.
const GAP: u64 = 4;
/// What follows starts without a proof waits: so long from so many times on. A script that saves a file right after each of
/// twenty starts hardly feels it; a server that nobody can watch writing starts every two seconds in the end.
const WAITS: [(u32, Duration); 4] = [
    (TIMES, Duration::from_millis(300)),
    (10, Duration::from_millis(600)),
    (20, Duration::from_secs(1)),
    (40, Duration::from_secs(2)),
];
/// A path that was left alone for this long is forgiven.
const FORGIVEN: Duration = Duration::from_secs(60);
/// So many paths are looked at closely at most.
const SUSPECTS: usize = 32;

/// What is known of one path.
#[derive(Debug)]
struct Suspect {
    /// Starts in a row that it followed.
    times: u32,
    /// The shortest and the longest delay after the start.
    least: Duration,
    most: Duration,
    /// The start it followed last, counted.
    start: u64,
    last: Instant,
    /// It was proven, and what the child writes there counts no longer.
    left_out: bool,
    told: Verdict,
}

impl Suspect {
    fn new(delay: Duration, start: u64, now: Instant) -> Self {
        Self { times: 1, least: delay, most: delay, start, last: now, left_out: false, told: Verdict::Counts }
    }

    /// Whether the delays are as regular as a program's: within 40 % of each other, or 300 ms.
    fn regular(&self, delay: Duration) -> bool {
        let (least, most) = (self.least.min(delay), self.most.max(delay));
        most - least <= Duration::from_millis(300).max(most.mul_f32(0.4))
    }

    /// It has followed one more start.
    fn follow(&mut self, delay: Duration, start: u64) {
        self.times += 1;
        self.start = start;
        self.least = self.least.min(delay);
        self.most = self.most.max(delay);
    }

    /// From this start on, as if it was the first.
    fn begin_again(&mut self, delay: Duration, start: u64) {
        (self.times, self.least, self.most, self.start) = (1, delay, delay, start);
    }

    fn wait(&self) -> Duration {
        let wait = WAITS.iter().rev().find(|(times, _)| *times <= self.times);
        wait.map_or(Duration::ZERO, |(_, wait)| *wait)
    }
}

/// What is to become of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It counts, at once.
    Counts,
    /// It counts, after a while.
    Waits(Duration),
    /// It is the child's own.
    LeftOut,
}

/// What is to become of a batch.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Judgement {
    pub(super) told: Vec<Event>,
    /// Nothing but suspicious paths is in it: they may wait.
    pub(super) wait: Option<Duration>,
}

/// The paths under suspicion.
#[derive(Debug)]
pub(super) struct Loops {
    guard: bool,
    suspects: BTreeMap<PathBuf, Suspect>,
    starts: u64,
    started: Option<Instant>,
    /// Builds run, since then: what they write comes at any time until they are over.
    building: bool,
}

impl Loops {
    pub(super) fn new(guard: bool) -> Self {
        Self { guard, suspects: BTreeMap::new(), starts: 0, started: None, building: false }
    }

    /// The builds of a generation have begun.
    pub(super) fn building(&mut self, now: Instant) {
        self.one_more(now);
        (self.started, self.building) = (Some(now), true);
    }

    /// Builds have ended.
    pub(super) fn built(&mut self, now: Instant) {
        // What they wrote last is looked at a little later.
        (self.started, self.building) = (Some(now), false);
    }

    /// A generation has been started.
    pub(super) fn started(&mut self, now: Instant, built: bool) {
        if !built {
            self.one_more(now);
        }
        self.started = Some(now);
    }

    /// One more start. Who had the time to follow the last one, and did not, is no loop: generated code that is new after an
    /// edit, and the same after the restart that it brings.
    fn one_more(&mut self, now: Instant) {
        let had_time = self.started.is_some_and(|started| now.saturating_duration_since(started) > SHORTLY);
        let last = self.starts;
        self.suspects.retain(|_, one| one.left_out || one.start == last || !had_time);
        self.starts += 1;
    }

    /// The paths whose next writer is of interest.
    pub(super) fn suspects(&self) -> impl Iterator<Item = Suspected> {
        let enough = self.enough();
        self.suspects.iter().map(move |(path, one)| {
            let interest = match one.times + 1 {
                _ if one.left_out => Interest::Lasting,
                next if next >= enough => Interest::Close,
                _ => Interest::Passing,
            };
            Suspected { path: path.clone(), interest }
        })
    }

    /// How many starts a path must follow, if the child is proven to write it.
    fn enough(&self) -> u32 {
        if self.suspects.values().any(|one| one.left_out) { TIMES_MORE } else { TIMES }
    }

    /// Takes out of the batch what the child wrote itself, and says so once for each path.
    pub(super) fn judge(&mut self, batch: &mut Batch, evidence: &Evidence, now: Instant) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(started) = self.started.filter(|_| self.guard) else { return judgement };
        self.suspects.retain(|_, one| one.left_out || now.saturating_duration_since(one.last) < FORGIVEN);
        // The last write counts: a file that is written twice in a burst follows the start with its last.
        let delay = batch.last.checked_duration_since(started);
        let delay = delay.filter(|delay| self.building || *delay <= SHORTLY);
        let mut waits = Vec::new();
        let changes = std::mem::take(&mut batch.changes);
        for change in changes {
            let verdict = self.judge_one(&change.path, delay, evidence.get(&change.path), now);
            judgement.told.extend(self.name(&change.path, verdict));
            match verdict {
                Verdict::LeftOut => continue,
                Verdict::Waits(wait) => waits.push(Some(wait)),
                Verdict::Counts => waits.push(None),
            }
            batch.changes.push(change);
        }
        // One that counts at once takes the others along.
        judgement.wait = waits.into_iter().min().flatten();
        judgement
    }

    fn judge_one(
        &mut self,
        path: &Path,
        delay: Option<Duration>,
        writer: Option<&Writer>,
        now: Instant,
    ) -> Verdict {
        let starts = self.starts;
        let is_child = writer == Some(&Writer::Child);
        let enough = is_child.then(|| self.enough());
        let Some(suspect) = self.suspects.get_mut(path) else {
            if let Some(delay) =
                delay.filter(|_| writer != Some(&Writer::Other) && self.suspects.len() < SUSPECTS)
            {
                self.suspects.insert(path.to_owned(), Suspect::new(delay, starts, now));
            }
            return Verdict::Counts;
        };
        suspect.last = now;
        // Whom nobody has seen, at the time after a start at which the child was proven to write there, is the child.
        let as_ever = writer.is_none() && delay.is_some_and(|delay| suspect.regular(delay));
        if suspect.left_out && (is_child || as_ever) {
            return Verdict::LeftOut;
        }
        let Some(delay) = delay.filter(|_| writer != Some(&Writer::Other)) else {
            // Somebody's own edit, or one that follows no start: it counts, and a mere suspicion ends.
            if !suspect.left_out && !is_child {
                self.suspects.remove(path);
            }
            return Verdict::Counts;
        };
        let since = starts - suspect.start;
        if since > 0 && (is_child && since <= GAP || since == 1 && suspect.regular(delay)) {
            suspect.follow(delay, starts);
        } else if since > 0 {
            suspect.begin_again(delay, starts);
        }
        match suspect.times {
            times if enough.is_some_and(|enough| times >= enough) => {
                suspect.left_out = true;
                Verdict::LeftOut
            }
            times if times < TIMES => Verdict::Counts,
            _ => Verdict::Waits(suspect.wait()),
        }
    }

    /// The event that names a path for the first time, or says for the first time that it is left out.
    fn name(&mut self, path: &Path, verdict: Verdict) -> Option<Event> {
        let suspect = self.suspects.get_mut(path)?;
        let news = match (verdict, suspect.told) {
            (Verdict::Counts, _) | (_, Verdict::LeftOut) | (Verdict::Waits(_), Verdict::Waits(_)) => false,
            (Verdict::Waits(_) | Verdict::LeftOut, _) => true,
        };
        if !news {
            return None;
        }
        suspect.told = verdict;
        let left_out = verdict == Verdict::LeftOut;
        Some(Event::Loop { path: path.to_owned(), times: suspect.times, left_out })
    }
}
