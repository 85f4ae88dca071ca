//! Whether a port is free, and who holds it otherwise (Linux: by the sockets in `/proc`). Binds for a moment,
//! changes nothing.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::ui::escape::escape_text;

/// What stands in the way of listening at an address.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// Somebody else listens there: this process, if it can be seen.
    Taken(Option<Holder>),
    /// The address cannot be listened at.
    Refused(io::Error),
}

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    command: String,
}

/// Who listens at a taken address, in words, and how to get rid of it or to find it.
pub(crate) fn describe_holder(holder: Option<&Holder>, port: u16) -> (String, String) {
    match holder {
        Some(Holder { pid, command }) => {
            let command = escape_text(command);
            (format!("process {pid} ({command}) listens there"), format!("end it: kill {pid}"))
        }
        None => (
            "somebody listens there, perhaps another user".into(),
            format!("find it: sudo ss -lntup sport = :{port}"),
        ),
    }
}

/// What to do about an address that cannot be listened at.
pub(crate) fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => "ports below 1024 are the administrator's: take one above",
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: take 127.0.0.1 or 0.0.0.0"
        }
        _ => "take another address",
    }
}

/// Whether a TCP address is free.
pub(crate) fn tcp(address: SocketAddr) -> Result<(), Obstacle> {
    TcpListener::bind(address).map(drop).map_err(|error| obstacle(error, address, "tcp"))
}

/// Whether a UDP address is free.
pub(crate) fn udp(address: SocketAddr) -> Result<(), Obstacle> {
    UdpSocket::bind(address).map(drop).map_err(|error| obstacle(error, address, "udp"))
}

/// Whether somebody accepts connections at an address now.
pub(crate) fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok()
}

fn obstacle(error: io::Error, address: SocketAddr, protocol: &str) -> Obstacle {
    match error.kind() {
        io::ErrorKind::AddrInUse => Obstacle::Taken(holder(address, protocol)),
        _ => Obstacle::Refused(error),
    }
}

/// The process whose socket is at this address, or at the same port of every address.
pub(crate) fn holder(address: SocketAddr, protocol: &str) -> Option<Holder> {
    let tables = [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|text| inodes(&text, address))
        .collect();
    process_with(&inodes)
}

/// The process whose Unix socket has this path.
pub(crate) fn unix_holder(path: &Path) -> Option<Holder> {
    let text = std::fs::read_to_string("/proc/net/unix").ok()?;
    let path = path.to_str()?;
    // `Num RefCount Protocol Flags Type St Inode Path`; those who have connected to it have no path.
    let inode = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let inode = columns.nth(6)?;
        line.ends_with(&format!(" {path}")).then(|| format!("socket:[{inode}]"))
    };
    process_with(&text.lines().filter_map(inode).collect::<Vec<_>>())
}

fn process_with(inodes: &[String]) -> Option<Holder> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut numbered =
        processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    numbered
        .find(|(_, process)| holds(process, inodes))
        .map(|(pid, process)| Holder { pid, command: command(&process) })
}

/// Inodes of listening sockets: columns local address, state, inode of proc_net_tcp(5).
fn inodes(table: &str, address: SocketAddr) -> Vec<String> {
    let listening = |state: &str| state == "0A" || state == "07";
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if let (Some(local), Some(state), Some(inode)) = (columns.get(1), columns.get(3), columns.get(9))
            && listening(state)
            && meets(local, address)
        {
            found.push(format!("socket:[{inode}]"));
        }
    }
    found
}

/// `0100007F:1F90` against an address: the same port, and the same host or one of them every host.
fn meets(local: &str, address: SocketAddr) -> bool {
    let Some((host, port)) = local.rsplit_once(':') else { return false };
    if u16::from_str_radix(port, 16) != Ok(address.port()) {
        return false;
    }
    let everywhere = host.bytes().all(|byte| byte == b'0');
    everywhere || address.ip().is_unspecified() || host.eq_ignore_ascii_case(&kernel_form(address.ip()))
}

/// An address as the kernel writes it: 32-bit words in the machine's own byte order.
fn kernel_form(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let word = |bytes: &[u8]| bytes.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    octets.chunks(4).map(|chunk| format!("{:08X}", word(chunk).to_be())).collect()
}

fn holds(process: &Path, inodes: &[String]) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    targets.any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
}

fn command(process: &Path) -> String {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).take(6).collect();
    let line = words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_the_kernel_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1\n   2: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4713 1\n";
        if cfg!(target_endian = "little") {
            assert_eq!(inodes(table, ([127, 0, 0, 1], 8080).into()), ["socket:[4711]"]);
        }
        assert_eq!(inodes(table, ([127, 0, 0, 1], 80).into()), ["socket:[4712]"]);
        assert!(inodes(table, ([127, 0, 0, 1], 8081).into()).is_empty(), "a connection is no listener");
    }
}
