//! Everything that differs between platforms, and all unsafe code of the crate.

#[cfg(unix)]
mod unix;
#[cfg(target_os = "linux")]
mod linux;
