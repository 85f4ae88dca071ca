//! Facts about the running system from `/proc`: the limits of inotify, and which process uses a port.

pub(crate) mod control_directory;
pub(crate) mod inotify;
pub(crate) mod ports;
