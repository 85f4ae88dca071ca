//! What a process tree uses, from Linux's `/proc` (proc_pid_stat(5)).

use std::time::Duration;

use super::pid::Pid;
use super::procfs::Process;

/// Maximum number of processes that are counted.
const MAX_PROCESSES: usize = 10_000;

/// What the processes of a tree use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TreeUsage {
    /// Number of processes.
    pub processes: u32,
    /// Resident memory. Memory that processes share counts several times.
    pub memory_bytes: u64,
    /// Processor time of the processes, and of their children that have ended.
    pub cpu_time: Duration,
}

/// What a process and its descendants use now; `None` if the process has ended, or the system does not say.
#[must_use]
pub fn tree_usage(leader: u32) -> Option<TreeUsage> {
    let mut queue = vec![Pid::new(i32::try_from(leader).ok()?)];
    let mut usage = TreeUsage::default();
    let mut seen = 0;
    while let Some(pid) = queue.pop() {
        seen += 1;
        let Some((memory_bytes, cpu_time)) = usage_of(pid) else { continue };
        usage.processes += 1;
        usage.memory_bytes += memory_bytes;
        usage.cpu_time += cpu_time;
        if seen < MAX_PROCESSES {
            queue.extend(Process::read(pid).and_then(|process| process.children()).unwrap_or_default());
        }
    }
    (usage.processes > 0).then_some(usage)
}

/// Resident memory and processor time of one process.
fn usage_of(pid: Pid) -> Option<(u64, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain any character. The state, field 3, follows it.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    // utime, stime, cutime, cstime; rss in pages.
    let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
    let memory_bytes = field(24)? * rustix::param::page_size() as u64;
    let cpu_time = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
    Some((memory_bytes, cpu_time))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_a_missing_one_nothing() {
        let usage = tree_usage(std::process::id()).unwrap();
        assert!(usage.processes >= 1 && usage.memory_bytes > 100_000);
        assert_eq!(tree_usage(0), None);
    }
}
