//! How a process that could not become its program says so to the one that has started it.

use std::io;

/// Linux: the child borrows our memory, and this thread goes on only when it has executed or ended. It leaves its word there.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Where it was, and the number of the error; 0 for nothing.
    said: std::sync::atomic::AtomicU64,
}

#[cfg(target_os = "linux")]
impl Report {
    pub(super) fn new(_least: i32) -> io::Result<Self> {
        Ok(Self::default())
    }

    /// For the child: async-signal-safe.
    pub(super) fn say(&self, stage: u8, number: i32) {
        let said = u64::from(stage) << 32 | u64::from(number.unsigned_abs());
        self.said.store(said, std::sync::atomic::Ordering::SeqCst);
    }

    /// What the child has said before it gave up; `None` once it has executed.
    pub(super) fn heard(self) -> Option<(u8, io::Error)> {
        let said = self.said.into_inner();
        (said != 0).then(|| ((said >> 32) as u8, io::Error::from_raw_os_error(said as i32)))
    }
}

/// Elsewhere: a pipe that the program's start closes.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Report {
    read: std::os::fd::OwnedFd,
    write: std::os::fd::OwnedFd,
}

#[cfg(not(target_os = "linux"))]
impl Report {
    /// No descriptor of it is less than this where the child sees it.
    pub(super) fn new(least: i32) -> io::Result<Self> {
        let (read, low) = super::unix::pipe()?;
        // The end of the pipe says that the program runs: no other copy stays open here.
        let write = super::unix::duplicate_high(&low, least)?;
        Ok(Self { read, write })
    }

    /// For the child: async-signal-safe.
    pub(super) fn say(&self, stage: u8, number: i32) {
        let digits = number.to_ne_bytes();
        let message = [stage, digits[0], digits[1], digits[2], digits[3]];
        // Nobody is left to be told that it failed.
        let _ = rustix::io::write(&self.write, &message);
    }

    /// What the child has said before it gave up; `None` once it has executed.
    pub(super) fn heard(self) -> Option<(u8, io::Error)> {
        drop(self.write);
        let mut message = [0_u8; 5];
        loop {
            match rustix::io::read(&self.read, &mut message) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(5) => {
                    let number = i32::from_ne_bytes([message[1], message[2], message[3], message[4]]);
                    return Some((message[0], io::Error::from_raw_os_error(number)));
                }
                _ => return None,
            }
        }
    }
}
