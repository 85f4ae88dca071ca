//! Facts about the running system, read from `/proc`: the limits of inotify, and which process holds a port.

pub(crate) mod inotify;
pub(crate) mod ports;
