//! The loop of the room's thread: takes hints, looks where they point, does what is due.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Instant;

use crate::watch::fs::paths::{split, starts_with};
use crate::watch::fs::signature::{self, Kind};
use crate::watch::queue::Message;
use crate::watch::raw_event::{RawEvent, RawEventKind};
use crate::watch::snapshot::sync::SyncMode;
use crate::watch::worker::rule_reload::RULES_QUIET;
use crate::watch::worker::worker::Worker;

/// In a burst of so many paths a known file that was closed is looked at only when the burst ends: to look twice at each
/// costs as much as to compare it.
const MANY: usize = 256;

impl Worker {
    /// Runs until it is reported to stop, or nobody listens any more.
    pub(crate) fn run(mut self) {
        self.read_on();
        loop {
            let patient = self.debouncer.is_patient() && self.rule_edits.is_empty();
            for (message, at) in self.queue.take(self.deadline(), patient) {
                match message {
                    Message::RawEvent(RawEvent::Path { path, sign }) => self.look(path, sign, at),
                    Message::RawEvent(RawEvent::Everything) | Message::Rescan => {
                        tracing::debug!("events may be missing: everything is to be compared");
                        self.debouncer.push_everything(at);
                    }
                    Message::GenerationStarted => self.debouncer.generation_started(at),
                    Message::Stop => return self.close(),
                }
            }
            self.refresh_if_due(Instant::now());
            self.follow_rules(Instant::now());
            self.scan_if_due(Instant::now());
            self.retry_if_due(Instant::now());
            self.look_at_written(Instant::now());
            self.end_burst(Instant::now());
            if self.out.is_closed() {
                return self.close();
            }
        }
    }

    fn close(self) {
        drop(self.reading);
        self.sync.watches.close();
    }

    /// When something is to be done next without a hint. `None`: never, so that an idle watch costs nothing.
    fn deadline(&self) -> Option<Instant> {
        // What is held back goes on gathering: it is not looked at before it would end anyway.
        let hold = self.hold.as_ref().map(|hold| hold.next);
        let burst =
            self.debouncer.deadline().map(|deadline| hold.map_or(deadline, |next| next.max(deadline)));
        let rules = self.rule_edits_at.map(|(_, last)| last + RULES_QUIET);
        let scan = self.has_scanned.then(|| self.pace.deadline());
        let others = [self.retry_at, self.refresh_at, self.writing.deadline()];
        [burst, rules, scan].into_iter().chain(others).flatten().min()
    }

    /// Looks where a hint points.
    fn look(&mut self, path: PathBuf, sign: RawEventKind, at: Instant) {
        self.shared.hot.lock().unwrap_or_else(PoisonError::into_inner).count(&path);
        tracing::trace!(?path, ?sign, "an event");
        if self.roots.iter().any(|root| root.stands_on(&path)) && self.check_roots(&path, at) {
            // It may be part of another root's tree, too.
            let tree = self.sync.tree();
            if path.parent().and_then(|parent| tree.dir(parent)).is_none_or(|dir| dir.partial) {
                return;
            }
        }
        let is_outside = self.outside.contains_key(path.as_os_str());
        // Most paths are longer than these: their components are not compared.
        let length = path.as_os_str().len();
        let mut longer = self.outside.keys().filter(|file| file.len() > length);
        if !is_outside && longer.any(|file| starts_with(file.as_ref(), &path)) {
            // Rule files have come or gone with the directories that they are in.
            self.anchor();
        }
        if is_outside {
            self.outside.insert(path.clone().into(), signature::look(&path).ok());
        }
        if is_outside || self.sync.filter.is_rule_file(&path) {
            tracing::debug!(?path, "a rule file was touched");
            self.rule_touched(path, at);
            return;
        }
        // Everything will be compared: what this one points at, too.
        if self.debouncer.is_about_everything() {
            self.debouncer.push_everything(at);
            return;
        }
        // If it was waited for: an event tells more than looking again.
        self.writing.release(&path);
        let Some((parent, name)) = split(&path) else { return };
        let (is_partial, is_dir, is_file) = {
            let tree = self.sync.tree();
            let Some(dir) = tree.dir(parent) else {
                self.sync.filter.stats.add_event_ignored();
                tracing::debug!(?path, "no change: its directory is not watched");
                return;
            };
            (dir.partial, tree.dir(&path).is_some(), dir.file(name).is_some())
        };
        if is_partial && !self.sync.filter.is_always(&path) {
            self.sync.filter.stats.add_event_ignored();
            tracing::debug!(?path, "no change: it lies beside a file that is watched");
            return;
        }
        if is_file && !is_dir && sign == RawEventKind::Closed && self.debouncer.count() >= MANY {
            tracing::debug!(?path, ?sign, "one of many to be compared when the burst ends");
            // SyncMode it looked at an earlier hint says nothing any more.
            self.seen.stamps.remove(path.as_os_str());
            self.debouncer.push(path, sign, at);
            return;
        }
        let found = signature::look(&path).ok();
        if is_dir && found.is_none_or(|found| found.kind != Kind::Dir) {
            let mut noted = Vec::new();
            self.sync.mark_missing_below(&path, &mut noted);
            self.note(noted, at);
            self.reshaped(at);
        }
        match found {
            Some(found) if found.kind == Kind::Dir => {
                if is_file {
                    self.debouncer.push(path.clone(), RawEventKind::Gone, at);
                }
                // What the rules know of it may be from before it was there.
                self.sync.forget(&path);
                let counts = !is_partial && self.sync.filter.counts_dir(&path);
                tracing::debug!(?path, counts, "a directory has come or changed");
                if counts {
                    let noted = self.sync.sync(&path, SyncMode::REWATCH);
                    self.note(noted, at);
                    self.reshaped(at);
                }
            }
            Some(found) if found.kind.has_content() => {
                if is_file || self.sync.filter.counts_file(&path) {
                    self.seen.stamps.insert(path.clone().into(), Some(found));
                    // Links of both kinds are complete as soon as they are there.
                    let opened = sign == RawEventKind::Opened && found.kind == Kind::File && !found.linked;
                    tracing::debug!(?path, ?sign, "to be compared when the burst ends");
                    self.debouncer.push(
                        path,
                        if opened { RawEventKind::Opened } else { RawEventKind::Written },
                        at,
                    );
                } else {
                    self.sync.filter.stats.add_event_ignored();
                    tracing::debug!(?path, why = self.sync.filter.why_not(&path), "no change");
                }
            }
            _ if is_file => {
                tracing::debug!(?path, "went away; a change if it stays away until the burst ends");
                self.seen.stamps.insert(path.clone().into(), None);
                self.debouncer.push(path, RawEventKind::Gone, at);
            }
            _ => {
                self.sync.filter.stats.add_event_ignored();
                tracing::debug!(?path, "no change: it came and went, or is no file");
                self.debouncer.withdraw(&path);
            }
        }
    }
}
