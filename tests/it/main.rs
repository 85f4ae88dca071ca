//! The one integration binary: a module per promise, a sentence each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

/// The harness: temporary directories, a clean environment, conditions with deadlines.
mod sandbox;
/// The import order and the doors of the house.
mod tidy;
