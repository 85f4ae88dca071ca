//! Pure: names the paths that restart the child again and again right after each start.
//!
//! A server that writes a watched file while it starts would restart itself for ever. What gives it away is the rhythm: the
//! same path changes shortly after each start, with nearly the same delay, several starts in a row. A developer who saves one
//! file again and again does so at other times after the start, and is never held up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::change::Batch;

use super::event::Event;

/// A change later than this after the start has nothing to do with it.
const SHORTLY: Duration = Duration::from_secs(3);
/// How many starts in a row a path must follow.
const TIMES: u32 = 4;
/// A path that was left alone for this long is forgiven.
const FORGIVEN: Duration = Duration::from_secs(60);

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
}

impl Suspect {
    /// Whether the delays are as regular as a program's: within 40 % of each other, or 300 ms.
    fn regular(&self, delay: Duration) -> bool {
        let (least, most) = (self.least.min(delay), self.most.max(delay));
        most - least <= Duration::from_millis(300).max(most.mul_f32(0.4))
    }
}

/// The paths under suspicion.
#[derive(Debug)]
pub(super) struct Loops {
    warn: bool,
    suspects: BTreeMap<PathBuf, Suspect>,
    starts: u64,
    started: Option<Instant>,
}

impl Loops {
    pub(super) fn new(warn: bool) -> Self {
        Self { warn, suspects: BTreeMap::new(), starts: 0, started: None }
    }

    /// A generation has been started.
    pub(super) fn started(&mut self, now: Instant) {
        self.starts += 1;
        self.started = Some(now);
    }

    /// Takes out of the batch what loops, and says so once for each path.
    pub(super) fn judge(&mut self, batch: &mut Batch, now: Instant) -> Vec<Event> {
        self.suspects.retain(|_, suspect| now.saturating_duration_since(suspect.last) < FORGIVEN);
        let Some(started) = self.started else { return Vec::new() };
        let mut told = Vec::new();
        batch.changes.retain(|change| {
            // The last write counts: a file that is written twice in a burst follows the start with its last.
            let delay = batch.last.checked_duration_since(started);
            let (keep, event) = self.judge_one(&change.path, delay, now);
            told.extend(event);
            keep
        });
        told
    }

    fn judge_one(&mut self, path: &PathBuf, delay: Option<Duration>, now: Instant) -> (bool, Option<Event>) {
        let Some(delay) = delay.filter(|delay| *delay <= SHORTLY) else {
            self.suspects.remove(path);
            return (true, None);
        };
        let fresh = Suspect { times: 1, least: delay, most: delay, start: self.starts, last: now };
        let Some(suspect) = self.suspects.get_mut(path) else {
            self.suspects.insert(path.clone(), fresh);
            return (true, None);
        };
        if suspect.start == self.starts {
            suspect.last = now;
            return (true, None);
        }
        if suspect.start + 1 != self.starts || !suspect.regular(delay) {
            *suspect = fresh;
            return (true, None);
        }
        suspect.times += 1;
        suspect.start = self.starts;
        suspect.last = now;
        suspect.least = suspect.least.min(delay);
        suspect.most = suspect.most.max(delay);
        if suspect.times < TIMES {
            return (true, None);
        }
        let times = std::mem::take(&mut suspect.times);
        (true, self.warn.then(|| Event::Loop { path: path.clone(), times, left_out: false }))
    }
}
