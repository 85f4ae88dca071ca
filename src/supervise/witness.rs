//! Gathers what is known of who wrote the files under suspicion. Weighs nothing: `loops` does.

#[cfg(target_os = "linux")]
use std::cell::LazyCell;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::time::Duration;

use crate::change::Batch;
#[cfg(target_os = "linux")]
use crate::change::ChangeKind;

#[cfg(target_os = "linux")]
use super::evidence::Writer;
use super::evidence::{Evidence, Suspected};
#[cfg(target_os = "linux")]
use super::os::witness::{Witness as Ears, bytes_written, has_open};

/// No more files of one batch are looked at: what changes by the hundred is a checkout, and no server's cache.
#[cfg(target_os = "linux")]
const MANY: usize = 64;

/// Listens for the writers of files under suspicion.
#[derive(Debug)]
pub(super) struct Witness {
    #[cfg(target_os = "linux")]
    ears: Ears,
    suspects: Vec<Suspected>,
}

#[cfg(target_os = "linux")]
impl Witness {
    pub(super) fn new(session: &str) -> Self {
        Self { ears: Ears::new(session), suspects: Vec::new() }
    }

    /// From now on these are the files whose writers are of interest.
    pub(super) fn watch(&mut self, suspects: Vec<Suspected>) {
        if self.suspects != suspects {
            self.ears.watch(&suspects);
            self.suspects = suspects;
        }
    }

    /// A process of ours is about to start; what it writes in this time is of interest.
    pub(super) fn attend(&self, how_long: Duration) {
        self.ears.attend(how_long);
    }

    /// This process is about to be stopped by its terminal.
    pub(super) fn rest(&self) {
        self.ears.rest();
    }

    /// What is known of the files of a batch that are under suspicion, or lie beside one that is. `tree` gives the living processes of all trees.
    pub(super) fn evidence(&mut self, batch: &Batch, tree: impl FnOnce() -> Vec<i32>) -> Evidence {
        let suspects = &self.suspects;
        // Asked for each of maybe many changes: their components are not compared.
        let is_suspect = |path: &PathBuf| suspects.iter().any(|one| one.path.as_os_str() == path.as_os_str());
        let is_near = |path: &PathBuf| is_suspect(path) || self.ears.hears(path);
        let suspicious: Vec<_> =
            batch.changes.iter().filter(|change| is_near(&change.path)).take(MANY).collect();
        if suspicious.is_empty() {
            return Evidence::new();
        }
        // A directory may have been replaced since.
        self.ears.watch(suspects);
        let (tree, passing_on) = (LazyCell::new(tree), self.ears.passing_on());
        let judged = suspicious.into_iter().filter_map(|change| {
            let written = self.ears.written(&change.path);
            let writer = match (written.by_us, written.by_others, written.by_unknown) {
                _ if has_open(&passing_on, &change.path) => Writer::Child,
                (_, true, _) => Writer::Other,
                (true, false, _) => Writer::Child,
                _ if has_open(&tree, &change.path) => Writer::Child,
                // Who has never written anything has not written this.
                _ if change.kind != ChangeKind::Removed && bytes_written(&tree) == Some(0) => Writer::Other,
                _ => return None,
            };
            Some((change.path.clone(), writer))
        });
        judged.collect()
    }
}

#[cfg(not(target_os = "linux"))]
impl Witness {
    pub(super) fn new(_session: &str) -> Self {
        Self { suspects: Vec::new() }
    }

    pub(super) fn watch(&mut self, suspects: Vec<Suspected>) {
        self.suspects = suspects;
    }

    pub(super) fn attend(&self, _how_long: Duration) {}

    pub(super) fn rest(&self) {}

    pub(super) fn evidence(&mut self, _batch: &Batch, _tree: impl FnOnce() -> Vec<i32>) -> Evidence {
        Evidence::new()
    }
}
