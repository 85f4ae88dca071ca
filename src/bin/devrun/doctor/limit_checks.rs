//! Checks the limits of inotify and how much of them is used.

use super::finding::Finding;
use crate::system::inotify::{self, Limit};

/// Queue length below which a large burst is likely to overflow the queue.
const SMALL_QUEUE: u64 = 8192;

/// Checks each limit.
pub(super) fn run() -> Vec<Finding> {
    let Some(limits) = inotify::limits() else {
        let message = "this system has no inotify: devrun uses the events that the system has";
        return vec![Finding::note("inotify", message)];
    };
    let watches = check_use(
        "inotify-watches",
        limits.watches,
        "watched directories",
        "raise the limit: sudo sysctl fs.inotify.max_user_watches=1048576\n\
         permanently: echo fs.inotify.max_user_watches=1048576 | sudo tee /etc/sysctl.d/60-inotify.conf",
    );
    let instances = check_use(
        "inotify-instances",
        limits.instances,
        "inotify instances",
        "raise the limit: sudo sysctl fs.inotify.max_user_instances=1024",
    );
    vec![watches, instances, check_queue(limits.queue)]
}

/// Warns from 90 % of a limit.
fn check_use(id: &'static str, limit: Limit, noun: &str, remedy: &str) -> Finding {
    let message = format!("{} of {} {noun} are in use by your programs", limit.used, limit.limit);
    if limit.used.saturating_mul(10) >= limit.limit.saturating_mul(9) {
        Finding::warning(id, message).with_remedy(remedy)
    } else {
        Finding::good(id, message)
    }
}

fn check_queue(length: u64) -> Finding {
    if length >= SMALL_QUEUE {
        return Finding::good("inotify-queue", format!("the queue holds {length} events"));
    }
    let message =
        format!("the queue holds only {length} events: after a large burst devrun rescans (nothing is lost)");
    Finding::note("inotify-queue", message)
        .with_remedy("raise the limit: sudo sysctl fs.inotify.max_queued_events=16384")
}
