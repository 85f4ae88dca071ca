//! The addresses in options: of the proxy, of its upstream server, and of sockets that COMMAND inherits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use devrun::supervise::{Endpoint, Listen};

/// A host and a port. A port alone means the loopback addresses of IPv4 and IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// `None`: the loopback addresses.
    pub(crate) host: Option<IpAddr>,
    pub(crate) port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLES: &str =
            "write a port, or an address such as 127.0.0.1:8000, localhost:8000 or [::1]:8000";
        if let Some((_, rest)) = text.split_once("://") {
            let bare = rest.split('/').next().unwrap_or(rest);
            return Err(format!("expected an address, found a URL; write {bare}"));
        }
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Err(format!("the port is missing; write [{ip}]:8000"));
        }
        let host_alone = text.starts_with('[') && text.ends_with(']');
        if host_alone || text == "localhost" || text.parse::<Ipv4Addr>().is_ok() {
            return Err(format!("the port is missing; write {text}:8000"));
        }
        let (host, port) = match text.rsplit_once(':') {
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("", text),
            None => return Err(format!("`{text}` is not an address with a port; {EXAMPLES}")),
            Some(parts) => parts,
        };
        Ok(Self { host: host_of(host).map_err(|what| format!("{what}; {EXAMPLES}"))?, port: port_of(port)? })
    }
}

fn host_of(host: &str) -> Result<Option<IpAddr>, String> {
    match host {
        "" | "localhost" => Ok(None),
        "*" => Ok(Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        _ => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let ip = match bare {
                Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
                None => host.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
            };
            ip.map(Some).ok_or_else(|| format!("`{host}` is not an IP address"))
        }
    }
}

fn port_of(port: &str) -> Result<u16, String> {
    if port.is_empty() {
        return Err("the port is missing; write a number from 1 to 65535 (0: a free port)".into());
    }
    port.parse()
        .map_err(|_| format!("`{port}` is not a port; write a number from 1 to 65535 (0: a free port)"))
}

impl Address {
    /// The socket addresses of the port. `has_ipv6` says whether this machine has an IPv6 loopback address.
    pub(crate) fn sockets(self, has_ipv6: bool) -> Vec<SocketAddr> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        match self.host {
            Some(host) => vec![SocketAddr::from((host, self.port))],
            // The kernel would choose a different port for each family, so port 0 gets IPv4 only.
            None if has_ipv6 && self.port != 0 => {
                vec![v4, SocketAddr::from((Ipv6Addr::LOCALHOST, self.port))]
            }
            None => vec![v4],
        }
    }

    /// The socket address where only one can be used: IPv4 for the loopback.
    pub(crate) fn socket(self) -> SocketAddr {
        SocketAddr::from((self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            None => write!(f, "localhost:{}", self.port),
            Some(host) => SocketAddr::from((host, self.port)).fmt(f),
        }
    }
}

/// The value of `--proxy`: `ADDR[=UPSTREAM]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) address: Address,
    pub(crate) upstream: Option<Address>,
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((address, upstream)) = text.split_once('=') else {
            return Ok(Self { address: text.parse()?, upstream: None });
        };
        let (address, upstream): (Address, Address) = (address.parse()?, upstream.parse()?);
        if upstream.port == 0 {
            return Err("the upstream port cannot be 0; write the port on which the server listens".into());
        }
        if address.port == upstream.port && hosts_overlap(address, upstream) {
            return Err(format!(
                "the proxy would connect to itself: {address} and {upstream} are the same address; \
                 give the server another port, or leave out `={upstream}` so that devrun chooses a free one"
            ));
        }
        Ok(Self { address, upstream: Some(upstream) })
    }
}

/// Whether the two hosts share an address, so that the same port on both is the same socket address.
fn hosts_overlap(address: Address, upstream: Address) -> bool {
    let everywhere = |host: Option<IpAddr>| host.is_some_and(|ip| ip.is_unspecified());
    let loopback = |host: Option<IpAddr>| host.is_none_or(|ip| ip.is_loopback());
    everywhere(address.host)
        || everywhere(upstream.host)
        || address.host == upstream.host
        || (loopback(address.host) && loopback(upstream.host))
}

/// Parses the value of `--listen`: `[NAME=]ADDR`, with `tcp:`, `udp:` or `unix:` before ADDR.
pub(crate) fn listen(text: &str) -> Result<Listen, String> {
    let (name, address) = match text.split_once('=') {
        // In `unix:/run/a=b` the `=` belongs to the path.
        Some((name, _)) if name.contains([':', '/']) => (None, text),
        Some((name, address)) => (Some(socket_name(name)?), address),
        None => (None, text),
    };
    let (endpoint, answer) = endpoint(address)?;
    Ok(Listen { name, endpoint, answer })
}

fn socket_name(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(
            "the name before `=` must have 1 to 255 printable ASCII characters; write NAME=ADDR".into()
        );
    }
    Ok(name.to_owned())
}

/// The endpoint, and whether devrun answers on it while no generation runs. The prefix `tcp:` turns this off.
fn endpoint(address: &str) -> Result<(Endpoint, bool), String> {
    if let Some(path) = address.strip_prefix("unix:") {
        // sockaddr_un holds 108 bytes with the final NUL, 104 on macOS.
        return match path.len() {
            0 => Err("the path of the socket is missing; write unix:PATH".into()),
            104.. => Err(
                "the path of the socket is longer than 103 bytes; write a shorter one, such as unix:/tmp/app.sock"
                    .into(),
            ),
            _ => Ok((Endpoint::Unix(PathBuf::from(path)), true)),
        };
    }
    if let Some(rest) = address.strip_prefix("udp:") {
        return Ok((Endpoint::Udp(rest.parse::<Address>()?.socket()), false));
    }
    let bare = address.strip_prefix("tcp:");
    let parsed: Address = bare.unwrap_or(address).parse()?;
    Ok((Endpoint::Tcp(parsed.socket()), bare.is_none()))
}
