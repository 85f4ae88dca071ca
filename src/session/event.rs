//! What a session tells, to embedders and to the terminal.

use crate::supervise::SupervisorExit;
use crate::watch::Summary;
use crate::{supervise, watch};

/// What a session tells, to embedders and to the terminal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The watches are in place: a change made from now on is seen. The first event, before the first start.
    Watching(Summary),
    /// From the watch room.
    Watch(watch::Event),
    /// From the supervise room.
    Child(supervise::Event),
    /// From the proxy.
    #[cfg(feature = "proxy")]
    Proxy(crate::proxy::Event),
    /// The session has ended; nothing of the child's tree lives. The last event.
    Ended(SupervisorExit),
}
