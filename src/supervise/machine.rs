//! Pure: inputs and time in, actions out. No tokio, no libc.
