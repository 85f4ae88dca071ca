//! The watch thread: takes raw events from the queue, keeps the tree in line with the disk, and sends
//! batches.
//!
//! [`Worker`] has the loop. Its parts each own their state: [`tree`] the snapshot with its roots and rule
//! files, [`burst`] the changes that wait, [`poller`] the scans, [`git_hold`] the wait for git, [`reporter`]
//! the way to the owner.

mod burst;
mod change_tracker;
mod git_hold;
mod poller;
mod reporter;
mod root;
mod root_set;
mod rule_files;
mod startup;
mod tree;
#[allow(clippy::module_inception)]
mod worker;

pub(super) use root_set::RootSet;
pub(super) use worker::Worker;
