//! The child's output: passed on, and its tail kept.
