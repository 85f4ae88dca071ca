//! Says in one sentence where devrun cannot be built, instead of leaving that to a hundred errors. Holds nothing else.

#[cfg(not(unix))]
compile_error!(
    "devrun stands on Unix processes and sockets; on Windows build and run it inside WSL: `wsl --install`"
);
