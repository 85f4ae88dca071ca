//! The port and its limits: plain data.

use std::net::SocketAddr;
use std::time::Duration;

/// The port and its limits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Where clients connect: all of these serve the same (`localhost` is two of them). Port 0: a free one, the same for all
    /// that ask for 0. Empty: no proxy, only answers on sockets given by [`super::Handle::answer_on`].
    pub addresses: Vec<SocketAddr>,
    /// How long a request is held while nothing is ready; then 503 with `Retry-After`.
    pub hold_timeout: Duration,
    /// How many requests are held at most; beyond that 503 with `Retry-After`.
    pub hold_limit: usize,
    /// How long the server may take to the first byte of an answer, counted from the last byte of the request; then 504.
    /// `None`: as long as it wants.
    pub answer_timeout: Option<Duration>,
    /// How many connections of clients there may be. Beyond, idle ones are closed, the longest idle first, and new ones
    /// wait in the kernel's queue.
    pub connection_limit: usize,
    /// Put the live-reload script into HTML answers.
    pub live_reload: bool,
    /// Names under which devrun's own paths (`/__devrun/…`) may be asked for, besides loopback names, IP addresses and
    /// names below `localhost`: without this check a page of any site could read them by rebinding its name.
    pub allowed_hosts: Vec<String>,
}

impl Options {
    /// The defaults for some addresses.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            addresses,
            hold_timeout: Duration::from_secs(60),
            hold_limit: 1000,
            answer_timeout: None,
            connection_limit: 10_000,
            live_reload: true,
            allowed_hosts: Vec::new(),
        }
    }
}
