//! Options of the proxy: its addresses and its limits.

use std::net::SocketAddr;
use std::time::Duration;

/// Addresses and limits of the proxy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Addresses on which clients connect. All of them serve the same, as `localhost` stands for two
    /// addresses.
    ///
    /// Port 0 stands for a free port, the same one for all addresses with port 0. If the list is empty there
    /// is no proxy: devrun only answers on the sockets of [`super::Handle::answer_on`].
    pub addresses: Vec<SocketAddr>,
    /// Maximum time for which a request waits for a generation. After that it is answered with 503 and
    /// `Retry-After`.
    pub hold_timeout: Duration,
    /// Maximum number of waiting requests. Further ones are answered with 503 and `Retry-After`.
    pub hold_limit: usize,
    /// Maximum time from the last byte of a request to the head of its response; after that the answer is
    /// 504. `None`: no limit.
    pub answer_timeout: Option<Duration>,
    /// Maximum number of client connections. At the limit the proxy closes idle ones, the longest idle first;
    /// new ones wait in the kernel's backlog.
    pub connection_limit: usize,
    /// Whether HTML pages get the script of live reload.
    pub live_reload: bool,
    /// Whether requests get `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. If not, the
    /// client's own headers of these names pass unchanged.
    pub forwarded: bool,
    /// Host names under which devrun answers its own paths (`/__devrun/…`), besides IP addresses, `localhost`
    /// and names below it. The check stops pages of other sites from reading them by DNS rebinding.
    pub allowed_hosts: Vec<String>,
}

impl Options {
    /// The default limits for these addresses.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            addresses,
            hold_timeout: Duration::from_secs(60),
            hold_limit: 1000,
            answer_timeout: None,
            connection_limit: 10_000,
            live_reload: true,
            forwarded: true,
            allowed_hosts: Vec::new(),
        }
    }
}
