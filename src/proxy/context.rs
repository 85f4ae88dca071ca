//! What all connections of a proxy share.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hyper::header::HeaderValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::ConnectionSlots;
use super::event::EventSender;
use super::gate::Gate;
use super::options::Options;
use crate::GenerationId;

/// What all connections of a proxy share.
#[derive(Debug)]
pub(super) struct ProxyContext {
    gate: Gate,
    events: EventSender,
    /// All tasks of the proxy. It has ended when there are none.
    tasks: TaskTracker,
    /// Cancelled when no new request is accepted.
    stop: CancellationToken,
    /// Cancelled when requests in flight are cut.
    kill: CancellationToken,
    slots: ConnectionSlots,
    /// Differs from the tokens of all other proxies, also of those in other processes.
    token: String,
    /// Value of the `Via` header.
    via: HeaderValue,
    answer_timeout: Option<Duration>,
    live_reload: bool,
    forwarded: bool,
    allowed_hosts: Vec<String>,
}

impl ProxyContext {
    pub(super) fn new(options: Options, events: EventSender) -> Self {
        let token = unique_token();
        let via = HeaderValue::try_from(format!("1.1 devrun-{token}"));
        Self {
            gate: Gate::new(options.hold_limit, options.hold_timeout, events.clone()),
            events,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            slots: ConnectionSlots::new(options.connection_limit, options.addresses.len()),
            via: via.unwrap_or(HeaderValue::from_static("1.1 devrun")),
            token,
            answer_timeout: options.answer_timeout,
            live_reload: options.live_reload,
            forwarded: options.forwarded,
            allowed_hosts: options.allowed_hosts,
        }
    }

    /// Stops accepting, answers waiting requests and ends event streams.
    pub(super) fn begin_stop(&self) {
        self.stop.cancel();
        self.gate.close();
    }

    /// Cuts all connections.
    pub(super) fn kill(&self) {
        self.kill.cancel();
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn events(&self) -> &EventSender {
        &self.events
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn slots(&self) -> &ConnectionSlots {
        &self.slots
    }

    /// Cancelled by [`ProxyContext::begin_stop`].
    pub(super) fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Cancelled by [`ProxyContext::kill`].
    pub(super) fn kill_token(&self) -> &CancellationToken {
        &self.kill
    }

    /// The proxy's own value of the `Via` header.
    pub(super) fn via(&self) -> &HeaderValue {
        &self.via
    }

    pub(super) fn answer_timeout(&self) -> Option<Duration> {
        self.answer_timeout
    }

    pub(super) fn has_live_reload(&self) -> bool {
        self.live_reload
    }

    /// Whether the upstream is told where a request came from.
    pub(super) fn adds_forwarded(&self) -> bool {
        self.forwarded
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
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
    }
}

/// A token that differs between any two proxies. It is no secret.
fn unique_token() -> String {
    // Each `RandomState` has different keys, so two proxies of one process differ too.
    let seed = (SystemTime::now(), std::process::id());
    format!("{:016x}", std::hash::RandomState::new().hash_one(seed))
}
