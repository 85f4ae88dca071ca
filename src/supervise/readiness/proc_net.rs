//! Linux: where processes listen, and whether one of them waits for connections on a socket that it
//! inherited.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileExt;

use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::procfs::{Process, all_pids};

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN_STATE: &str = "0A";
/// Flags of a listening socket, and the type of a stream socket, in `/proc/net/unix`.
const LISTEN_FLAGS: &str = "00010000";
const UNIX_STREAM: &str = "0001";

/// Maximum number of members of a `poll` or `select` set that are looked at.
const MAX_POLLED: usize = 65_536;
/// System calls that wait for one descriptor, for an array of `pollfd`, and for an `fd_set`.
const SINGLE_CALLS: &[i64] =
    &[libc::SYS_accept, libc::SYS_accept4, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg];
const POLL_CALLS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
];
const SELECT_CALLS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    libc::SYS_pselect6,
];

/// Reads bytes of a process's memory: from an address on, this many.
type ReadMemory<'a> = dyn Fn(u64, usize) -> Option<Vec<u8>> + 'a;

/// A TCP socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TcpSocket {
    address: SocketAddr,
    listens: bool,
    /// 0 if no process has it.
    inode: u64,
}

/// TCP sockets that these processes listen on: the address and the inode of each.
pub(super) fn listening_sockets(pids: &[Pid]) -> Vec<(SocketAddr, u64)> {
    let inodes: HashSet<u64> = pids.iter().flat_map(|pid| open_sockets(*pid)).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut found = all_listening_sockets();
    found.retain(|(_, inode)| inodes.contains(inode));
    found.sort();
    found.dedup();
    found
}

/// The TCP sockets of this machine that listen.
fn all_listening_sockets() -> Vec<(SocketAddr, u64)> {
    let sockets = all_sockets().into_iter().filter(|socket| socket.listens);
    sockets.map(|socket| (socket.address, socket.inode)).collect()
}

/// Whether any process listens on this TCP port.
pub(super) fn is_listened_on(port: u16) -> bool {
    all_listening_sockets().iter().any(|(address, _)| address.port() == port)
}

/// Local ports of connections that no process has any more, such as those in `TIME_WAIT`, and on which no process
/// listens.
pub(super) fn closing_ports() -> Vec<u16> {
    let sockets = all_sockets();
    let listens = |port| sockets.iter().any(|socket| socket.listens && socket.address.port() == port);
    let closing = sockets.iter().filter(|socket| socket.inode == 0);
    closing.map(|socket| socket.address.port()).filter(|port| !listens(*port)).collect()
}

/// The TCP sockets of this machine.
fn all_sockets() -> Vec<TcpSocket> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(parse_line).collect()
}

/// The process that listens on this address, or on its port at all addresses: its pid and its command line.
pub(super) fn process_listening_on(address: SocketAddr) -> Option<(Pid, String)> {
    let mut sockets = all_listening_sockets();
    sockets.retain(|(found, _)| {
        found.port() == address.port() && (found.ip() == address.ip() || found.ip().is_unspecified())
    });
    let inodes: Vec<u64> = sockets.into_iter().map(|(_, inode)| inode).collect();
    let has_one = |pid: &Pid| open_sockets(*pid).iter().any(|inode| inodes.contains(inode));
    let pid = all_pids().into_iter().find(has_one)?;
    Some((pid, Process::read(pid)?.command()))
}

/// Paths of the Unix sockets that these processes listen on.
pub(super) fn listening_paths(pids: &[Pid]) -> Vec<String> {
    let inodes: HashSet<u64> = pids.iter().flat_map(|pid| open_sockets(*pid)).collect();
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let listening = table.lines().filter_map(parse_unix_line).filter(|(_, inode)| inodes.contains(inode));
    listening.map(|(path, _)| path.to_owned()).collect()
}

/// Parses one line of the table, `0000: 00000002 00000000 00010000 0001 01 INODE PATH`, to the path and the
/// inode of a listening stream socket. The path may contain spaces.
fn parse_unix_line(line: &str) -> Option<(&str, u64)> {
    let (mut fields, mut rest) = ([""; 7], line);
    for field in &mut fields {
        (*field, rest) = rest.trim_start().split_once(' ')?;
    }
    let is_listening = fields[3] == LISTEN_FLAGS && fields[4] == UNIX_STREAM;
    Some((rest, fields[6].parse().ok()?)).filter(|_| is_listening)
}

/// The processes that belong to the session of `leader`. A daemon has left it.
pub(super) fn in_session_of(leader: Pid, pids: &[Pid]) -> Vec<Pid> {
    // `getsid` would do, but rustix asserts that a session has an id. It is 0 if the leader of the session
    // stands outside this PID namespace.
    let session = |pid: Pid| Process::read(pid).map(|process| process.session);
    let wanted = session(leader);
    pids.iter().copied().filter(|pid| session(*pid) == wanted).collect()
}

/// Inodes of the sockets that a process has open.
fn open_sockets(pid: Pid) -> Vec<u64> {
    let targets = open_files(pid).into_iter().map(|(_, target)| target);
    targets.filter_map(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

/// The descriptors of a process, and what the links in `/proc/PID/fd` say that they refer to.
fn open_files(pid: Pid) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let open_file = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, target))
    };
    entries.flatten().filter_map(open_file).collect()
}

/// Parses one line of the table, `0: 0100007F:1F90 00000000:0000 0A … inode …`.
fn parse_line(line: &str) -> Option<TcpSocket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(TcpSocket {
        address: SocketAddr::new(parse_ip(address)?, port),
        listens: *fields.get(3)? == LISTEN_STATE,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses words of 32 bits, each in the byte order of this machine.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let octets = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?);
            Some(address.to_ipv4_mapped().map_or(address.into(), IpAddr::from))
        }
        _ => None,
    }
}

/// Whether one of these processes waits for connections on the socket with this inode: in an epoll set, or in
/// a system call that blocks on it.
pub(super) fn any_waits_on(pids: &[Pid], inode: u64) -> bool {
    pids.iter().any(|pid| waits_on(*pid, inode))
}

fn waits_on(pid: Pid, inode: u64) -> bool {
    let files = open_files(pid);
    let numbers_of = |wanted: &str| -> Vec<i32> {
        files.iter().filter(|(_, target)| target == wanted).map(|(number, _)| *number).collect()
    };
    let sockets = numbers_of(&format!("socket:[{inode}]"));
    let is_in_set = |epoll: &i32| is_polled(pid, *epoll, &sockets, inode);
    let epolls = numbers_of("anon_inode:[eventpoll]");
    !sockets.is_empty() && (epolls.iter().any(is_in_set) || is_blocked(pid, &sockets))
}

/// Whether an epoll set has the socket. The kernel lists a member as `tfd: 3 … ino:INODE(hex)`.
fn is_polled(pid: Pid, epoll: i32, sockets: &[i32], inode: u64) -> bool {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{epoll}")).unwrap_or_default();
    info.lines().filter_map(|line| line.strip_prefix("tfd:")).any(|line| {
        let number = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        let member = line
            .split_once("ino:")
            .and_then(|(_, rest)| u64::from_str_radix(rest.split(' ').next()?, 16).ok());
        number.is_some_and(|number| sockets.contains(&number)) && member.is_none_or(|member| member == inode)
    })
}

/// Whether a thread is blocked in a system call that waits for one of the descriptors.
fn is_blocked(pid: Pid, sockets: &[i32]) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|thread| {
        let call = fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        waits_in(&call, sockets, &|at, bytes| read_memory(pid, at, bytes)).unwrap_or(false)
    })
}

/// Reads bytes of a process's memory; `None` if this process may not.
fn read_memory(pid: Pid, at: u64, bytes: usize) -> Option<Vec<u8>> {
    let mut read = vec![0; bytes];
    fs::File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut read, at).ok()?;
    Some(read)
}

/// Whether a thread waits for one of the descriptors. `call` is a line of `/proc/PID/task/TID/syscall`: the
/// number of the system call, six arguments, two registers. The sets of `poll` and `select` are in the memory
/// of the process. If that cannot be read, a server that waits there with the socket open most likely waits
/// for it.
fn waits_in(call: &str, sockets: &[i32], memory: &ReadMemory<'_>) -> Option<bool> {
    let mut words = call.split_ascii_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let mut argument = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
    let (first, second) = (argument()?, argument()?);
    let set = if SINGLE_CALLS.contains(&number) {
        Some(vec![i32::try_from(first).ok()?])
    } else if POLL_CALLS.contains(&number) {
        poll_set(first, second, memory)
    } else if SELECT_CALLS.contains(&number) && second != 0 {
        select_set(first, second, memory)
    } else {
        Some(Vec::new())
    };
    Some(set.is_none_or(|set| set.iter().any(|fd| sockets.contains(fd))))
}

/// Descriptors of an array of `pollfd`.
fn poll_set(at: u64, count: u64, memory: &ReadMemory<'_>) -> Option<Vec<i32>> {
    let entries = memory(at, usize::try_from(count).ok()?.min(MAX_POLLED) * 8)?;
    let fd = |entry: &[u8]| Some(i32::from_ne_bytes(entry[..4].try_into().ok()?));
    entries.chunks_exact(8).map(fd).collect()
}

/// Descriptors of an `fd_set`: bits in words of the kernel's `long`.
fn select_set(count: u64, at: u64, memory: &ReadMemory<'_>) -> Option<Vec<i32>> {
    const WORD_SIZE: usize = size_of::<usize>();
    let count = usize::try_from(count).ok()?.min(MAX_POLLED);
    let bits = memory(at, count.div_ceil(WORD_SIZE * 8) * WORD_SIZE)?;
    let words: Vec<_> = bits.chunks_exact(WORD_SIZE).filter_map(|word| word.try_into().ok()).collect();
    let is_set =
        |fd: &usize| usize::from_ne_bytes(words[fd / (WORD_SIZE * 8)]) >> (fd % (WORD_SIZE * 8)) & 1 == 1;
    Some((0..words.len() * WORD_SIZE * 8).filter(is_set).map(|fd| fd as i32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 1234 1 0 100 0 0 10 0";
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        assert_eq!(parse_line(line), Some(TcpSocket { address, listens: true, inode: 1234 }));
        let line = "  1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 77 1";
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        assert_eq!(parse_line(line), Some(TcpSocket { address, listens: true, inode: 77 }));
        let line = "   1: 0100007F:2328 0100007F:D2A6 06 00000000:00000000 03:00001763 00000000     0        0 0 3 0";
        let address = SocketAddr::from(([127, 0, 0, 1], 9000));
        assert_eq!(parse_line(line), Some(TcpSocket { address, listens: false, inode: 0 }));
    }

    #[test]
    fn the_table_of_unix_sockets_is_read() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01  4711 /run/my app.sock";
        assert_eq!(parse_unix_line(line), Some(("/run/my app.sock", 4711)));
        let connected = "0000000000000000: 00000003 00000000 00000000 0001 03 4711 /run/app.sock";
        assert_eq!(parse_unix_line(connected), None);
    }

    #[test]
    fn a_call_waits_for_what_is_in_its_set() {
        let call = |number: i64, first: u64| format!("{number} {first:#x} 0x2 0x0 0x0 0x0 0x0 0x7ffd 0x7f1c");
        let unreadable = |_: u64, _: usize| None;
        assert_eq!(waits_in(&call(libc::SYS_accept4, 3), &[3], &unreadable), Some(true));
        assert_eq!(waits_in(&call(libc::SYS_accept4, 4), &[3], &unreadable), Some(false));
        assert_eq!(waits_in("running", &[3], &unreadable), None);
        let ppoll = call(libc::SYS_ppoll, 0x1000);
        let polled = |_: u64, bytes: usize| {
            assert_eq!(bytes, 16);
            Some([5_i32.to_ne_bytes(), [1, 0, 0, 0], 3_i32.to_ne_bytes(), [1, 0, 0, 0]].concat())
        };
        assert_eq!(waits_in(&ppoll, &[3], &polled), Some(true));
        assert_eq!(waits_in(&ppoll, &[4], &polled), Some(false));
        assert_eq!(waits_in(&ppoll, &[4], &unreadable), Some(true), "its memory cannot be read");
        let select =
            |read: u64| format!("{} 0x8 {read:#x} 0x0 0x0 0x0 0x0 0x7ffd 0x7f1c", libc::SYS_pselect6);
        let selected = |_: u64, bytes: usize| Some(0b1001_usize.to_ne_bytes()[..bytes].to_vec());
        assert_eq!(waits_in(&select(0x1000), &[3], &selected), Some(true));
        assert_eq!(waits_in(&select(0x1000), &[2], &selected), Some(false));
    }
}
