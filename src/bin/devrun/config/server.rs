//! The settings of the table [server]: the port that clients see.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use devrun::supervise::{Endpoint, Listen, PassSocket, Port};
use devrun::{Command, proxy};

use crate::cli::addresses::Proxy;
use crate::cli::args;
use crate::ui::{CliError, escape_text};

/// The port that clients see, and the sockets that COMMAND inherits: the table [server].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerSettings {
    /// The proxy and, if it is fixed, the address of the upstream server.
    pub(crate) proxy: Option<Proxy>,
    /// The addresses of the proxy; empty without a proxy.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) listen: Vec<Listen>,
    pub(crate) pass_socket: Option<PassSocket>,
    pub(crate) ready_path: Option<String>,
    pub(crate) ready_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) overlap: bool,
    pub(crate) live_reload: bool,
    /// The proxy tells the server where a request came from.
    pub(crate) forwarded: bool,
}

impl ServerSettings {
    /// Resolves the options. Binds a free port for a moment, to find out whether there is an IPv6 loopback address.
    pub(crate) fn new(options: args::ServerOptions) -> Self {
        let proxy = options.proxy;
        Self {
            addresses: proxy.map(|proxy| proxy.address.sockets(has_ipv6_loopback())).unwrap_or_default(),
            proxy,
            listen: options
                .listen
                .into_iter()
                .flatten()
                .map(|listen| Listen { name: listen.name, endpoint: listen.endpoint, answer: listen.answer })
                .collect(),
            pass_socket: options.pass_socket,
            ready_path: options.ready_path,
            ready_timeout: options.ready_timeout.unwrap_or(Duration::from_secs(60)),
            drain_timeout: options.drain_timeout.unwrap_or(Duration::from_secs(30)),
            overlap: !options.no_overlap.unwrap_or(false),
            live_reload: !options.no_live_reload.unwrap_or(false),
            forwarded: !options.no_forwarded.unwrap_or(false),
        }
    }

    /// Rejects options that contradict each other.
    pub(crate) fn check_combinations(&self) -> Result<(), CliError> {
        if let (Some(Proxy { upstream: Some(upstream), .. }), Some(_)) = (self.proxy, self.pass_socket) {
            return Err(CliError::new(
                "--pass-socket and the upstream address of --proxy contradict each other",
            )
            .with_remedy(format!("leave one of them out: `={upstream}`, or --pass-socket")));
        }
        for (at, listen) in self.listen.iter().enumerate() {
            if self.listen[..at]
                .iter()
                .any(|earlier| earlier.endpoint == listen.endpoint && !is_free(&listen.endpoint))
            {
                return Err(CliError::new(format!(
                    "--listen has the address {} twice",
                    shown_endpoint(&listen.endpoint)
                ))
                .with_remedy("leave one of them out"));
            }
            let taken = matches!(listen.endpoint, Endpoint::Tcp(address)
                if address.port() != 0 && self.addresses.contains(&address));
            if taken {
                return Err(CliError::new(format!(
                    "--proxy and --listen have the same address {}",
                    shown_endpoint(&listen.endpoint)
                ))
                .with_remedy("give one of them another port; clients connect to --proxy"));
            }
        }
        Ok(())
    }

    /// A warning and its remedy, if COMMAND has a placeholder that devrun does not replace.
    pub(crate) fn unfilled_placeholder(&self, command: &Command) -> Option<(String, String)> {
        let has = |placeholder: &[u8]| {
            let mut words = std::iter::once(&command.program).chain(&command.args);
            words.any(|word| {
                word.as_encoded_bytes().windows(placeholder.len()).any(|part| part == placeholder)
            })
        };
        let words = |placeholder, option| {
            format!("COMMAND contains {placeholder}, which devrun replaces only with {option}")
        };
        if has(b"{port}") && self.proxy.is_none() {
            return Some((
                words("{port}", "--proxy"),
                "add --proxy 8000, or `proxy = 8000` in [server]".into(),
            ));
        }
        let sockets = !self.listen.is_empty() || (self.proxy.is_some() && self.pass_socket.is_some());
        (has(b"{fd}") && !sockets).then(|| {
            (words("{fd}", "--listen"), "add --listen 8000, or `listen = [8000]` in [server]".into())
        })
    }

    /// Where the server of a generation listens.
    pub(crate) fn port(&self) -> Port {
        match (self.proxy, self.pass_socket) {
            (None, _) => Port::None,
            (Some(Proxy { upstream: Some(upstream), .. }), _) => Port::Fixed(upstream.socket()),
            (Some(_), Some(_)) => Port::Inherited,
            (Some(_), None) => Port::Own,
        }
    }

    /// The options of the proxy. Without `--proxy` the proxy only answers on the sockets of `--listen` while no
    /// generation runs.
    pub(crate) fn proxy_options(&self) -> Option<proxy::Options> {
        if self.proxy.is_none() && !self.listen.iter().any(|listen| listen.answer) {
            return None;
        }
        let mut options = proxy::Options::new(self.addresses.clone());
        options.live_reload = self.live_reload;
        options.forwarded = self.forwarded;
        Some(options)
    }
}

/// Whether the kernel chooses the port.
fn is_free(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(address) | Endpoint::Udp(address) if address.port() == 0)
}

/// An endpoint in the form of `--listen`, escaped.
pub(crate) fn shown_endpoint(endpoint: &Endpoint) -> String {
    escape_text(&endpoint.to_string()).into_owned()
}

/// Whether this machine has an IPv6 loopback address. Browsers try both families for `localhost`.
fn has_ipv6_loopback() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
