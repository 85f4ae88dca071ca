//! Performs each action of the machine, and tells it what has happened.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::executor::Hands;
use super::running::{ProcessEvent, is_gone, report};
use crate::supervise::event::Event;
use crate::supervise::phase::{ExitReport, ProcessExit, werkzeug_wants_restart};
use crate::supervise::poll_timer::PollTimer;
use crate::supervise::process::TreeId;
use crate::supervise::readiness::{address_besides, says_port_is_taken};
use crate::supervise::sockets::{InheritedListener, PassSocket};
use crate::supervise::state_machine::{Action, Input};
use crate::{GenerationId, Remedy};

/// How many of those who outlive a stop are named.
const NAMED: usize = 5;

impl Hands {
    pub(crate) fn took(&mut self, happening: ProcessEvent) {
        match happening {
            ProcessEvent::Ready { generation, address } => {
                if let Some(run) = self.running.get_mut(&generation) {
                    run.probe = None;
                }
                self.inputs.push_back(Input::Ready { generation, address });
            }
            ProcessEvent::Reloader => self.reloader(),
            ProcessEvent::Ended { tree, ended } => self.leader_ended(tree, ended),
        }
    }

    /// A child of ours may have ended that nobody waits for, or come to us from a parent that has.
    pub(crate) fn orphaned(&mut self) {
        self.reap_at = self.trees.reap_orphans(Instant::now());
        self.look_for_stops();
        let builds = self.builds.as_mut().map(|builds| &mut builds.run);
        for run in self.running.values_mut().chain(builds).filter(|run| run.leader_ended) {
            run.look.hasten(Instant::now());
        }
    }

    pub(super) fn leader_ended(&mut self, tree: TreeId, ended: ProcessExit) {
        let now = Instant::now();
        let builds = self.builds.as_mut().map(|builds| (builds.generation, &mut builds.run));
        let all = self.running.iter_mut().map(|(generation, run)| (*generation, run)).chain(builds);
        for (generation, run) in all {
            if run.tree == tree {
                run.leader_ended = true;
                self.trees.leader_ended(tree);
                run.look = PollTimer::start(now);
                let report = report(run, ended, now);
                self.jobs.child_ended(run.pid);
                if self.builds.as_ref().is_some_and(|builds| builds.run.tree == tree) {
                    return self.build_ended(report);
                }
                if werkzeug_wants_restart(ended) && self.options.pass_socket == PassSocket::Werkzeug {
                    // werkzeug's way to ask its own parent for a restart.
                    self.reloader();
                }
                if let Some((holder, address)) = self.in_the_way(generation, &report) {
                    self.inputs.push_back(Input::PortConflict { generation, holder, address });
                }
                return self.inputs.push_back(Input::LeaderExited { generation, report });
            }
        }
    }

    /// The older generation that has the port which this one says is taken, and one address of those that only it has.
    pub(super) fn in_the_way(
        &mut self,
        generation: GenerationId,
        report: &ExitReport,
    ) -> Option<(GenerationId, SocketAddr)> {
        let (holder, run) = self.running.range(..generation).rev().find(|(_, run)| run.serves())?;
        if !says_port_is_taken(&report.output) {
            return None;
        }
        let pids: Vec<i32> = self.trees.members(run.tree).iter().map(|one| one.pid()).collect();
        let mut held: Vec<_> = self.sockets.iter().filter_map(|socket| socket.tcp_address()).collect();
        held.extend(run.socket.as_ref().and_then(InheritedListener::tcp_address));
        Some((*holder, address_besides(&pids, run.port, &held)?))
    }

    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::Build { generation, because } => self.build(generation, because, 0),
            Action::StopBuilds => self.cancel_build(false),
            Action::KillBuilds => self.cancel_build(true),
            Action::DiagnoseReadiness { generation } => self.diagnose_readiness(generation),
            Action::Spawn { generation, because } => self.spawn(generation, because),
            Action::StopTree { generation, signal } => {
                if let Some(run) = self.running.get_mut(&generation) {
                    run.look = PollTimer::start(Instant::now());
                    self.trees.signal(run.tree, signal);
                }
            }
            Action::SignalGroup { generation, signal } => {
                if let Some(run) = self.running.get(&generation) {
                    self.trees.signal_group(run.tree, signal);
                }
            }
            Action::KillTree { generation, waited } => self.kill(generation, waited),
            Action::Abandon { generation } => self.abandon(generation),
            Action::Emit(event) => self.tell(event),
            Action::Finish(exit) => self.exit = Some(exit),
        }
    }

    /// Looks whether trees whose leader has ended are gone.
    pub(crate) fn look_around(&mut self) {
        let now = Instant::now();
        self.look_whether_stopped(now);
        if self.reap_at.is_some_and(|at| at <= now) {
            self.reap_at = self.trees.reap_orphans(now);
        }
        self.probe(now);
        let mut gone = Vec::new();
        for (generation, run) in &mut self.running {
            if run.leader_ended && run.look.is_due(now) && is_gone(&mut self.trees, run, now) {
                gone.push(*generation);
            }
        }
        for generation in gone {
            self.forget(generation);
            self.inputs.push_back(Input::TreeGone { generation });
        }
        if let Some(builds) = &mut self.builds
            && builds.cancelled
            && builds.run.leader_ended
            && builds.run.look.is_due(now)
            && is_gone(&mut self.trees, &mut builds.run, now)
            && let Some(builds) = self.builds.take()
        {
            self.gone(builds.run.tree);
            self.inputs.push_back(Input::Built { generation: builds.generation, failure: None });
        }
    }

    pub(super) fn kill(&mut self, generation: GenerationId, waited: Duration) {
        let Some(run) = self.running.get_mut(&generation) else { return };
        run.killed = true;
        run.look = PollTimer::start(Instant::now());
        let tree = run.tree;
        if !waited.is_zero() {
            for one in self.trees.members(tree).into_iter().take(NAMED) {
                self.tell(Event::Blocked { pid: one.pid() as u32, command: one.command(), waited });
            }
        }
        self.trees.kill(tree);
    }

    pub(super) fn abandon(&mut self, generation: GenerationId) {
        let Some(run) = self.running.get(&generation) else { return };
        for one in self.trees.members(run.tree).into_iter().take(NAMED) {
            let message = format!("process {} does not even end when killed: {}", one.pid(), one.command());
            let remedy = Remedy::Text(
                "it hangs in the kernel, most likely on a network file system or a device".into(),
            );
            self.tell(Event::Warning { message, remedy });
        }
        self.forget(generation);
    }
}
