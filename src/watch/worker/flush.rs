//! Bursts that end: held back while git is at work, then proven.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use crate::change::{Batch, Change};

use crate::watch::event::Event;
use crate::watch::fs::signature::{self, FileSignature};
use crate::watch::raw_event::RawEventKind;
use crate::watch::snapshot::diff::{DiffResult, StillChanging, prove};
use crate::watch::snapshot::sync::SyncMode;
use crate::watch::worker::root::probe;
use crate::watch::worker::worker::{Hold, LONGEST_HOLD, Worker};

/// While git is at work it is looked at again after so long.
const HOLD_POLL: Duration = Duration::from_millis(10);
/// Once it has ended, events that are still on their way are waited for so long.
const LONGEST_WAY: Duration = Duration::from_millis(500);
/// It is said after so long.
const HOLD_SAID: Duration = Duration::from_millis(100);
/// A file that grows is followed in bursts of so many paths at most.
const FEW: usize = 64;

impl Worker {
    pub(super) fn end_burst(&mut self, now: Instant) {
        let Some(deadline) = self.debouncer.deadline() else {
            self.hold = None;
            return;
        };
        if deadline > now || self.is_held(now) || !self.is_scanned_through(now) {
            return;
        }
        let Some(burst) = self.debouncer.take(now) else { return };
        if burst.everything {
            self.debouncer.resume(burst);
            self.rescan(now);
            return;
        }
        let outcome = {
            let mut tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
            prove(&mut tree, &self.sync.filter, &burst, &self.seen, self.means, now)
        };
        match outcome {
            DiffResult::Held(unsettled, until) => {
                tracing::debug!(paths = ?unsettled, "just being written: the burst goes on");
                let seen = unsettled.into_iter().map(|(path, signature)| (path.into(), Some(signature)));
                self.seen.stamps.extend(seen);
                self.debouncer.extend_until(burst, until);
            }
            DiffResult::Proven(batch, unsettled) => {
                self.debouncer.decided(burst);
                self.conclude(batch, unsettled, now);
            }
        }
    }

    /// A burst was decided, but for the files that are still being written.
    fn conclude(&mut self, batch: Option<Batch>, unsettled: Vec<StillChanging>, now: Instant) {
        for (path, signature) in unsettled {
            tracing::debug!(?path, "still being written: waits for itself");
            self.writing.wait(path, signature, now);
        }
        if let Some(batch) = batch {
            self.remember(&batch, now);
            self.tell(Event::Changed(batch));
        }
        self.seen.clear();
        self.check_emptied(now);
        if let Some((files, took)) = self.rescanned.take() {
            self.tell(Event::Rescanned { files, took });
        }
    }

    /// Scans look more often at what has changed lately, and see a file grow where events would tell of its end.
    fn remember(&mut self, batch: &Batch, now: Instant) {
        if !self.has_scanned {
            return;
        }
        let tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let few = batch.changes.len() <= FEW;
        for Change { path, .. } in &batch.changes {
            self.pace.changed(path, now);
            if let Some(file) = tree.file(path).filter(|_| few) {
                self.writing.counted(
                    path,
                    file.signature,
                    self.seen.waited_for.contains(path.as_os_str()),
                    now,
                );
            }
        }
    }

    /// Looks again at the files that are still being written.
    pub(super) fn look_at_written(&mut self, now: Instant) {
        for path in self.writing.due(now) {
            match signature::look(&path).ok().filter(|signature| signature.kind.has_content()) {
                Some(signature) => {
                    if self.writing.looked(&path, signature, now) {
                        self.take_as_it_is(path, Some(signature), now);
                    }
                }
                None => {
                    self.writing.release(&path);
                    self.debouncer.push(path, RawEventKind::Gone, now);
                }
            }
        }
    }

    /// A file that was being written is compared with the next burst, whatever happens to it meanwhile.
    fn take_as_it_is(&mut self, path: PathBuf, signature: Option<FileSignature>, now: Instant) {
        self.seen.stamps.insert(path.clone().into(), signature);
        self.seen.waited_for.insert(path.clone().into());
        self.debouncer.push(path, RawEventKind::Written, now);
    }

    /// While git is at work the burst goes on; that is said once.
    pub(super) fn is_held(&mut self, now: Instant) -> bool {
        let since = self.hold.as_ref().map_or(now, |hold| hold.since);
        let waited = now.saturating_duration_since(since);
        let marker = self.sync.git.marker(SystemTime::now()).filter(|_| waited < LONGEST_HOLD);
        let Some(marker) = marker else {
            if let Some(hold) = &mut self.hold
                && self.sync.watches.is_behind()
                && now.saturating_duration_since(*hold.over.get_or_insert(now)) < LONGEST_WAY
            {
                // What git wrote last belongs to it, and is still on its way to us.
                hold.next = now + HOLD_POLL;
                return true;
            }
            let was_held = self.hold.take().is_some();
            if was_held {
                // It may not have been looked at, or not have been scanned yet.
                self.debouncer.restart_quiet(now);
                if self.has_scanned {
                    self.scan_all();
                }
            }
            return was_held;
        };
        tracing::trace!(?marker, "git is at work: the burst goes on");
        let said = self.hold.as_ref().is_some_and(|hold| hold.said);
        let say = !said && waited >= HOLD_SAID;
        self.hold = Some(Hold { since, next: now + HOLD_POLL, said: said || say, over: None });
        if say {
            self.tell(Event::WaitingForGit { marker });
        }
        true
    }

    /// If scans noticed much, it is over only when a last one finds nothing more.
    pub(super) fn is_scanned_through(&mut self, now: Instant) -> bool {
        if self.has_scanned && self.seen.stamps.len() > 1 {
            self.scan_all();
        }
        self.debouncer.deadline().is_none_or(|deadline| deadline <= now)
    }

    /// EventSource were lost: watch with a new instance, and compare everything.
    pub(super) fn rescan(&mut self, now: Instant) {
        for path in self.writing.release_all() {
            self.take_as_it_is(path, None, now);
        }
        self.sync.renew();
        for index in 0..self.roots.len() {
            self.roots[index].state = probe(&self.roots[index].path);
            let noted = self.enter_root(index, SyncMode::RESCAN);
            self.note(noted, now);
        }
        self.anchor();
        self.refresh();
        self.rescanned = Some((self.sync.tree().files(), now.elapsed()));
    }
}
