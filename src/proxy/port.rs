//! What all connections of a proxy share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::Teller;
use super::gate::Gate;
use super::options::Options;

/// How long a place is waited for before a connection is asked to close.
const CROWDED_PAUSE: Duration = Duration::from_millis(1);

/// Descriptors that are left for everything but clients and their server connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// What all connections of a proxy share.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) gate: Gate,
    pub(super) teller: Teller,
    /// Every connection, bridge and report; the proxy has ended when it is empty.
    pub(super) tasks: TaskTracker,
    /// No new requests.
    pub(super) stop: CancellationToken,
    /// No old ones either.
    pub(super) kill: CancellationToken,
    /// The connections there may be yet.
    pub(super) room: Arc<Semaphore>,
    /// Somebody waits for a connection to close.
    pub(super) crowded: Notify,
    /// Tells this proxy from all others, those of other devruns included.
    pub(super) token: String,
    /// Its line in `Via`.
    pub(super) via: HeaderValue,
    pub(super) answer_timeout: Option<Duration>,
    pub(super) live_reload: bool,
    pub(super) allowed_hosts: Vec<String>,
}

impl Port {
    pub(super) fn new(options: Options, teller: Teller) -> Self {
        let token = token();
        let via = HeaderValue::try_from(format!("1.1 devrun-{token}"));
        Self {
            gate: Gate::new(options.hold_limit, options.hold_timeout, teller.clone()),
            teller,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            // Who accepts on an address holds a place while it waits.
            room: Arc::new(Semaphore::new(
                options
                    .connection_limit
                    .min(affordable())
                    .saturating_add(options.addresses.len())
                    .clamp(1, Semaphore::MAX_PERMITS),
            )),
            crowded: Notify::new(),
            via: via.unwrap_or(HeaderValue::from_static("1.1 devrun")),
            token,
            answer_timeout: options.answer_timeout,
            live_reload: options.live_reload,
            allowed_hosts: options.allowed_hosts,
        }
    }

    /// Waits for a place for one more connection.
    pub(super) async fn make_room(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let place = Arc::clone(&self.room).acquire_owned();
            if let Ok(place) = tokio::time::timeout(CROWDED_PAUSE, place).await {
                return place.ok();
            }
            // Each asks the connection that has waited longest, whether busy or not.
            self.crowded.notify_one();
        }
    }

    /// What a page of this generation is known by.
    pub(super) fn page_id(&self, generation: u64) -> String {
        format!("{}-{generation}", self.token)
    }

    /// Whether devrun's own paths may be asked for under this name: one that cannot be rebound by a stranger.
    pub(super) fn knows_host(&self, host: &str) -> bool {
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

/// How many clients can have their descriptors, each one for itself and one towards the server: who is accepted must not
/// fail for want of them.
fn affordable() -> usize {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit = None;
    let clients = |limit: u64| limit.saturating_sub(OTHER_DESCRIPTORS.min(limit / 2)) / 2;
    limit.map_or(usize::MAX, |limit| usize::try_from(clients(limit)).unwrap_or(usize::MAX))
}

/// Differs between any two proxies: only told apart by it, nothing is kept secret with it.
fn token() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let number = (time.as_nanos() as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(u64::from(std::process::id()) << 32)
        .wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{number:016x}")
}
