//! The files that count as they were last reported, and how the disk differs from that.

pub(super) mod diff;
pub(super) mod fingerprint;
pub(super) mod prefetch;
pub(super) mod scan;
pub(super) mod snapshot;
pub(super) mod sync;
pub(super) mod walk;
pub(super) mod watches;
