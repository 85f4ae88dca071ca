//! The control socket of a run.

use devrun::control::{self, OwnerRequest, Server, Service};
use devrun::session::{Event, Options, Session};

use crate::config::Settings;
use crate::system::control_directory;

/// The server of a run; none with `--no-control`, or if no directory can hold its socket.
#[derive(Debug)]
pub(super) struct Control {
    server: Option<Server>,
    /// The name of the service.
    service: String,
}

impl Control {
    /// Starts the server. A run without it goes on, because no part of it needs the server.
    pub(super) fn start(settings: &Settings) -> Self {
        let Some(name) = settings.control_name() else {
            return Self { server: None, service: String::new() };
        };
        Self { server: start(settings, &name), service: name }
    }

    /// Whether the server could not start.
    pub(super) fn has_failed(&self) -> bool {
        self.server.is_none() && !self.service.is_empty()
    }

    /// A session of the run has started.
    pub(super) fn session_started(&self, session: &Session, options: &Options) {
        if let Some(server) = &self.server {
            server.add(Service::new(&self.service, session.handle(), options));
        }
    }

    /// Follows an event of the session.
    pub(super) fn observe(&self, event: &Event) {
        if let Some(server) = &self.server {
            server.observe(&self.service, event);
        }
    }

    /// Waits for a request that concerns the whole run. Cancel-safe.
    pub(super) async fn next_request(&mut self) -> OwnerRequest {
        match &mut self.server {
            Some(server) => server.next_request().await,
            None => std::future::pending().await,
        }
    }
}

fn start(settings: &Settings, name: &str) -> Option<Server> {
    let project = settings.base.canonicalize().unwrap_or_else(|_| settings.base.clone());
    for directory in control_directory::for_servers() {
        let started = directory.map_err(|error| describe(&error)).and_then(|directory| {
            let options = control::Options::new(&project, name, directory);
            Server::start(&options).map_err(|error| describe(&error))
        });
        match started {
            Ok(server) => {
                tracing::debug!(socket = ?server.path(), "control socket is open");
                return Some(server);
            }
            Err(error) => tracing::debug!(error, "failed to open a control socket"),
        }
    }
    None
}

fn describe(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}
