//! How a process that could not become its program says so to the one that has started it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::unix::{duplicate_high, pipe};

/// The child has begun, in the memory of this process.
const BEGAN: u64 = 1 << 63;

/// What a child leaves for us before it gives up: in our memory, which it borrows on Linux, so that nobody has to be woken for it;
/// and in a pipe that the program's start closes, for where it has a copy of our memory. Emulators make one where Linux does not.
#[derive(Debug)]
pub(super) struct Report {
    /// Whether it has begun, where it was, and the number of the error.
    said: AtomicU64,
    read: OwnedFd,
    write: OwnedFd,
}

impl Report {
    /// No descriptor of it is less than `least` where the child sees it.
    pub(super) fn new(least: RawFd) -> io::Result<Self> {
        let (read, low) = pipe()?;
        // The end of the pipe says that the program runs: no other copy stays open here.
        Ok(Self { said: AtomicU64::new(0), read, write: duplicate_high(&low, least)? })
    }

    /// For the child, first of all: async-signal-safe.
    pub(super) fn begin(&self) {
        self.said.store(BEGAN, Ordering::SeqCst);
    }

    /// For the child: async-signal-safe.
    pub(super) fn say(&self, stage: u8, number: i32) {
        self.said.store(BEGAN | u64::from(stage) << 32 | u64::from(number as u32), Ordering::SeqCst);
        let digits = number.to_ne_bytes();
        let message = [stage, digits[0], digits[1], digits[2], digits[3]];
        // SAFETY: the message is five bytes. Nobody is left to be told that it failed.
        unsafe { libc::write(self.write.as_raw_fd(), message.as_ptr().cast(), message.len()) };
    }

    /// What the child has said before it gave up; `None` once it has executed.
    pub(super) fn heard(self) -> Option<(u8, io::Error)> {
        let said = self.said.into_inner();
        if said & BEGAN != 0 {
            let said = said & !BEGAN;
            return (said != 0).then(|| ((said >> 32) as u8, io::Error::from_raw_os_error(said as i32)));
        }
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
