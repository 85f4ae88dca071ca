//! Scans, and what is tried again.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Instant;

use crate::watch::event::Event;
use crate::watch::fs::read_dir::open_dir;
use crate::watch::fs::signature::{self, FileSignature};
use crate::watch::raw_event::RawEventKind;
use crate::watch::snapshot::scan::{ScanDiff, glance, scan, used};
use crate::watch::snapshot::snapshot::{Coverage, Dir};
use crate::watch::snapshot::sync::SyncMode;
use crate::watch::worker::worker::Worker;

impl Worker {
    pub(super) fn scan_if_due(&mut self, now: Instant) {
        if !self.has_scanned {
            return;
        }
        if self.pace.is_scan_due(now) {
            self.scan_all();
            return;
        }
        let lately = self.pace.glance(now);
        let notices = glance(&self.sync.tree(), &lately);
        self.heed(notices, Instant::now());
    }

    pub(super) fn scan_all(&mut self) {
        let before = used();
        if !self.sync.watches.has_events() {
            if self.any_root_moved() {
                self.anchor();
                self.refresh();
            }
            self.scan_outside();
        }
        let (notices, elsewhere) = {
            let tree = self.sync.tree();
            let dirs: Vec<_> = tree.dirs().filter(|dir| dir.coverage == Coverage::Polling).collect();
            scan(&dirs)
        };
        let cost = used().saturating_sub(before) + elsewhere;
        let ended = Instant::now();
        self.heed(notices, ended);
        if let Some(interval) = self.pace.scanned(ended, cost) {
            self.tell(Event::Warning {
                message: format!("a scan takes so long that only one every {interval:.1?} is made"),
                remedy: "ignore what need not be watched, or use the event mode where events work".into(),
            });
        }
    }

    pub(super) fn heed(&mut self, notices: Vec<ScanDiff>, now: Instant) {
        let (mut reshaped, mut at_home) = (false, false);
        for notice in notices {
            match notice {
                ScanDiff::File(path, signature) => {
                    self.saw(path, Some(signature), RawEventKind::Written, now)
                }
                ScanDiff::Missing(path) => self.saw(path, None, RawEventKind::Gone, now),
                ScanDiff::Dir(path) => {
                    reshaped = true;
                    let is_home = self.sync.tree().dir(&path).is_some_and(|dir| dir.partial);
                    at_home |= is_home;
                    let noted = if is_home {
                        self.sync_home(&path, SyncMode::RESCAN)
                    } else {
                        self.sync.sync_one(&path)
                    };
                    for (path, sign) in noted {
                        let signature = signature::look(&path).ok();
                        self.saw(path, signature, sign, now);
                    }
                }
            }
        }
        // A file that is a root may have become a directory, which the child that its end brings would see.
        if at_home && self.any_root_moved() {
            self.anchor();
        }
        if reshaped {
            self.refresh();
        }
    }

    /// A scan saw this; only if it is news does it prolong the burst.
    pub(super) fn saw(
        &mut self,
        path: PathBuf,
        signature: Option<FileSignature>,
        sign: RawEventKind,
        now: Instant,
    ) {
        if self.sync.filter.is_rule_file(&path) {
            self.rule_touched(path, now);
            return;
        }
        self.shared.hot.lock().unwrap_or_else(PoisonError::into_inner).count(&path);
        if let Some(signature) = signature
            && (self.writing.holds(&path) || self.writing.is_growing(&path, &signature, now))
        {
            self.writing.wait(path, signature, now);
            return;
        }
        if self.seen.stamps.insert(path.clone().into(), signature) != Some(signature) {
            self.debouncer.push(path, if signature.is_none() { RawEventKind::Gone } else { sign }, now);
        }
    }

    pub(super) fn retry_if_due(&mut self, now: Instant) {
        if self.retry_at.is_none_or(|at| at > now) {
            return;
        }
        self.retry_at = None;
        let was_limited = self.sync.watches.is_limited();
        let back = self.sync.recover();
        let notices = {
            let tree = self.sync.tree();
            scan(&back.iter().filter_map(|path| tree.dir(path)).collect::<Vec<_>>()).0
        };
        self.heed(notices, now);
        let readable = |dir: &&Dir| dir.unreadable && open_dir(&dir.path).is_ok();
        let readable: Vec<_> = {
            let tree = self.sync.tree();
            tree.dirs().filter(readable).map(|dir| dir.path.to_path_buf()).collect()
        };
        for path in readable {
            let noted = self.sync.sync(&path, SyncMode::REWATCH);
            self.note(noted, now);
        }
        self.sync.limit_hit = false;
        if was_limited && !self.sync.watches.is_limited() {
            self.anchor();
        }
        self.refresh();
        if was_limited && !self.sync.watches.is_limited() {
            self.summary().roots.into_iter().for_each(|report| self.tell(Event::ModeChanged(report)));
        }
    }
}
