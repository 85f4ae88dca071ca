//! Locks that are held for microseconds, by threads that share one piece of work.
//!
//! Who sleeps for such a lock is woken on the processor of who wakes it, and takes its place there while another processor
//! has nothing to do: two threads then get no more done than one, until the kernel balances them some milliseconds later.
//! So they are waited for awake, for a while.

use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, TryLockResult,
};
use std::time::{Duration, Instant};

/// So often it is tried before the thread goes to sleep all the same: some tens of microseconds. Between two tries another
/// thread may run, so that nothing is lost where there is one processor.
const TRIES: u32 = 100;

/// Locks a mutex.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    awake(|| got(mutex.try_lock())).unwrap_or_else(|| mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Locks for reading.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    awake(|| got(lock.try_read())).unwrap_or_else(|| lock.read().unwrap_or_else(PoisonError::into_inner))
}

/// Locks for writing.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    awake(|| got(lock.try_write())).unwrap_or_else(|| lock.write().unwrap_or_else(PoisonError::into_inner))
}

/// What it is tried to get, unless that takes too long to stay awake for.
pub(crate) fn awake<T>(mut try_it: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..TRIES {
        match try_it() {
            None => std::thread::yield_now(),
            got => return got,
        }
    }
    None
}

/// The same for something that comes once, within this time if all goes well.
pub(crate) fn awake_for<T>(time: Duration, mut try_it: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match try_it() {
            None if begun.elapsed() < time => std::thread::yield_now(),
            got => return got,
        }
    }
}

fn got<G>(tried: TryLockResult<G>) -> Option<G> {
    match tried {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
