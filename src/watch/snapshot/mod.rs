//! The files that count as last reported, how the disk differs, and the watches that tell when to look.

mod diff;
mod fingerprint;
#[allow(clippy::module_inception)]
mod snapshot;
mod sync;
mod walk;
mod watches;

pub(super) use diff::{BurstState, DiffResult, diff};
pub(super) use fingerprint::{CompareOptions, Comparison, FileComparer, Prefetch};
pub(super) use snapshot::{Coverage, Snapshot, SnapshotDir, SnapshotFile};
pub(super) use sync::{SnapshotSync, SyncMode};
pub(super) use watches::WatchRegistry;
