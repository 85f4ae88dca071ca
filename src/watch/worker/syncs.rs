//! Requests to bring the watch up to date, and how far each has come. Pure.
//!
//! A request is answered when everything that was written before it has been reported:
//!
//! 1. The worker handles the events in its queue, and scans everything. A scan also finds what no event has reported yet: a
//!    process that was started meanwhile may keep a copy of a written file open, and the kernel reports a file when the last
//!    copy is closed.
//! 2. A pass: edited rules take effect, files that are still being written are reported as they are, and the burst ends
//!    without its quiet time. A second pass reports what the first one left out, because it was still being written.

use crate::SyncId;

const PASSES: u32 = 2;

/// The pending requests.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    pending: Vec<PendingSync>,
}

#[derive(Debug)]
struct PendingSync {
    id: SyncId,
    /// Number of the pass; 0 before the scan.
    pass: u32,
    /// Number of bursts that were compared when the pass began.
    bursts: u64,
}

impl Syncs {
    pub(super) fn add(&mut self, id: SyncId) {
        self.pending.push(PendingSync { id, pass: 0, bursts: 0 });
    }

    /// Whether a request waits, so that the burst and edited rules end without their quiet time.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Begins the first pass of new requests. Returns whether there are any, so that a scan is needed. `bursts` is the
    /// number of bursts that were compared.
    pub(super) fn begin(&mut self, bursts: u64) -> bool {
        let mut needs_scan = false;
        for sync in self.pending.iter_mut().filter(|sync| sync.pass == 0) {
            (sync.pass, sync.bursts, needs_scan) = (1, bursts, true);
        }
        needs_scan
    }

    /// Takes the requests that are answered now. `is_idle`: no burst and no edited rule is pending, and no file is still
    /// being written. The second value is whether a further pass begins.
    pub(super) fn take_done(&mut self, bursts: u64, is_idle: bool) -> (Vec<SyncId>, bool) {
        let (mut done, mut begins_pass) = (Vec::new(), false);
        self.pending.retain_mut(|sync| {
            let has_compared = bursts > sync.bursts;
            if is_idle || has_compared && sync.pass >= PASSES {
                done.push(sync.id);
                return false;
            }
            if has_compared {
                (sync.pass, sync.bursts) = (sync.pass + 1, bursts);
                begins_pass = true;
            }
            true
        });
        (done, begins_pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> SyncId {
        SyncId::new(number)
    }

    #[test]
    fn an_idle_watch_answers_after_one_scan() {
        let mut syncs = Syncs::default();
        assert!(!syncs.begin(0));
        syncs.add(id(1));
        assert!(syncs.begin(0) && !syncs.begin(0));
        assert_eq!(syncs.take_done(0, true), (vec![id(1)], false));
        assert!(!syncs.has_pending());
    }

    #[test]
    fn what_the_first_pass_leaves_out_has_a_second_one() {
        let mut syncs = Syncs::default();
        syncs.add(id(1));
        syncs.begin(7);
        assert_eq!(syncs.take_done(7, false), (vec![], false));
        assert_eq!(syncs.take_done(8, false), (vec![], true));
        assert_eq!(syncs.take_done(8, false), (vec![], false));
        assert_eq!(syncs.take_done(9, false), (vec![id(1)], false));
    }

    #[test]
    fn a_request_during_a_pass_has_a_scan_and_passes_of_its_own() {
        let mut syncs = Syncs::default();
        syncs.add(id(1));
        syncs.begin(0);
        syncs.add(id(2));
        assert!(syncs.begin(0));
        assert_eq!(syncs.take_done(1, true), (vec![id(1), id(2)], false));
    }
}
