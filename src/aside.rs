//! A second thread or process for one piece of work, on another processor than the first.
//!
//! The kernel starts it beside its maker unless another processor is idle, and on a virtual machine does not take one
//! that its host has put to sleep for idle (`available_idle_cpu` and `vcpu_is_preempted` in Linux): the two would then
//! take turns for some milliseconds. The placing may be in vain, and never fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Starts a thread that works beside this one.
///
/// # Errors
/// If the system starts none.
pub(crate) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let away = Away::from_here();
    let arrival = away.as_ref().map(Away::arrival);
    let is_there = Arc::new(AtomicBool::new(false));
    let arrives = Arc::clone(&is_there);
    let arrived = move || {
        arrives.store(true, Ordering::SeqCst);
        arrival.inspect(Arrival::arrived);
        work();
    };
    let started = Builder::new().name(name.to_owned()).spawn(arrived)?;
    if let Some(away) = away {
        away.send_thread(&started, &is_there);
    }
    Ok(started)
}

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
mod os;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Arrival, Away};
#[cfg(target_os = "linux")]
use linux::{leave, processor};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Arrival, Away};
#[cfg(not(target_os = "linux"))]
use other::{leave, processor};

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;

    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    use crate::aside::os::{self, Patience};

    /// A place for who is about to be made by this thread, who waits until it is sent there.
    #[derive(Debug)]
    pub(crate) struct Away {
        /// Where this thread may run.
        allowed: CpuSet,
        /// The same without where it runs now.
        others: CpuSet,
        patience: Option<Patience>,
    }

    /// What who was sent away makes of itself again.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Arrival {
        allowed: CpuSet,
        was_patient: bool,
    }

    impl Away {
        /// `None` if there is nowhere else to go.
        pub(crate) fn from_here() -> Option<Self> {
            let (allowed, others) = allowed_and_others()?;
            Some(Self { allowed, others, patience: Patience::begin() })
        }

        /// For whoever is sent.
        pub(crate) fn arrival(&self) -> Arrival {
            Arrival { allowed: self.allowed, was_patient: self.patience.is_some() }
        }

        /// Sends a process that was forked.
        pub(crate) fn send(self, pid: i32) {
            let _ = sched_setaffinity(Pid::from_raw(pid), &self.others);
        }

        /// Sends a thread that was started and says when it is there.
        pub(super) fn send_thread<T>(self, thread: &JoinHandle<T>, is_there: &AtomicBool) {
            os::send(thread, &self.others);
            // It may have been quicker, and what was just done the last that was done to it.
            if is_there.load(Ordering::SeqCst) {
                os::send(thread, &self.allowed);
            }
        }
    }

    impl Arrival {
        /// From here on it may be moved as before.
        pub(crate) fn arrived(&self) {
            let _ = sched_setaffinity(None, &self.allowed);
            if self.was_patient {
                os::be_usual();
            }
        }
    }

    /// Where this thread may run, and that without where it runs now.
    fn allowed_and_others() -> Option<(CpuSet, CpuSet)> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut others = allowed;
        others.unset(sched_getcpu());
        (others.count() > 0).then_some((allowed, others))
    }

    pub(super) fn processor() -> usize {
        sched_getcpu()
    }

    /// Moves this thread away from a processor, if it is there and there is another one.
    pub(super) fn leave(processor: usize) {
        if sched_getcpu() != processor {
            return;
        }
        if let Some((allowed, others)) = allowed_and_others() {
            let _ = sched_setaffinity(None, &others);
            let _ = sched_setaffinity(None, &allowed);
        }
    }
}

/// Elsewhere the placing is left to the system.
#[cfg(not(target_os = "linux"))]
mod other {
    use std::sync::atomic::AtomicBool;
    use std::thread::JoinHandle;

    #[derive(Debug)]
    pub(crate) struct Away;

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Arrival;

    impl Away {
        pub(crate) fn from_here() -> Option<Self> {
            None
        }

        pub(crate) fn arrival(&self) -> Arrival {
            Arrival
        }

        pub(crate) fn send(self, _: i32) {}

        pub(super) fn send_thread<T>(self, _: &JoinHandle<T>, _: &AtomicBool) {}
    }

    impl Arrival {
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
    fn a_thread_may_run_wherever_its_maker_may_whoever_is_quicker() {
        use rustix::thread::sched_getaffinity;

        let allowed = sched_getaffinity(None).unwrap();
        for number in 0..500u32 {
            let (say, said) = std::sync::mpsc::channel();
            let (go, wait) = std::sync::mpsc::channel::<()>();
            let work = move || {
                // Some have ended before their maker knows that they have begun.
                if number % 2 == 0 {
                    let _ = wait.recv();
                    say.send(sched_getaffinity(None).unwrap()).unwrap();
                }
            };
            let thread = super::thread("aside", work).unwrap();
            let _ = go.send(());
            if number % 2 == 0 {
                assert_eq!(said.recv().unwrap(), allowed);
            }
            thread.join().unwrap();
            assert_eq!(sched_getaffinity(None).unwrap(), allowed);
        }
    }

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
