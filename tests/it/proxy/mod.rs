//! The proxy: it forwards every byte, and no client notices a restart.

/// A real browser: page reloads, error pages, tabs that share a stream.
mod browser;
/// The program with few file descriptors and many clients.
#[cfg(all(unix, feature = "cli"))]
mod descriptors;
/// Broken servers and hostile clients.
mod faults;
/// Clients that close their sending side, which the proxy treats as gone.
mod half_closed;
/// Requests that end early, and answers that arrive before the request was read.
mod half_sent;
/// URLs of the server in its heads, large and odd heads, refused requests.
mod heads;
/// Many clients and slow clients: the proxy's resources for them are bounded.
mod load;
/// The script that the proxy adds to pages, its error pages, and the access to its own paths.
mod pages;
/// Bodies, trailers, upgrades and unusual valid messages, which the proxy forwards byte for byte.
mod pass_through;
/// Event streams, long polls and streamed answers when a newer generation is ready.
mod push;
/// Requests are held, responses drained, streams sent to the next generation.
mod restarts;
