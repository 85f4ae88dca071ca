//! `[server]`, settled: the port that clients see, and what makes no sense together there. Binds nothing but a
//! free port, to see whether there is IPv6.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use devrun::supervise::{self, Endpoint, Listen, Port};
use devrun::{Command, proxy};

use crate::cli::addresses::Proxy;
use crate::cli::args;
use crate::cli::choices;
use crate::ui::error::CliError;
use crate::ui::escape::escape_path;

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// `--proxy`.
    pub(crate) proxy: Option<Proxy>,
    /// Where clients connect, with `--proxy`.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) listen: Vec<Listen>,
    pub(crate) pass_socket: Option<supervise::PassSocket>,
    pub(crate) ready_path: Option<String>,
    pub(crate) ready_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) overlap: bool,
    pub(crate) live_reload: bool,
}

pub(crate) fn server_of(layer: args::Server) -> Result<Server, CliError> {
    let proxy = layer.proxy;
    Ok(Server {
        addresses: proxy.map(|proxy| proxy.address.sockets(has_ipv6_loopback())).unwrap_or_default(),
        proxy,
        listen: layer
            .listen
            .into_iter()
            .flatten()
            .map(|listen| Listen { name: listen.name, endpoint: listen.endpoint, answer: listen.answer })
            .collect(),
        pass_socket: layer.pass_socket.map(|how| match how {
            choices::PassSocket::Systemd => supervise::PassSocket::Systemd,
            choices::PassSocket::Werkzeug => supervise::PassSocket::Werkzeug,
        }),
        ready_path: layer.ready_path.map(|path| path.0),
        ready_timeout: layer.ready_timeout.map_or(Duration::from_secs(60), |time| time),
        drain_timeout: layer.drain_timeout.map_or(Duration::from_secs(30), |time| time),
        overlap: !layer.no_overlap.unwrap_or(false),
        live_reload: !layer.no_live_reload.unwrap_or(false),
    })
}

/// Browsers try both families of `localhost`; a machine without IPv6 has only one.
pub(crate) fn has_ipv6_loopback() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

impl Server {
    pub(crate) fn check_together(&self) -> Result<(), CliError> {
        if let (Some(Proxy { upstream: Some(upstream), .. }), Some(_)) = (self.proxy, self.pass_socket) {
            return Err(CliError::new(
                "--pass-socket hands the server a socket, but --proxy says where it listens itself",
            )
            .with_remedy(format!("leave out `={upstream}` or --pass-socket")));
        }
        for (at, listen) in self.listen.iter().enumerate() {
            if self.listen[..at]
                .iter()
                .any(|earlier| earlier.endpoint == listen.endpoint && !is_free(&listen.endpoint))
            {
                return Err(CliError::new(format!(
                    "--listen opens {} twice",
                    shown_endpoint(&listen.endpoint)
                ))
                .with_remedy("leave one of them out"));
            }
            let taken = matches!(listen.endpoint, Endpoint::Tcp(address)
                if address.port() != 0 && self.addresses.contains(&address));
            if taken {
                return Err(CliError::new(format!(
                    "--proxy and --listen both want {}",
                    shown_endpoint(&listen.endpoint)
                ))
                .with_remedy("give one of them another port: clients talk to --proxy"));
            }
        }
        Ok(())
    }

    /// The placeholder in COMMAND that nobody fills in, with a remedy.
    pub(crate) fn unfilled(&self, command: &Command) -> Option<(String, String)> {
        let has = |placeholder: &[u8]| {
            let mut words = std::iter::once(&command.program).chain(&command.args);
            words.any(|word| {
                word.as_encoded_bytes().windows(placeholder.len()).any(|part| part == placeholder)
            })
        };
        let words = |placeholder, option| {
            format!("COMMAND contains {placeholder}, and without {option} nobody fills it in")
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

    /// Where a generation's server can be reached.
    pub(crate) fn port(&self) -> Port {
        match (self.proxy, self.pass_socket) {
            (None, _) => Port::None,
            (Some(Proxy { upstream: Some(upstream), .. }), _) => Port::Fixed(upstream.socket()),
            (Some(_), Some(_)) => Port::Inherited,
            (Some(_), None) => Port::Own,
        }
    }

    /// The options of the proxy module: a proxy, or only somebody who answers on the sockets of `--listen`.
    pub(crate) fn options(&self) -> Option<proxy::Options> {
        if self.proxy.is_none() && !self.listen.iter().any(|listen| listen.answer) {
            return None;
        }
        let mut options = proxy::Options::new(self.addresses.clone());
        options.live_reload = self.live_reload;
        Some(options)
    }
}

pub(crate) fn is_free(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(address) | Endpoint::Udp(address) if address.port() == 0)
}

/// An endpoint as it was typed.
pub(crate) fn shown_endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Udp(address) => format!("udp:{address}"),
        Endpoint::Unix(path) => format!("unix:{}", escape_path(path)),
        _ => "a socket".into(),
    }
}
