//! Whether the program at the other end of a connection still holds it.
//!
//! To TCP, who has said all it wants and listens for the answer looks like who has left: both have closed their sending side.
//! Where the other end is on this machine, the system knows the difference.

use std::net::SocketAddr;

/// Whether a program on this machine holds the socket at `peer` of a connection to `here`. `false` also where that cannot
/// be told.
pub(super) fn holds(peer: SocketAddr, here: SocketAddr) -> bool {
    #[cfg(target_os = "linux")]
    return netlink::owner(peer, here).is_some_and(|inode| inode != 0);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (peer, here);
        false
    }
}

/// The kernel's socket diagnosis, see `sock_diag(7)`.
#[cfg(target_os = "linux")]
mod netlink {
    use std::io::{Read, Write};
    use std::net::{IpAddr, SocketAddr};

    use socket2::{Domain, Protocol, Socket, Type};

    const NETLINK_SOCK_DIAG: i32 = 4;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const REQUEST: u16 = 1;
    const HEADER: usize = 16;
    const QUESTION: usize = HEADER + 56;
    /// Where an answer has the inode: behind the header, what kind of socket it is, its addresses, and four numbers.
    const INODE: usize = HEADER + 4 + 48 + 16;

    /// The inode of the socket at `peer`; 0 if it is only the kernel that still has it.
    pub(super) fn owner(peer: SocketAddr, here: SocketAddr) -> Option<u32> {
        let protocol = Protocol::from(NETLINK_SOCK_DIAG);
        let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::DGRAM, Some(protocol)).ok()?;
        // The answer is there when the question has been sent.
        socket.set_nonblocking(true).ok()?;
        socket.write_all(&question(peer, here)).ok()?;
        let mut answer = [0; 512];
        let length = socket.read(&mut answer).ok()?;
        let answer = &answer[..length];
        let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
        let inode = answer.get(INODE..INODE + 4)?.try_into().ok()?;
        (kind == SOCK_DIAG_BY_FAMILY).then(|| u32::from_ne_bytes(inode))
    }

    fn question(peer: SocketAddr, here: SocketAddr) -> Vec<u8> {
        let family = if peer.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let mut bytes = Vec::with_capacity(QUESTION);
        bytes.extend((QUESTION as u32).to_ne_bytes());
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend(REQUEST.to_ne_bytes());
        // The number of the question, and who asks: the kernel fills that in.
        bytes.extend([0; 8]);
        bytes.extend([family as u8, libc::IPPROTO_TCP as u8, 0, 0]);
        // In whatever state.
        bytes.extend([0xff; 4]);
        bytes.extend(peer.port().to_be_bytes());
        bytes.extend(here.port().to_be_bytes());
        bytes.extend(address(peer.ip()));
        bytes.extend(address(here.ip()));
        // On whatever interface, whichever socket it is.
        bytes.extend([0; 4]);
        bytes.extend([0xff; 8]);
        bytes
    }

    fn address(ip: IpAddr) -> [u8; 16] {
        match ip {
            IpAddr::V4(ip) => {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&ip.octets());
                bytes
            }
            IpAddr::V6(ip) => ip.octets(),
        }
    }
}
