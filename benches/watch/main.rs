//! Cost of a watch compared with notify's own watchers: start-up time, memory, and CPU time of a scan.
//!
//! Both run on the same trees. Prints a table and asserts nothing, because machines differ.
//!
//! `cargo bench --bench watch -- [FILES]...` (default: 1000 10000 100000). Each size also runs with 90 % of
//! the files ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[cfg(target_os = "linux")]
mod measure;

#[cfg(target_os = "linux")]
fn main() {
    measure::run();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this benchmark reads /proc, so it runs on Linux only");
}
