//! The proxy: every byte passes, and no client sees a restart.

/// A real browser: pages reload, error pages come and go, tabs share a stream.
mod browser;
/// The program with few file descriptors and many clients.
#[cfg(all(unix, feature = "cli"))]
mod descriptors;
/// Broken servers and hostile clients.
mod faults;
/// Clients that close their sending side: they count as gone.
mod half_closed;
/// Requests that end early, and answers that come before the request was read.
mod half_sent;
/// URLs of the server in its heads, large and odd heads, refused requests.
mod heads;
/// Many clients, slow clients: what the proxy holds for them is bounded.
mod load;
/// What is put into pages, the proxy's own answers, and who may ask for its own paths.
mod pages;
/// Bodies, trailers, upgrades, odd but valid messages pass byte for byte.
mod pass_through;
/// Event streams, long polls and streamed answers when a newer generation is ready.
mod push;
/// Requests are held, responses drained, streams sent to the next generation.
mod restarts;
