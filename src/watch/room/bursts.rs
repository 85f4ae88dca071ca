//! Bursts that end: held back while git is at work, then proven.

use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use super::super::event::Event;
use super::super::proving::{Outcome, prove};
use super::super::roots::probe;
use super::super::stamp;
use super::super::survey::How;
use super::state::{Hold, LONGEST_HOLD, Room};

/// While git is at work it is looked at again after so long.
const HOLD_POLL: Duration = Duration::from_millis(10);
/// It is said after so long.
const HOLD_SAID: Duration = Duration::from_millis(100);
impl Room {
    pub(super) fn end_burst(&mut self, now: Instant) {
        if self.coalescer.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if self.is_held(now) || !self.is_scanned_through(now) {
            return;
        }
        let Some(burst) = self.coalescer.take(now) else { return };
        if burst.everything {
            self.coalescer.resume(burst, now);
            self.rescan(now);
            return;
        }
        let outcome = {
            let mut tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
            prove(&mut tree, &self.survey.filter, burst, &self.seen, self.means, now)
        };
        match outcome {
            Outcome::Unsettled(burst, unsettled) => {
                for path in &unsettled {
                    stamp::look(path).ok().map(|stamp| self.seen.insert(path.clone(), stamp));
                }
                tracing::debug!(paths = ?unsettled, "still being written: the burst goes on");
                self.coalescer.put_back(burst, unsettled, now);
            }
            Outcome::Proven(batch) => {
                self.seen.clear();
                if let Some(batch) = batch {
                    if self.has_scanned {
                        batch.changes.iter().for_each(|change| self.pace.changed(&change.path, now));
                    }
                    self.tell(Event::Changed(batch));
                }
                self.check_emptied(now);
            }
        }
    }

    /// While git is at work the burst goes on; that is said once.
    pub(super) fn is_held(&mut self, now: Instant) -> bool {
        let since = self.hold.as_ref().map_or(now, |hold| hold.since);
        let waited = now.saturating_duration_since(since);
        let marker = self.survey.git.marker(SystemTime::now()).filter(|_| waited < LONGEST_HOLD);
        let Some(marker) = marker else {
            let was_held = self.hold.take().is_some();
            if was_held {
                // What git wrote last may still be on its way to us, or not have been scanned yet.
                self.coalescer.restart_quiet(now);
                if self.has_scanned {
                    self.scan_all(now);
                }
            }
            return was_held;
        };
        tracing::trace!(?marker, "git is at work: the burst goes on");
        let said = self.hold.as_ref().is_some_and(|hold| hold.said);
        let say = !said && waited >= HOLD_SAID;
        self.hold = Some(Hold { since, next: now + HOLD_POLL, said: said || say });
        if say {
            self.tell(Event::WaitingForGit { marker });
        }
        true
    }

    /// If scans noticed much, it is over only when a last one finds nothing more.
    pub(super) fn is_scanned_through(&mut self, now: Instant) -> bool {
        if self.has_scanned && self.seen.len() > 1 {
            self.scan_all(now);
        }
        self.coalescer.deadline().is_none_or(|deadline| deadline <= now)
    }

    /// Events were lost: watch with a new instance, and compare everything.
    pub(super) fn rescan(&mut self, now: Instant) {
        self.survey.renew();
        for index in 0..self.roots.len() {
            self.roots[index].state = probe(&self.roots[index].path);
            let noted = self.enter_root(index, How::AGAIN);
            self.note(noted, now);
        }
        self.anchor();
        self.refresh();
        let files = self.survey.tree().files();
        self.tell(Event::Rescanned { files, took: now.elapsed() });
    }
}
