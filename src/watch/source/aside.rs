//! A second thread for one piece of work, on another processor than the first.
//!
//! The kernel starts a thread beside its maker unless another processor is idle, and on a virtual machine does not take one
//! that its host has put to sleep for idle (`available_idle_cpu` and `vcpu_is_preempted` in Linux): the two would then
//! take turns for some milliseconds. The placing may be in vain, and never fails.

use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Starts a thread that helps this one; `None` if the system starts none.
pub(crate) fn helper<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    let maker = processor();
    let started = Builder::new().spawn_scoped(scope, move || {
        leave(maker);
        work()
    });
    // If it was put here, it runs now, up to where it leaves.
    std::thread::yield_now();
    started.ok()
}

#[cfg(target_os = "linux")]
fn processor() -> usize {
    rustix::thread::sched_getcpu()
}

/// Moves this thread away from a processor, if it is there and there is another one.
#[cfg(target_os = "linux")]
fn leave(processor: usize) {
    use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};

    if sched_getcpu() != processor {
        return;
    }
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut others = allowed;
    others.unset(processor);
    if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
        // From there on it may be moved as before.
        let _ = sched_setaffinity(None, &allowed);
    }
}

/// Elsewhere the placing is left to the system.
#[cfg(not(target_os = "linux"))]
fn processor() -> usize {
    0
}

#[cfg(not(target_os = "linux"))]
fn leave(_: usize) {}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_helper_may_run_wherever_its_maker_may() {
        use rustix::thread::sched_getaffinity;

        use super::helper;

        let allowed = sched_getaffinity(None).unwrap();
        for _ in 0..100 {
            let helpers = std::thread::scope(|scope| {
                helper(scope, || sched_getaffinity(None)).unwrap().join().unwrap()
            });
            assert_eq!(helpers.unwrap(), allowed);
        }
    }
}
