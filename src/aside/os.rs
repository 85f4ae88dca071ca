//! How Linux places who is made: what only the C library asks it for.

#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

use rustix::thread::CpuSet;

/// While it lives, who is made by this thread waits for a turn and does not take the place of its maker at once: the batch policy
/// (sched(7)), which those who are made inherit, lets nobody do so. It changes nothing else that matters for some microseconds.
#[derive(Debug)]
pub(super) struct Patience(());

impl Patience {
    /// `None` for a thread that has been given another policy than the usual one.
    pub(super) fn begin() -> Option<Self> {
        // Made only then: whoever drops it takes the usual policy.
        (policy() == libc::SCHED_OTHER && set_policy(libc::SCHED_BATCH)).then(|| Self(()))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        be_usual();
    }
}

/// Takes the usual policy, for this thread.
pub(super) fn be_usual() {
    set_policy(libc::SCHED_OTHER);
}

fn policy() -> libc::c_int {
    // SAFETY: plain system call about this thread.
    unsafe { libc::sched_getscheduler(0) }
}

fn set_policy(policy: libc::c_int) -> bool {
    // SAFETY: 0 is the only priority that these policies have, and the type has nothing else on some systems but padding.
    let plain: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: plain system call about this thread.
    unsafe { libc::sched_setscheduler(0, policy, &plain) == 0 }
}

/// Sends a thread to some processors, at best before it has begun. One that has ended may be taken for this thread, which then has to be
/// sent back.
pub(super) fn send<T>(thread: &JoinHandle<T>, processors: &CpuSet) {
    // SAFETY: an empty set is all zeros, and no number in it is greater than it has room for.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let room = 8 * size_of::<libc::cpu_set_t>();
        (0..CpuSet::MAX_CPU.min(room))
            .filter(|cpu| processors.is_set(*cpu))
            .for_each(|cpu| libc::CPU_SET(cpu, &mut set));
        set
    };
    // The C libraries have different types for it.
    #[allow(clippy::unnecessary_cast)]
    let thread = thread.as_pthread_t() as libc::pthread_t;
    // SAFETY: the handle is that of a thread that was not joined yet.
    unsafe { libc::pthread_setaffinity_np(thread, size_of_val(&set), &set) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_patient_for_a_while_and_leaves_another_policy_alone() {
        // A thread of its own: the policy is the thread's.
        let patient = || {
            let patience = Patience::begin();
            let meanwhile = (patience.is_some(), policy());
            drop(patience);
            (meanwhile, policy())
        };
        let usual = std::thread::spawn(move || {
            be_usual();
            patient()
        });
        assert_eq!(usual.join().unwrap(), ((true, libc::SCHED_BATCH), libc::SCHED_OTHER));
        for given in [libc::SCHED_BATCH, libc::SCHED_IDLE] {
            let other = std::thread::spawn(move || {
                assert!(set_policy(given));
                patient()
            });
            assert_eq!(other.join().unwrap(), ((false, given), given));
        }
    }
}
