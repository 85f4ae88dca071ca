//! What all connections of a proxy share.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::SystemTime;

use hyper::header::HeaderValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::ConnectionSlots;
use super::event::EventSender;
use super::gate::Gate;
use super::proxy::Options;
use crate::GenerationId;

/// What all connections of a proxy share.
#[derive(Debug)]
pub(super) struct ProxyContext {
    pub(super) options: Options,
    pub(super) gate: Gate,
    pub(super) events: EventSender,
    /// All tasks of the proxy. It has ended when there are none.
    pub(super) tasks: TaskTracker,
    pub(super) slots: ConnectionSlots,
    /// Cancelled when no new request is accepted.
    pub(super) stop: CancellationToken,
    /// Cancelled when requests in flight are cut.
    pub(super) kill: CancellationToken,
    /// The proxy's own value of the `Via` header.
    pub(super) via: HeaderValue,
    /// Differs between any two proxies, also of different processes. The token is no secret.
    token: String,
}

impl ProxyContext {
    pub(super) fn new(options: Options, events: EventSender) -> Self {
        // Each `RandomState` has different keys, so two proxies of one process differ too.
        let seed = (SystemTime::now(), std::process::id());
        let token = format!("{:016x}", std::hash::RandomState::new().hash_one(seed));
        let via = HeaderValue::try_from(format!("1.1 devrun-{token}"));
        Self {
            gate: Gate::new(options.hold_limit, options.hold_timeout, events.clone()),
            events,
            tasks: TaskTracker::new(),
            slots: ConnectionSlots::new(options.connection_limit, options.addresses.len()),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            via: via.unwrap_or(HeaderValue::from_static("1.1 devrun")),
            token,
            options,
        }
    }

    /// Stops accepting, answers waiting requests and ends event streams.
    pub(super) fn begin_stop(&self) {
        self.stop.cancel();
        self.gate.close();
    }

    /// Identity of the pages that a generation served.
    pub(super) fn page_id(&self, generation: GenerationId) -> String {
        format!("{}-{generation}", self.token)
    }

    /// Whether devrun answers its own paths under this host name: one that DNS rebinding cannot reach.
    pub(super) fn is_allowed_host(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.options.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
    }
}
