//! The hands of the room: everything that runs, what it takes to run it, and its end. Decide nothing.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;

use super::running::{Builds, ProcessEvent, Running};
use crate::supervise::event::{Event, SupervisorExit};
use crate::supervise::options::Options;
use crate::supervise::output::{Capture, ChildOutput, OutputStreams};
use crate::supervise::process::{ProcessTrees, TreeId};
use crate::supervise::readiness::{ListenHistory, SocketProbe};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::InheritedListener;
use crate::supervise::state_machine::{Input, ReadyCondition};
use crate::supervise::terminal::{JobControl, StopReason};
use crate::{GenerationId, Remedy};

/// What performs: everything that runs, and what it takes to run it.
#[derive(Debug)]
pub(crate) struct Hands {
    pub(crate) options: Options,
    pub(super) told: UnboundedSender<Event>,
    pub(super) happen: UnboundedSender<ProcessEvent>,
    /// What the machine is to be told next.
    pub(crate) inputs: VecDeque<Input>,
    pub(super) trees: ProcessTrees,
    pub(super) sockets: Vec<Arc<InheritedListener>>,
    pub(super) streams: Option<OutputStreams>,
    pub(super) running: BTreeMap<GenerationId, Running>,
    /// Trees that are gone, which the orphan killer does not know yet.
    pub(super) unsaid: Vec<TreeId>,
    pub(super) builds: Option<Builds>,
    /// The machine has said that it is over.
    pub(crate) exit: Option<SupervisorExit>,
    pub(super) reloader_told: bool,
    pub(super) jobs: JobControl,
    /// When to look for orphans that have ended even if no signal tells of one.
    pub(super) reap_at: Option<Instant>,
    /// What earlier generations have shown of how the server listens.
    pub(super) history: ListenHistory,
}

impl Hands {
    pub(crate) fn new(
        options: Options,
        sockets: Vec<Arc<InheritedListener>>,
        told: UnboundedSender<Event>,
        happen: UnboundedSender<ProcessEvent>,
    ) -> io::Result<Self> {
        let streams = match &options.streams {
            None if options.capture != Capture::No => Some(OutputStreams::open(false)?),
            given => given.clone(),
        };
        let trees = ProcessTrees::new(supervisor_name(), options.subreaper);
        if let Some(orphan_killer) = &options.orphan_killer {
            orphan_killer.supervisor_started(trees.supervisor());
        }
        Ok(Self {
            trees,
            streams,
            jobs: JobControl::new(options.command.stdin),
            options,
            told,
            happen,
            inputs: VecDeque::from([Input::Begin]),
            sockets,
            running: BTreeMap::new(),
            unsaid: Vec::new(),
            builds: None,
            exit: None,
            reloader_told: false,
            reap_at: None,
            history: ListenHistory::default(),
        })
    }

    /// When to look around next, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let ending = self.running.values().chain(builds).filter(|run| run.leader_ended);
        let probes = self.running.values().filter_map(|run| run.probe.as_ref()).map(SocketProbe::next);
        let looks = self.jobs.deadline().into_iter().chain(self.reap_at);
        ending.map(|run| run.look.next()).chain(looks).chain(probes).min()
    }

    /// Sends every process that runs a signal.
    pub(super) fn send_all(&mut self, signal: Signal) {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let trees: Vec<TreeId> = self.running.values().chain(builds).map(|run| run.tree).collect();
        trees.into_iter().for_each(|tree| self.trees.send(tree, &[signal]));
    }

    /// Stops everything, gently first.
    pub(crate) fn suspend(&mut self) {
        self.send_all(Signal::TSTP);
        self.jobs.suspending(Instant::now());
    }

    /// Lets everything go on.
    pub(crate) fn go_on(&mut self) {
        let mut live = self.running.values().rev().filter(|run| !run.leader_ended);
        self.jobs.resume(live.next().map(|run| run.pid));
        self.send_all(Signal::CONT);
    }

    /// Our terminal has another size now. What is in the background is not told by the terminal itself.
    pub(crate) fn resized(&mut self) {
        let builds = self.builds.as_ref().map(|builds| &builds.run);
        let runs: Vec<&Running> = self.running.values().chain(builds).collect();
        for run in &runs {
            run.output.iter().for_each(ChildOutput::resize);
        }
        runs.iter().for_each(|run| self.trees.signal_group(run.tree, Signal::WINCH));
    }

    pub(super) fn suspended(&mut self) {
        self.send_all(Signal::STOP);
        self.jobs.suspended();
        self.tell(Event::Suspended);
    }

    pub(super) fn look_whether_stopped(&mut self, now: Instant) {
        let trees = &mut self.trees;
        if self.jobs.is_suspend_over(now, || trees.all_members().iter().all(|(one, _)| one.is_stopped())) {
            self.suspended();
        }
    }

    pub(super) fn look_for_stops(&mut self) {
        let live = self.running.values().filter(|run| !run.leader_ended && !run.killed);
        let pids: Vec<i32> = live.map(|run| run.pid).collect();
        match self.jobs.check_stops(&pids) {
            Some(StopReason::Job) => self.suspended(),
            Some(StopReason::GotTerminal) => self.send_all(Signal::CONT),
            Some(StopReason::NeedsTerminal { pid, signal }) => {
                let message = format!("{signal} stopped process {pid}, because it used the terminal");
                self.tell(Event::Warning { message, remedy: Remedy::GiveTerminal });
            }
            None => {}
        }
    }

    /// A reloader inside the child is named once.
    pub(super) fn reloader(&mut self) {
        if !std::mem::replace(&mut self.reloader_told, true) {
            let name = "werkzeug".to_owned();
            self.tell(Event::ReloaderInside { remedy: Remedy::DisableReloader { name: name.clone() }, name });
        }
    }

    /// Finds out why a generation is not ready.
    pub(super) fn diagnose_readiness(&mut self, generation: GenerationId) {
        let Some(run) = self.running.get(&generation) else { return };
        let condition = match run.probe {
            Some(SocketProbe::Waiting { .. }) => ReadyCondition::AcceptsOnSocket,
            _ => ReadyCondition::Answers,
        };
        let output = run.output.as_ref().map(ChildOutput::tail).unwrap_or_default();
        self.inputs.push_back(Input::NotReady { generation, condition, output });
    }

    /// Sends the owner an event. An owner that has dropped the receiver does not want any.
    pub(super) fn tell(&mut self, event: Event) {
        let _ = self.told.send(event);
    }

    pub(super) fn forget(&mut self, generation: GenerationId) {
        if let Some(run) = self.running.remove(&generation) {
            if let Some(output) = &run.output {
                output.catch_up();
            }
            self.gone(run.tree);
        }
    }

    pub(super) fn gone(&mut self, tree: TreeId) {
        self.trees.forget(tree);
        self.unsaid.push(tree);
    }

    /// Reports to the orphan killer which trees are gone and which one has begun. That a tree is gone is reported with the next
    /// start or the next wait: until then the orphan killer tells another process with the same pid by when it began.
    pub(crate) fn tell_orphan_killer(&mut self, began: Option<(TreeId, i32)>) {
        let gone = std::mem::take(&mut self.unsaid);
        if let Some(orphan_killer) = &self.options.orphan_killer {
            orphan_killer.trees_changed(self.trees.supervisor(), &gone, began);
        }
    }

    /// Everything has ended that had a number; what builds have left behind ends now.
    pub(crate) async fn end(mut self, exit: SupervisorExit) {
        self.kill_leftovers();
        if let Some(streams) = &self.streams {
            streams.flushed().await;
        }
        // Whoever hears of the end may listen there at once.
        self.sockets.clear();
        self.tell(Event::Ended(exit));
    }

    pub(super) fn kill_leftovers(&mut self) {
        self.jobs.finish();
        for _ in 0..100 {
            let left: std::collections::BTreeSet<TreeId> =
                self.trees.all_members().into_iter().map(|(_, tree)| tree).collect();
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(|tree| self.trees.kill(tree));
            std::thread::sleep(Duration::from_millis(1));
        }
        self.trees.reap_orphans(Instant::now());
        if let Some(orphan_killer) = &self.options.orphan_killer {
            orphan_killer.supervisor_ended(self.trees.supervisor());
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        // The last resort, when the runtime ends before the supervisor: nothing is left behind even so.
        self.kill_leftovers();
    }
}

/// Unlike any other supervisor's on this machine.
fn supervisor_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}.{:x}", std::process::id(), RandomState::new().hash_one(since))
}
