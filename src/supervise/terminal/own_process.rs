//! How this process stops or ends as if the terminal had asked for it.

use crate::supervise::signal::Signal;
use crate::supervise::sys;

/// Whether this process may read from the terminal on its standard input.
#[must_use]
pub fn in_foreground() -> bool {
    sys::terminal::is_in_foreground()
}

/// Unblocks all signals in this thread. A program whose caller had blocked a signal could not be ended by it. Call
/// this before the program starts threads, which inherit the mask.
pub fn unblock_signals() {
    sys::signals::unblock_all();
}

/// Ends this process by a signal as if it had never been caught, so that a shell sees the true status.
/// Returns only if the signal does not end it: then exit with 128 plus its number.
pub fn die_by(signal: Signal) {
    sys::terminal::die_by(signal);
}

/// Stops this process, as Ctrl-Z stops a program that does not catch it; returns when it continues.
pub fn stop_self() {
    sys::terminal::stop_self();
}

/// Stops this process and the rest of its group, as Ctrl-Z does. For when the child owns the terminal, so
/// that only the child has noticed Ctrl-Z. Returns when this process continues.
pub fn stop_group() {
    sys::terminal::stop_rest_of_group();
    sys::terminal::stop_self();
}

/// Whether this process ignores a signal, as `nohup` asks for, or a shell that starts it with `&`. Ask before
/// the program installs handlers.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    sys::terminal::is_ignored(signal)
}
