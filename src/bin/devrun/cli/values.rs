//! The values of options, parsed from text. The command line, the environment and devrun.toml share these parsers.
//!
//! An error is `PROBLEM; REMEDY`: one sentence for each, in lower case.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use devrun::rules::FindingId;
use devrun::supervise::{Endpoint, Listen, Shell, Signal};

/// The output format of a run and of most subcommands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Human,
    Json,
}

/// The parser of an option that accepts one of these words, each with the value that it stands for.
pub(crate) fn one_of<T: Copy + Send + Sync + 'static>(
    words: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).try_map(|typed| {
        let known = words.iter().find(|(word, _)| *word == typed);
        known.map(|(_, value)| *value).ok_or("unknown value")
    })
}

/// The parser of a kind of finding.
pub(crate) fn finding_id() -> impl TypedValueParser<Value = FindingId> {
    PossibleValuesParser::new(FindingId::ALL.iter().map(|id| id.as_str()))
        .try_map(|typed| FindingId::from_name(&typed).ok_or("unknown finding"))
}

/// Parses a duration such as `10ms`, `1s` or `1m30s`. The maximum is a year, because a sum with an `Instant` must
/// not overflow.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("a duration is missing; write it with its unit, such as 50ms, 1s or 2m".into());
    }
    if text.starts_with('-') {
        return Err(format!("a duration cannot be negative; write {}", text.trim_start_matches('-')));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("the unit is missing; write {text}ms or {text}s"));
    }
    if text.contains(char::is_whitespace) {
        let joined: String = text.split_whitespace().collect();
        return Err(format!("a duration has no spaces; write {joined}"));
    }
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("`{text}` is not a duration; write a number and its unit (ms, s, m, h), such as 50ms or 2m")
    })?;
    if duration > YEAR {
        return Err("a duration can be at most one year; write a shorter one, such as 10m".into());
    }
    Ok(duration)
}

/// Maximum duration.
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Parses the value of a flag: `--postpone=false`, `DEVRUN_POSTPONE=1`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("not a boolean; write true or false".into()),
    }
}

/// Parses a file extension, with or without its dot.
pub(crate) fn extension(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_start_matches("*.").trim_start_matches('.');
    if bare.is_empty() {
        return Err("an extension is empty; write a list such as rs,toml".into());
    }
    if bare.contains(',') {
        return Err("a string holds one extension; write a list such as [\"rs\", \"toml\"]".into());
    }
    if bare.contains(['/', '*', '?', '[']) {
        return Err(format!("`{text}` is not an extension; use --filter for globs"));
    }
    Ok(bare.to_owned())
}

/// Checks a glob in the syntax of globset.
pub(crate) fn glob(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the glob is empty; write a glob such as src/**/*.rs".into());
    }
    if let Some(rest) = text.strip_prefix('!') {
        return Err(format!("a filter cannot be negated; to exclude paths use --ignore '{rest}'"));
    }
    globset::GlobBuilder::new(text).literal_separator(true).build().map_err(|error| {
        let reason = error.kind().to_string().replace("; ", ": ");
        format!("{reason}; write a glob such as src/**/*.rs")
    })?;
    Ok(text.to_owned())
}

/// Checks a pattern in gitignore syntax. It may match paths that are not UTF-8.
pub(crate) fn pattern(text: OsString) -> Result<Vec<u8>, String> {
    let bytes = text.into_vec();
    if matches!(bytes.trim_ascii(), b"" | b"!" | b"/" | b"!/") {
        return Err("the pattern is empty; write a gitignore pattern such as downloads/".into());
    }
    if bytes.contains(&b'\n') {
        return Err("a pattern cannot contain a line break; repeat --ignore for each pattern".into());
    }
    Ok(bytes)
}

/// Parses the name or number of a signal that ends a process.
pub(crate) fn stop_signal(text: &str) -> Result<Signal, String> {
    let signal: Signal = text.parse().map_err(|_| {
        format!("there is no signal `{text}`; write a name such as SIGTERM, INT or HUP, or a number")
    })?;
    let not_ending = ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGCHLD", "SIGWINCH", "SIGURG"];
    if not_ending.contains(&signal.to_string().as_str()) {
        return Err(format!("{signal} does not end a process; use SIGTERM, SIGINT, SIGHUP or SIGKILL"));
    }
    Ok(signal)
}

/// Checks the path of a URL.
pub(crate) fn url_path(text: &str) -> Result<String, String> {
    if let Some((_, rest)) = text.split_once("://") {
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        return Err(format!("expected a path, found a URL; write {path}"));
    }
    if !text.starts_with('/') {
        return Err(format!("the path must begin with `/`; write /{text}"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
        return Err("the path has spaces, control or non-ASCII characters; write them as %XX".into());
    }
    Ok(text.to_owned())
}

/// Parses a variable for the environment of COMMAND, written `KEY=VALUE`. The name ends at the first `=`, and
/// the value need not be UTF-8.
pub(crate) fn variable(text: OsString) -> Result<(OsString, OsString), String> {
    let mut name = text.into_vec();
    let Some(at) = name.iter().position(|byte| *byte == b'=') else {
        let name = if name.is_empty() { "NAME".into() } else { String::from_utf8_lossy(&name) };
        return Err(format!("`=` is missing; write {name}=VALUE"));
    };
    let value = name.split_off(at + 1);
    name.truncate(at);
    if name.is_empty() {
        return Err("the name before `=` is empty; write NAME=VALUE".into());
    }
    if name.contains(&0) || value.contains(&0) {
        return Err("neither a name nor a value can contain NUL; write NAME=VALUE".into());
    }
    Ok((OsString::from_vec(name), OsString::from_vec(value)))
}

/// Parses the shell that runs COMMAND with `-c`: `--shell`, `--shell=zsh`, `shell = true`, `shell = "zsh"`,
/// `shell = false`.
pub(crate) fn shell(text: &str) -> Result<Shell, String> {
    match text.trim() {
        "" | "true" => Ok(Shell::Program("sh".into())),
        "false" => Ok(Shell::None),
        shell if shell.contains(char::is_whitespace) => {
            Err("the shell has spaces; write its name or path, such as bash".into())
        }
        shell => Ok(Shell::Program(shell.into())),
    }
}

/// A command in devrun.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandLine {
    /// A program and its arguments, run without a shell.
    Words(Vec<OsString>),
    /// A line that a shell runs.
    Line(String),
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        if line.trim().is_empty() {
            return Err("the command is empty; write a command such as 'cargo build'".into());
        }
        Ok(Self::Line(line.to_owned()))
    }
}

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
        let is_port = |text: &str| text.parse::<u16>().is_ok();
        if let Some((own, other)) = text.split_once(':').filter(|(own, other)| is_port(own) && is_port(other))
        {
            return Err(format!("two ports are separated by `=`; write {own}={other}"));
        }
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

/// A regular expression.
pub(crate) fn regex(text: &str) -> Result<regex::bytes::Regex, String> {
    // The last line of the parser's message says what is wrong; the others repeat the expression.
    let message =
        |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
    regex::bytes::Regex::new(text).map_err(message)
}
