//! Refuses to build on unsupported systems, with one sentence instead of many errors.

#[cfg(not(unix))]
compile_error!(
    "devrun needs Unix processes and sockets; on Windows, build and run it inside WSL: `wsl --install`"
);
