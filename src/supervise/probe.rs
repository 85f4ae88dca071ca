//! When to look again at a tree, and what is looked for in the tree of a generation that is not ready: whether it waits on
//! the socket that it inherited, or listens elsewhere than on its own port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub(super) use super::os::listening::{addresses, waits_on};

/// The first pause between two looks at a tree whose leader has ended; it doubles up to [`LAST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// How long a process that has its inherited socket open, but is not seen waiting on it, is doubted.
pub(super) const DOUBT: Duration = Duration::from_secs(5);
/// When to begin to look whether a server listens elsewhere, how often, and how long it must have done so: what opens first
/// may be a debugger's port.
pub(super) const ELSEWHERE_FIRST: Duration = Duration::from_millis(300);
pub(super) const ELSEWHERE_PAUSE: Duration = Duration::from_millis(100);
const ELSEWHERE_STEADY: Duration = Duration::from_millis(500);
/// Ports of debuggers: node's inspector, debugpy.
const DEBUGGERS: [u16; 2] = [9229, 5678];

/// When to look next whether a tree is gone.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pause: Duration,
}

impl Look {
    pub(super) fn now(now: Instant) -> Self {
        Self { at: now, pause: FIRST_LOOK }
    }

    pub(super) fn later(&mut self, now: Instant) {
        self.at = now + self.pause;
        self.pause = (self.pause * 2).min(LAST_LOOK);
    }
}

/// What is looked for in the tree of a generation that is not ready.
#[derive(Debug)]
pub(super) enum Probe {
    /// One of its processes waits on this socket.
    Waits { inode: u64, look: Look },
    /// It listens, but not on its own port.
    Elsewhere { port: u16, at: Instant, seen: Option<(SocketAddr, Instant)> },
}

impl Probe {
    pub(super) fn at(&self) -> Instant {
        match self {
            Self::Waits { look, .. } => look.at,
            Self::Elsewhere { at, .. } => *at,
        }
    }
}

/// The address that a tree listens on besides its own port, once it has done so for a while.
pub(super) fn steady(
    mut found: Vec<SocketAddr>,
    port: u16,
    held: &[SocketAddr],
    seen: &mut Option<(SocketAddr, Instant)>,
    now: Instant,
) -> Option<SocketAddr> {
    if found.iter().any(|address| address.port() == port) {
        // Where it should be: whether it serves already is another question.
        *seen = None;
        return None;
    }
    found.retain(|address| !held.contains(address) && !DEBUGGERS.contains(&address.port()));
    let address = *found.first()?;
    match seen {
        Some((known, since)) if *known == address => {
            (now.saturating_duration_since(*since) >= ELSEWHERE_STEADY).then(|| reachable(address))
        }
        _ => {
            *seen = Some((address, now));
            None
        }
    }
}

/// An address to connect to: a server on all interfaces is reached by loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        // Most often it takes IPv4 too, but not always.
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Not to be known here: the doubt ends by its time.
#[cfg(not(target_os = "linux"))]
pub(super) fn waits_on(_pids: &[i32], _inode: u64) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn addresses(_pids: &[i32]) -> Vec<SocketAddr> {
    Vec::new()
}
