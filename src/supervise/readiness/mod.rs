//! When a generation is ready: its server accepts, answers, or waits on the sockets that it inherited.

mod free_port;
mod http;
mod listen_probe;
#[cfg(target_os = "linux")]
mod proc_net;
mod socket_probe;

pub(crate) use free_port::{free_port, listener_on};
pub(crate) use http::{Condition, loopback, wait_until_ready};
pub(crate) use listen_probe::{ListenProbe, listening_besides};
pub(crate) use socket_probe::{
    ListenHistory, ProbeResult, ProbeTarget, SocketProbe, address_besides, says_port_is_taken,
};
