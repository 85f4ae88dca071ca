//! The addresses that options take: of the proxy, of its server, of sockets that are handed over. Opens nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use devrun::supervise::Endpoint;

/// A TCP address: a port alone means the loopback of both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// `None`: the loopback, both families where there are two.
    pub(crate) host: Option<IpAddr>,
    pub(crate) port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LIKE: &str = "write a port, or an address such as 127.0.0.1:8000, localhost:8000 or [::1]:8000";
        if let Some((_, rest)) = text.split_once("://") {
            let bare = rest.split('/').next().unwrap_or(rest);
            return Err(format!("an address is wanted, not a URL; write {bare}"));
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
            None => return Err(format!("`{text}` is neither a port nor an address with one; {LIKE}")),
            Some(parts) => parts,
        };
        Ok(Self { host: host_of(host).map_err(|what| format!("{what}; {LIKE}"))?, port: port_of(port)? })
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
        return Err("the port is missing; it is a number from 1 to 65535 (0: a free one)".into());
    }
    port.parse().map_err(|_| format!("`{port}` is not a port: a number from 1 to 65535 (0: a free one)"))
}

impl Address {
    /// The socket addresses it means. `both` tells whether this machine has an IPv6 loopback.
    pub(crate) fn sockets(self, both: bool) -> Vec<SocketAddr> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        match self.host {
            Some(host) => vec![SocketAddr::from((host, self.port))],
            // Two free ports would differ: port 0 gets one family.
            None if both && self.port != 0 => vec![v4, SocketAddr::from((Ipv6Addr::LOCALHOST, self.port))],
            None => vec![v4],
        }
    }

    /// The one socket address it means where only one can be used.
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

/// `ADDR[=UPSTREAM]`.
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
            return Err("the server's port cannot be 0; write the port it listens on".into());
        }
        if address.port == upstream.port && hosts_meet(address, upstream) {
            return Err(format!(
                "the proxy would talk to itself: {address} and {upstream} are the same; \
                 let the server listen on another port, or leave `={upstream}` out to give it a free one"
            ));
        }
        Ok(Self { address, upstream: Some(upstream) })
    }
}

/// Whether a server and a proxy on one port would be at the same address.
fn hosts_meet(address: Address, upstream: Address) -> bool {
    let everywhere = |host: Option<IpAddr>| host.is_some_and(|ip| ip.is_unspecified());
    let loopback = |host: Option<IpAddr>| host.is_none_or(|ip| ip.is_loopback());
    everywhere(address.host)
        || everywhere(upstream.host)
        || address.host == upstream.host
        || (loopback(address.host) && loopback(upstream.host))
}

/// `[NAME=]ADDR` with `tcp:`, `udp:` or `unix:` before ADDR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenOn {
    pub(crate) name: Option<String>,
    pub(crate) endpoint: Endpoint,
    /// Whether devrun answers while no generation lives; `tcp:` turns it off.
    pub(crate) answer: bool,
}

impl FromStr for ListenOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = match text.split_once('=') {
            // A path may contain `=`: `unix:/run/a=b` has no name.
            Some((name, _)) if name.contains([':', '/']) => (None, text),
            Some((name, address)) => (Some(socket_name(name)?), address),
            None => (None, text),
        };
        let (endpoint, answer) = endpoint(address)?;
        Ok(Self { name, endpoint, answer })
    }
}

fn socket_name(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(
            "the socket's name before `=` is not 1 to 255 printable ASCII characters; write NAME=ADDR".into(),
        );
    }
    Ok(name.to_owned())
}

fn endpoint(address: &str) -> Result<(Endpoint, bool), String> {
    if let Some(path) = address.strip_prefix("unix:") {
        // The kernel's limit for sockaddr_un is 108 bytes with the final NUL (104 on macOS).
        return match path.len() {
            0 => Err("the socket's path is missing; write unix:PATH".into()),
            104.. => Err(
                "the socket's path is longer than 103 bytes; name a shorter one, such as unix:/tmp/app.sock"
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
