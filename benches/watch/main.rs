//! Watching, measured beside notify's own ways on the same trees in the same run: time to be watching, memory,
//! one scan. Prints times and sizes; nothing is asserted, since machines differ.
//!
//! `cargo bench --bench watch -- [FILES]...` (default 1000 10000 100000); each size also with 90 % ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[cfg(target_os = "linux")]
mod measure;

#[cfg(target_os = "linux")]
fn main() {
    measure::run();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("what watching costs is read from /proc: on Linux alone");
}
