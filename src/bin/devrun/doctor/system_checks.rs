//! Checks the limits of inotify, and whether the addresses of `--proxy` and `--listen` are free.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use devrun::supervise::{Endpoint, Port};

use super::diagnose::{Finding, failure, good, note, warning};
use crate::config::{Settings, shown_endpoint};
use crate::system::inotify::{self, Limit};
use crate::system::ports::{self, PortConflict};

/// Queue length below which a large burst is likely to overflow the queue.
const SMALL_QUEUE: u64 = 8192;

/// Checks each limit.
pub(super) fn limits() -> Vec<Finding> {
    let Some(limits) = inotify::limits() else {
        let message = "this system has no inotify: devrun uses the events that the system has";
        return vec![note("inotify", message)];
    };
    let watches = check_use(
        "inotify-watches",
        limits.watches,
        "watched directories",
        "raise the limit: sudo sysctl fs.inotify.max_user_watches=1048576\n\
         permanently: echo fs.inotify.max_user_watches=1048576 | sudo tee /etc/sysctl.d/60-inotify.conf",
    );
    let instances = check_use(
        "inotify-instances",
        limits.instances,
        "inotify instances",
        "raise the limit: sudo sysctl fs.inotify.max_user_instances=1024",
    );
    vec![watches, instances, check_queue(limits.queue)]
}

/// Warns from 90 % of a limit.
fn check_use(id: &'static str, limit: Limit, noun: &str, remedy: &str) -> Finding {
    let message = format!("{} of {} {noun} are in use by your programs", limit.used, limit.limit);
    if limit.used.saturating_mul(10) >= limit.limit.saturating_mul(9) {
        warning(id, message).with_remedy(remedy)
    } else {
        good(id, message)
    }
}

fn check_queue(length: u64) -> Finding {
    if length >= SMALL_QUEUE {
        return good("inotify-queue", format!("the queue holds {length} events"));
    }
    let message =
        format!("the queue holds only {length} events: after a large burst devrun rescans (nothing is lost)");
    note("inotify-queue", message)
        .with_remedy("raise the limit: sudo sysctl fs.inotify.max_queued_events=16384")
}

/// Checks each address, and whether a fixed upstream address is still free.
pub(super) fn addresses(settings: &Settings) -> Vec<Finding> {
    let addresses = settings.session.proxy.iter().flat_map(|proxy| &proxy.addresses);
    let proxy = addresses.map(|address| port("--proxy", *address, ports::try_bind(*address, "tcp")));
    let listen = settings.session.supervise.listen.iter().filter_map(|listen| match &listen.endpoint {
        Endpoint::Tcp(address) => Some(port("--listen", *address, ports::try_bind(*address, "tcp"))),
        Endpoint::Udp(address) => Some(port("--listen udp", *address, ports::try_bind(*address, "udp"))),
        Endpoint::Unix(path) => Some(unix_socket(path, &shown_endpoint(&listen.endpoint))),
        _ => None,
    });
    let upstream = match settings.session.supervise.port {
        Port::Fixed(upstream) => fixed_upstream(upstream),
        _ => None,
    };
    proxy.chain(listen).chain(upstream).collect()
}

fn port(option: &str, address: SocketAddr, result: Result<(), PortConflict>) -> Finding {
    match result {
        Ok(()) => good("port", format!("{option}: {address} is free")),
        Err(PortConflict::InUse(holder)) => {
            let (holder, remedy) = ports::describe_holder(holder.as_ref(), address.port());
            failure("port", format!("{option}: {address} is in use: {holder}"))
                .with_remedy(format!("{remedy}; or use another port"))
        }
        Err(PortConflict::Refused(error)) => {
            failure("port", format!("{option}: failed to listen on {address}: {error}"))
                .with_remedy(ports::remedy(error.kind()))
        }
    }
}

fn unix_socket(path: &Path, name: &str) -> Finding {
    let exists = path.symlink_metadata().is_ok();
    if exists && UnixStream::connect(path).is_ok() {
        failure("port", format!("--listen: a program listens on {name}"))
            .with_remedy("end that program, or use another path")
    } else if exists {
        note("port", format!("--listen: {name} was left behind by a program that has ended"))
    } else if path.parent().is_some_and(Path::is_dir) {
        good("port", format!("--listen: {name} is free"))
    } else {
        failure("port", format!("--listen: the directory of {name} does not exist"))
            .with_remedy("create it first")
    }
}

/// COMMAND cannot listen on the fixed upstream address if another program does.
fn fixed_upstream(address: SocketAddr) -> Option<Finding> {
    ports::accepts(address).then(|| {
        let message = format!("a program listens on {address} already: COMMAND could not listen there");
        warning("upstream", message).with_remedy(
            "end that program, or leave `=UPSTREAM` out so that each generation gets a free port",
        )
    })
}
