//! What a session reports to its owner.

use crate::supervise::SupervisorExit;
use crate::watch::Summary;
use crate::{supervise, watch};

/// What a session reports to its owner.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The watches are in place: a change from now on is seen. This is the first event, sent before the first start of
    /// the command. It comes again after [`Handle::rewatch`](super::Handle::rewatch).
    Watching(Summary),
    /// An event of the watch.
    Watch(watch::Event),
    /// An event of the supervisor.
    Child(supervise::Event),
    /// An event of the proxy.
    #[cfg(feature = "proxy")]
    Proxy(crate::proxy::Event),
    /// The session has ended, and no process of the command lives. This is the last event.
    Ended(SupervisorExit),
}
