//! The services of a server, by name, and the requests that wait for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::clock::Clock;
use super::history::{History, failure};
use super::protocol::{
    ErrorObject, Instance, ServiceHistory, ServiceOutcome, ServiceStatus, WaitedService, path_text,
};
use super::server::{Options, Service};
use super::service::ServiceState;
use crate::session::{Event, Handle};
use crate::supervise::{self, Outcome, OutputLog, ProcessExit, Request};
use crate::{GenerationId, SyncId, sync};

/// The services, shared by the owner and the connections.
#[derive(Debug)]
pub(super) struct Hub {
    instance: Instance,
    clock: Clock,
    inner: Mutex<Inner>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    services: BTreeMap<String, HubService>,
    next_sync_id: u64,
    waits: HashMap<SyncId, Wait>,
}

#[derive(Debug)]
struct HubService {
    service: Service,
    state: ServiceState,
}

#[derive(Debug)]
struct Wait {
    service: String,
    answer: oneshot::Sender<WaitedService>,
}

/// A request that waits for a service. Dropping it withdraws it.
#[derive(Debug)]
pub(super) struct PendingWait<'a> {
    hub: &'a Hub,
    id: SyncId,
    answer: oneshot::Receiver<WaitedService>,
}

impl PendingWait<'_> {
    /// The answer; `None` if the service is gone.
    pub(super) async fn answer(&mut self) -> Option<WaitedService> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for PendingWait<'_> {
    fn drop(&mut self) {
        let mut inner = sync::lock(&self.hub.inner);
        let Some(wait) = inner.waits.remove(&self.id) else { return };
        if let Some(service) = inner.services.get(&wait.service) {
            service.service.session.forget(self.id);
        }
    }
}

impl Hub {
    /// The hub of an instance with this name.
    pub(super) fn new(options: &Options, name: String) -> Self {
        let (project, project_b64) = path_text(&options.project);
        let instance = Instance { project, project_b64, name, pid: std::process::id() };
        Self { instance, clock: Clock::new(), inner: Mutex::default(), version: watch::Sender::new(0) }
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Adds a service. One of the same name goes on with its history, and its pending waits move to the new session.
    pub(super) fn add(&self, service: Service) {
        let mut inner = sync::lock(&self.inner);
        for (id, wait) in &inner.waits {
            if wait.service == service.name {
                service.session.settle(*id);
            }
        }
        if let Some(known) = inner.services.get_mut(&service.name) {
            known.service = service;
            return;
        }
        let history = History::new(self.instance.project(), service.compare, self.clock);
        let state = ServiceState::new(history, self.clock, Instant::now());
        inner.services.insert(service.name.clone(), HubService { service, state });
    }

    /// Follows an event of a service.
    pub(super) fn observe(&self, name: &str, event: &Event, now: Instant) {
        let mut inner = sync::lock(&self.inner);
        if let Event::Child(supervise::Event::Settled { id, outcome }) = event {
            // The session ends. If another one follows it, the wait goes on there.
            if matches!(outcome, Outcome::Stopping) {
                return;
            }
            if let Some(wait) = inner.waits.remove(id) {
                // The client may have left.
                let _ = wait.answer.send(waited(wait.service, outcome));
            }
        } else if let Some(known) = inner.services.get_mut(name) {
            known.state.observe(event, now);
            drop(inner);
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// The names of all services.
    pub(super) fn names(&self) -> Vec<String> {
        sync::lock(&self.inner).services.keys().cloned().collect()
    }

    /// The named services; all if none is named.
    ///
    /// # Errors
    /// If there is none of a name.
    pub(super) fn named(&self, names: &[String]) -> Result<Vec<String>, ErrorObject> {
        let known = self.names();
        match names.iter().find(|name| !known.contains(name)) {
            None if names.is_empty() => Ok(known),
            None => Ok(names.to_vec()),
            Some(unknown) => {
                let remedy = format!("the services are {}", known.join(", "));
                Err(ErrorObject::new(
                    ErrorObject::UNKNOWN_SERVICE,
                    format!("there is no service {unknown:?}"),
                    &remedy,
                ))
            }
        }
    }

    /// Sends services a request.
    pub(super) fn send(&self, names: &[String], request: &Request) {
        let inner = sync::lock(&self.inner);
        for name in names {
            if let Some(known) = inner.services.get(name) {
                known.service.session.send(request.clone());
            }
        }
    }

    /// The status of a service.
    pub(super) fn status(&self, name: &str) -> Option<ServiceStatus> {
        let (mut status, session, pid) = {
            let inner = sync::lock(&self.inner);
            let known = inner.services.get(name)?;
            let status = known.state.status(name, &known.service.command);
            (status, known.service.session.clone(), known.state.pid())
        };
        // Without the lock, because the system may be slow.
        if let Some(usage) = pid.and_then(supervise::tree_usage) {
            status.processes = Some(usage.processes);
            status.memory_bytes = Some(usage.memory_bytes);
            status.cpu_us = Some(super::clock::micros(usage.cpu_time));
        }
        status.held_requests = held_requests(&session);
        Some(status)
    }

    /// The last starts of a service.
    pub(super) fn history(&self, name: &str, limit: usize) -> Option<ServiceHistory> {
        let inner = sync::lock(&self.inner);
        let restarts = inner.services.get(name)?.state.history().last(limit);
        Some(ServiceHistory { service: name.to_owned(), restarts })
    }

    /// The output of a service, if it is kept.
    pub(super) fn log(&self, name: &str) -> Option<OutputLog> {
        sync::lock(&self.inner).services.get(name)?.service.log.clone()
    }

    /// Begins to wait for a service; `None` if it is gone.
    pub(super) fn wait(&self, name: &str) -> Option<PendingWait<'_>> {
        let mut inner = sync::lock(&self.inner);
        let id = SyncId::new(inner.next_sync_id);
        inner.next_sync_id += 1;
        let (sender, answer) = oneshot::channel();
        let session = inner.services.get(name)?.service.session.clone();
        inner.waits.insert(id, Wait { service: name.to_owned(), answer: sender });
        session.settle(id);
        Some(PendingWait { hub: self, id, answer })
    }

    /// The service that a client can be attached to, and its running generation. Without a name, the only service.
    ///
    /// # Errors
    /// If there is no such service, if it does not run, or if it does not read what clients type.
    pub(super) fn attachable(&self, name: Option<&str>) -> Result<(String, u64), ErrorObject> {
        let names = self.named(name.map(str::to_owned).as_slice())?;
        let [name] = names.as_slice() else {
            let message = format!("there are {} services: name one", names.len());
            let remedy = format!("the services are {}", names.join(", "));
            return Err(ErrorObject::new(ErrorObject::INVALID_PARAMS, message, &remedy));
        };
        let inner = sync::lock(&self.inner);
        let not_possible =
            |message: String, remedy| Err(ErrorObject::new(ErrorObject::NOT_POSSIBLE, message, remedy));
        let known = inner.services.get(name);
        match known.and_then(|known| Some((known, known.state.running()?))) {
            None => not_possible(format!("{name} does not run"), "start it first"),
            Some((known, _)) if !known.service.is_attachable => {
                let message = format!("the standard input of {name} is not a pipe of devrun");
                not_possible(message, "let devrun give it a pipe, which is the default")
            }
            Some((_, generation)) => Ok((name.clone(), generation.number())),
        }
    }

    /// The version of what the services are. It grows with each event.
    pub(super) fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The rest of the time that a generation must run before it counts as ready; `None` if it has run that long.
    pub(super) fn settling(&self, name: &str, generation: u64) -> Option<Duration> {
        let inner = sync::lock(&self.inner);
        let known = inner.services.get(name)?;
        let age = known.state.age(GenerationId::new(generation), Instant::now());
        // A generation that has ended settles no more; the caller asks again.
        known.service.settle_time.checked_sub(age.unwrap_or_default()).filter(|left| !left.is_zero())
    }

    /// Waits until a generation of a service has ended.
    pub(super) async fn ended(&self, name: &str, generation: u64) {
        let mut version = self.version();
        while self.runs(name, generation) && version.changed().await.is_ok() {}
    }

    /// Whether a generation of a service runs.
    pub(super) fn runs(&self, name: &str, generation: u64) -> bool {
        let inner = sync::lock(&self.inner);
        inner.services.get(name).is_some_and(|known| known.state.runs(GenerationId::new(generation)))
    }
}

#[cfg(feature = "proxy")]
fn held_requests(session: &Handle) -> Option<usize> {
    session.held_requests()
}

#[cfg(not(feature = "proxy"))]
fn held_requests(_: &Handle) -> Option<usize> {
    None
}

/// The outcome of a service as a client sees it.
fn waited(service: String, outcome: &Outcome) -> WaitedService {
    let (outcome, generation, report) = match outcome {
        Outcome::Ready { generation } => (ServiceOutcome::Ready, Some(generation), None),
        Outcome::Failed { generation, report } => (ServiceOutcome::Failed, Some(generation), Some(report)),
        Outcome::Ended { generation, report } if report.ended == ProcessExit::Status(0) => {
            (ServiceOutcome::Finished, Some(generation), None)
        }
        Outcome::Ended { generation, report } => (ServiceOutcome::Exited, Some(generation), Some(report)),
        Outcome::Paused => (ServiceOutcome::Paused, None, None),
        Outcome::NotStarted => (ServiceOutcome::NotStarted, None, None),
        Outcome::Halted | Outcome::Stopping => (ServiceOutcome::Halted, None, None),
    };
    let (generation, failure) = (generation.map(|id| id.number()), report.map(failure));
    WaitedService { service, outcome, generation, failure }
}
