//! When a generation is ready: its server accepts, answers, or waits on the sockets that it inherited.

mod free_port;
mod http;
mod probe;
mod unix_relay;
#[cfg(target_os = "linux")]
mod proc_net;
#[cfg(not(target_os = "linux"))]
#[path = "proc_net_unknown.rs"]
mod proc_net;

pub(crate) use free_port::{free_port, lingering_port, listener_on};
pub(crate) use http::{Condition, loopback, wait_until_ready};
pub(crate) use probe::{
    ListenHistory, ProbeResult, ProbeTarget, SocketProbe, address_besides, listening_besides,
    listening_unix_sockets, listens_on_path,
};
pub(crate) use unix_relay::UnixRelays;
