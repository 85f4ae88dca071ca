//! Systems other than Linux do not tell where processes listen. There, a server is ready when its port accepts, or
//! after some time if it inherits sockets.

use crate::supervise::sys::pid::Pid;
use std::net::SocketAddr;

pub(super) fn listening_sockets(_pids: &[Pid]) -> Vec<(SocketAddr, u64)> {
    Vec::new()
}

pub(super) fn is_listened_on(_port: u16) -> bool {
    true
}

pub(super) fn closing_ports() -> Vec<u16> {
    Vec::new()
}

pub(super) fn listening_paths(_pids: &[Pid]) -> Vec<String> {
    Vec::new()
}

pub(super) fn process_listening_on(_address: SocketAddr) -> Option<(Pid, String)> {
    None
}

pub(super) fn in_session_of(_leader: Pid, pids: &[Pid]) -> Vec<Pid> {
    pids.to_vec()
}

pub(super) fn any_waits_on(_pids: &[Pid], _inode: u64) -> bool {
    false
}
