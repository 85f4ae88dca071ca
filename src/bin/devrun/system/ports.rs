//! Tests whether a port is free, and finds the process that uses it by the sockets in `/proc` (Linux).

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::ui::escape_text;

/// Timeout for a connection that tests whether a program listens.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// Maximum number of words of a command line that are shown.
const MAX_COMMAND_WORDS: usize = 6;
/// Maximum number of characters of a command line that are shown.
const MAX_COMMAND_LENGTH: usize = 60;

/// Why devrun cannot listen on an address.
#[derive(Debug)]
pub(crate) enum PortConflict {
    /// Another process listens there. `None` if the process belongs to another user and cannot be found.
    InUse(Option<Holder>),
    /// The system refuses the address.
    Refused(io::Error),
}

/// A process that listens on a port or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    command: String,
}

/// A sentence about the process that uses an address, and a remedy.
pub(crate) fn describe_holder(holder: Option<&Holder>, port: u16) -> (String, String) {
    match holder {
        Some(Holder { pid, command }) => {
            let command = escape_text(command);
            (format!("process {pid} ({command}) listens there"), format!("end it: kill {pid}"))
        }
        None => (
            "a process listens there, perhaps of another user".into(),
            format!("find it: sudo ss -lntup sport = :{port}"),
        ),
    }
}

/// What the user can do if the system refuses an address.
pub(crate) fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => {
            "only an administrator can use ports below 1024: use a higher port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: use 127.0.0.1 or 0.0.0.0"
        }
        _ => "use another address",
    }
}

/// Binds an address for a moment. `protocol` is `tcp` or `udp`.
pub(crate) fn try_bind(address: SocketAddr, protocol: &str) -> Result<(), PortConflict> {
    let bound = match protocol {
        "udp" => UdpSocket::bind(address).map(drop),
        _ => TcpListener::bind(address).map(drop),
    };
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => PortConflict::InUse(holder(address, protocol)),
        _ => PortConflict::Refused(error),
    })
}

/// Whether a program accepts connections on an address.
pub(crate) fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok()
}

/// The process that listens on this address, or on the same port of all addresses. `protocol` is `tcp` or
/// `udp`.
pub(crate) fn holder(address: SocketAddr, protocol: &str) -> Option<Holder> {
    let tables = [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|text| listening_inodes(&text, address))
        .collect();
    process_with(&inodes)
}

/// The process that listens on the Unix socket with this path.
pub(crate) fn unix_holder(path: &Path) -> Option<Holder> {
    let text = std::fs::read_to_string("/proc/net/unix").ok()?;
    let path = path.to_str()?;
    // `Num RefCount Protocol Flags Type St Inode Path`. The sockets of clients have no path.
    let inode = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let inode = columns.nth(6)?;
        line.ends_with(&format!(" {path}")).then(|| format!("socket:[{inode}]"))
    };
    process_with(&text.lines().filter_map(inode).collect::<Vec<_>>())
}

/// The process that has one of the sockets open.
fn process_with(inodes: &[String]) -> Option<Holder> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    entries(Path::new("/proc")).find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let descriptors = entries(&process.path().join("fd"));
        let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
        targets
            .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
            .then(|| Holder { pid, command: command(&process.path()) })
    })
}

/// The inodes of the sockets in a table of proc_net_tcp(5) that listen on the address.
fn listening_inodes(table: &str, address: SocketAddr) -> Vec<String> {
    // The states TCP_LISTEN and, for UDP, TCP_CLOSE.
    let is_listening = |state: &str| state == "0A" || state == "07";
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if let (Some(local), Some(state), Some(inode)) = (columns.get(1), columns.get(3), columns.get(9))
            && is_listening(state)
            && overlaps(local, address)
        {
            found.push(format!("socket:[{inode}]"));
        }
    }
    found
}

/// Whether a local address of the table, such as `0100007F:1F90`, has the same port and the same host, or one
/// of both is the host for all addresses.
fn overlaps(local: &str, address: SocketAddr) -> bool {
    let Some((host, port)) = local.rsplit_once(':') else { return false };
    if u16::from_str_radix(port, 16) != Ok(address.port()) {
        return false;
    }
    let is_unspecified = host.bytes().all(|byte| byte == b'0');
    is_unspecified || address.ip().is_unspecified() || host.eq_ignore_ascii_case(&kernel_format(address.ip()))
}

/// An address as the kernel prints it: 32-bit words in native byte order.
fn kernel_format(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let word = |bytes: &[u8]| bytes.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    octets.chunks(4).map(|chunk| format!("{:08X}", word(chunk).to_be())).collect()
}

/// The command line of a process, shortened.
fn command(process: &Path) -> String {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let words: Vec<_> =
        line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).take(MAX_COMMAND_WORDS).collect();
    let line = words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_COMMAND_LENGTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_listening_sockets_in_the_table_of_the_kernel() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1\n   2: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4713 1\n";
        if cfg!(target_endian = "little") {
            assert_eq!(listening_inodes(table, ([127, 0, 0, 1], 8080).into()), ["socket:[4711]"]);
        }
        assert_eq!(listening_inodes(table, ([127, 0, 0, 1], 80).into()), ["socket:[4712]"]);
        assert!(
            listening_inodes(table, ([127, 0, 0, 1], 8081).into()).is_empty(),
            "a connection does not listen"
        );
    }
}
