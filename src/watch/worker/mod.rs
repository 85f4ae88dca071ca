//! The watch thread: takes raw events from the queue, keeps the tree in line with the disk, and sends
//! batches.
//!
//! [`Worker`] has the loop. Its parts each own their state: [`tree`] the snapshot with its roots and rule
//! files, [`change_tracker`] the changes that wait, [`poller`] the scans.

mod change_tracker;
mod poller;
mod root;
mod rule_files;
mod tree;
#[allow(clippy::module_inception)]
mod syncs;
mod worker;

pub(super) use root::Root;
pub(super) use worker::Worker;
