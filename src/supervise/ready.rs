//! Whether a generation serves yet.
