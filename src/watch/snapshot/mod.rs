//! The files that count as last reported, how the disk differs from that, and the watches that tell when to
//! look.

mod diff;
mod fingerprint;
mod merge;
mod prefetch;
mod scan;
#[allow(clippy::module_inception)]
mod snapshot;
mod sync;
mod walk;
mod watches;

pub(super) use diff::{BurstState, CompareOptions, DiffResult, diff};
pub(super) use fingerprint::{Comparison, FileComparer};
pub(super) use merge::SyncMode;
pub(super) use prefetch::Prefetch;
pub(super) use scan::{ScanDiff, quick_scan, scan, thread_cpu_time};
pub(super) use snapshot::{Coverage, Snapshot, SnapshotDir, SnapshotFile};
pub(super) use sync::SnapshotSync;
pub(super) use watches::WatchRegistry;
