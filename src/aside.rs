//! A second thread or process for one piece of work, on another processor than the first.
//!
//! The kernel starts it beside its maker unless another processor is idle, and on a virtual machine does not take one
//! that its host has put to sleep for idle (`available_idle_cpu` and `vcpu_is_preempted` in Linux): the two would then
//! take turns for some milliseconds. The placing may be in vain, and never fails.

use std::io;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Starts a thread that works beside this one.
///
/// # Errors
/// If the system starts none.
pub(crate) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let started = Builder::new().name(name.to_owned()).spawn(elsewhere(work));
    std::thread::yield_now();
    started
}

/// Starts a thread that helps this one; `None` if the system starts none.
pub(crate) fn helper<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    let started = Builder::new().spawn_scoped(scope, elsewhere(work));
    std::thread::yield_now();
    started.ok()
}

/// The same work, away from this processor. If the thread was put here, it runs up to where it leaves when its maker yields.
fn elsewhere<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let maker = processor();
    move || {
        leave(maker);
        work()
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Away;
#[cfg(target_os = "linux")]
use linux::{leave, processor};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::Away;
#[cfg(not(target_os = "linux"))]
use other::{leave, processor};

#[cfg(target_os = "linux")]
mod linux {
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// A place for a process that is about to be forked.
    #[derive(Debug)]
    pub(crate) struct Away {
        /// Where this thread may run.
        allowed: CpuSet,
        /// The same without where it runs now.
        others: CpuSet,
    }

    impl Away {
        /// `None` if there is nowhere else to go.
        pub(crate) fn from_here() -> Option<Self> {
            let allowed = sched_getaffinity(None).ok()?;
            let mut others = allowed;
            others.unset(sched_getcpu());
            (others.count() > 0).then_some(Self { allowed, others })
        }

        /// Sends it there.
        pub(crate) fn send(&self, pid: i32) {
            let _ = sched_setaffinity(Pid::from_raw(pid), &self.others);
        }

        /// To be called by who was sent: from here on it may be moved as before.
        pub(crate) fn arrived(&self) {
            let _ = sched_setaffinity(None, &self.allowed);
        }
    }

    pub(super) fn processor() -> usize {
        sched_getcpu()
    }

    /// Moves this thread away from a processor, if it is there and there is another one.
    pub(super) fn leave(processor: usize) {
        if sched_getcpu() != processor {
            return;
        }
        if let Some(away) = Away::from_here()
            && sched_setaffinity(None, &away.others).is_ok()
        {
            away.arrived();
        }
    }
}

/// Elsewhere the placing is left to the system.
#[cfg(not(target_os = "linux"))]
mod other {
    #[derive(Debug)]
    pub(crate) struct Away;

    impl Away {
        pub(crate) fn from_here() -> Option<Self> {
            None
        }

        pub(crate) fn send(&self, _: i32) {}

        pub(crate) fn arrived(&self) {}
    }

    pub(super) fn processor() -> usize {
        0
    }

    pub(super) fn leave(_: usize) {}
}

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
