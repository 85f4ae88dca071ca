//! The processes of a supervisor: starts, signals, kills and reaps them, and reports their trees to the orphan
//! killer.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::change::Batch;
use crate::supervise::command::Command;
use crate::supervise::event::{ExitReport, ProcessExit};
use crate::supervise::inner_reloader::InnerReloader;
use crate::supervise::options::Options;
use crate::supervise::output::{Capture, ChildOutput, OutputStreams};
use crate::supervise::poll_timer::PollTimer;
use crate::supervise::process::{ChildProcess, ProcessTrees, SpawnRequest, TreeId};
use crate::supervise::signal::Signal;
use crate::supervise::sockets::{ListenerUse, PassSocket};
use crate::supervise::state_machine::{Input, SignalTarget};
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::procfs::{Process, user_of};
use crate::supervise::sys::signals::{kill_process, may_signal};
use crate::supervise::sys::wait::wait_for_exit;
use crate::supervise::terminal::wait_for_exit_on_terminal;
use crate::{GenerationId, Remedy};

/// Maximum number of rounds of SIGKILL at the end, the number of rounds in a row that must find no process, and
/// the delay between two rounds.
const MAX_KILL_ROUNDS: u32 = 100;
const QUIET_KILL_ROUNDS: u32 = 3;
const KILL_ROUND_DELAY: Duration = Duration::from_millis(1);
/// Maximum age of a process that ends because it has put its server into the background.
const MAX_DAEMON_START: Duration = Duration::from_secs(5);
/// Maximum number of processes that a message names.
const MAX_NAMED_PROCESSES: usize = 5;

const DAEMON_REMEDY: &str = "run it in the foreground, for example nginx -g 'daemon off;', \
                             gunicorn without --daemon, uwsgi without --daemonize";

/// An event of a process, reported to the loop of the supervisor.
#[derive(Debug)]
pub(crate) enum ProcessEvent {
    /// The leader of a tree has ended.
    LeaderEnded { tree: TreeId, exit: ProcessExit },
    /// A process prints that a reloader runs in it.
    ReloaderSeen(InnerReloader),
    /// A generation accepts connections, or answers on its readiness path.
    Ready { generation: GenerationId, address: SocketAddr },
    /// The user should know something about the addresses of a generation.
    Warning { message: String, remedy: Remedy },
}

/// The leader of a process tree. Dropped, it forgets the leader without ending it.
#[derive(Debug)]
pub(super) struct RunningProcess {
    pub(super) tree: TreeId,
    pub(super) pid: Pid,
    started_at: Instant,
    pub(super) output: Option<ChildOutput>,
    /// Kept open, so that the process does not read an end of file.
    stdin: Option<OwnedFd>,
    exit_waiter: AbortHandle,
    leader_ended: bool,
    /// SIGKILL was sent, so processes of the tree that appear later are killed as well.
    killed: bool,
    /// When to look next whether the tree is gone.
    poll_timer: PollTimer,
}

impl RunningProcess {
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    pub(super) fn has_leader(&self) -> bool {
        !self.leader_ended
    }

    /// Whether it may still serve: its leader runs and was not killed.
    pub(super) fn may_serve(&self) -> bool {
        !self.leader_ended && !self.killed
    }

    /// Looks for the end of the tree at once, because a process has ended.
    pub(super) fn poll_soon(&mut self, now: Instant) {
        if self.leader_ended {
            self.poll_timer.hasten(now);
        }
    }

    /// When to look next whether the tree is gone.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.leader_ended.then(|| self.poll_timer.next())
    }

    pub(super) fn catch_up_output(&self) {
        if let Some(output) = &self.output {
            output.catch_up();
        }
    }

    /// Writes to the standard input of the leader, which is a pipe. Never blocks.
    pub(super) fn write_input(&self, bytes: &[u8]) {
        let Some(stdin) = &self.stdin else { return };
        let written = rustix::io::ioctl_fionbio(stdin, true).and_then(|()| rustix::io::write(stdin, bytes));
        if written != Ok(bytes.len()) {
            tracing::debug!(?written, wanted = bytes.len(), "input for the child was dropped");
        }
    }

    pub(super) fn output_tail(&self) -> Vec<u8> {
        self.output.as_ref().map(ChildOutput::tail).unwrap_or_default()
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        self.exit_waiter.abort();
    }
}

/// All processes of a supervisor, and what each start needs.
#[derive(Debug)]
pub(super) struct Processes {
    options: Arc<Options>,
    streams: Option<OutputStreams>,
    events: UnboundedSender<ProcessEvent>,
    trees: ProcessTrees,
    /// When to look for ended orphans even if no signal announces one.
    reap_at: Option<Instant>,
}

impl Processes {
    pub(super) fn new(options: Arc<Options>, events: UnboundedSender<ProcessEvent>) -> io::Result<Self> {
        let streams = match &options.streams {
            None if options.capture != Capture::No => Some(OutputStreams::open(false)?),
            given => given.clone(),
        };
        let trees = ProcessTrees::new(supervisor_name(), options.subreaper);
        if let Some(orphan_killer) = &options.orphan_killer {
            orphan_killer.supervisor_started(&trees.supervisor)?;
        }
        // A child that this process had before may have ended before SIGCHLD was handled.
        Ok(Self { options, streams, events, trees, reap_at: Some(Instant::now()) })
    }

    pub(super) fn new_tree(&mut self) -> TreeId {
        self.trees.new_tree()
    }

    /// A request to start a command as the leader of `tree`.
    pub(super) fn request<'a>(
        &'a self,
        command: &'a Command,
        generation: GenerationId,
        because: Option<&'a Batch>,
        tree: TreeId,
    ) -> SpawnRequest<'a> {
        SpawnRequest {
            command,
            generation,
            tag: self.trees.tag(tree),
            because,
            port: None,
            sockets: Vec::new(),
            socket_use: ListenerUse::Shared,
            pass_socket: PassSocket::Systemd,
            capture: self.options.capture,
            streams: self.streams.as_ref(),
            is_interactive: false,
            dies_with_parent: self.options.parent_death_signal,
            open_files: self.options.open_files,
        }
    }

    /// Takes over the leader of `tree`: copies its output, and waits for its exit. `started_at` is a time before
    /// the start, because on a busy machine the child may run before this thread continues.
    pub(super) fn adopt(
        &mut self,
        child: ChildProcess,
        generation: GenerationId,
        tree: TreeId,
        started_at: Instant,
    ) -> RunningProcess {
        let ChildProcess { pid, stdin_writer, output: pipes, has_terminal } = child;
        self.trees.add(tree, pid);
        self.report(&[], Some((tree, pid)));
        let captured = self.streams.as_ref().filter(|_| !pipes.is_empty());
        let output = captured.and_then(|streams| {
            let events = self.events.clone();
            let on_reloader = move |reloader| send(&events, ProcessEvent::ReloaderSeen(reloader));
            let log = self.options.log.as_ref().map(|log| (log, generation));
            ChildOutput::start(pipes, streams, log, on_reloader).ok()
        });
        let events = self.events.clone();
        let exit_waiter = tokio::spawn(async move {
            let exit =
                if has_terminal { wait_for_exit_on_terminal(pid).await } else { wait_for_exit(pid).await };
            match exit {
                Ok(exit) => send(&events, ProcessEvent::LeaderEnded { tree, exit }),
                Err(error) => tracing::debug!(%pid, %error, "waiting for a child failed"),
            }
        });
        RunningProcess {
            tree,
            pid,
            started_at,
            output,
            stdin: stdin_writer,
            exit_waiter: exit_waiter.abort_handle(),
            leader_ended: false,
            killed: false,
            poll_timer: PollTimer::start(started_at),
        }
    }

    /// Records the end of a leader, and returns the report about it.
    pub(super) fn leader_ended(
        &mut self,
        process: &mut RunningProcess,
        exit: ProcessExit,
        now: Instant,
    ) -> ExitReport {
        process.leader_ended = true;
        process.poll_timer = PollTimer::start(now);
        self.trees.leader_ended(process.tree);
        // Now its zombies are this process's: reaped, they are in the way of no scan.
        self.reap_orphans(now);
        process.catch_up_output();
        let (ran, output) = (process.age(now), process.output_tail());
        ExitReport { ended: exit, ran, message: None, remedy: Remedy::None, output }
    }

    /// Explains the end of a leader that has put its server into the background: it was successful soon after its
    /// start, and left processes behind.
    pub(super) fn explain_daemon(&mut self, tree: TreeId, report: &mut ExitReport) {
        if report.ended != ProcessExit::Status(0) || report.ran > MAX_DAEMON_START {
            return;
        }
        if let Some((pid, command)) = self.examples(tree).first() {
            report.message = Some(format!(
                "COMMAND exited with status 0 and left process {pid} in the background, which devrun stops: {command}"
            ));
            report.remedy = Remedy::Text(DAEMON_REMEDY.into());
        }
    }

    /// Sends processes of a tree a signal. Stopped processes continue to handle it, unless it goes to the group.
    /// Returns a process that runs as another user and therefore got none.
    pub(super) fn signal(
        &mut self,
        process: &mut RunningProcess,
        target: SignalTarget,
        signal: Signal,
        now: Instant,
    ) -> Option<Pid> {
        let RunningProcess { tree, pid: leader, .. } = *process;
        match target {
            SignalTarget::Tree => {
                process.poll_timer = PollTimer::start(now);
                self.trees.send(tree, &[signal, Signal::CONT])
            }
            SignalTarget::Leader if process.leader_ended => None,
            SignalTarget::Leader => {
                kill_process(leader, signal);
                self.trees.signal_group(tree, Signal::CONT);
                (!may_signal(leader)).then_some(leader)
            }
            // Without `/proc`, none of the rest is known.
            SignalTarget::Rest => {
                let rest: Vec<Pid> = self.members(tree).into_iter().filter(|pid| *pid != leader).collect();
                for pid in &rest {
                    kill_process(*pid, signal);
                    kill_process(*pid, Signal::CONT);
                }
                rest.into_iter().find(|pid| !may_signal(*pid))
            }
            SignalTarget::Group => {
                self.trees.signal_group(tree, signal);
                (process.has_leader() && !may_signal(leader)).then_some(leader)
            }
        }
    }

    /// Sends all processes of a tree only this signal.
    pub(super) fn signal_only(&mut self, tree: TreeId, signal: Signal) {
        self.trees.send(tree, &[signal]);
    }

    /// Sends the process group of a leader a signal.
    pub(super) fn signal_group(&self, tree: TreeId, signal: Signal) {
        self.trees.signal_group(tree, signal);
    }

    /// Kills a tree. Returns a process that cannot be killed, because it runs as another user.
    pub(super) fn kill(&mut self, process: &mut RunningProcess, now: Instant) -> Option<Pid> {
        process.killed = true;
        process.poll_timer = PollTimer::start(now);
        self.trees.kill(process.tree)
    }

    /// What tells the state machine of a process that runs as another user.
    pub(super) fn refused(&self, generation: GenerationId, pid: Pid) -> Input {
        let command = Process::read(pid).map_or_else(|| "?".to_owned(), |process| process.command());
        Input::SignalRefused { generation, pid, user: user_of(pid), command }
    }

    /// Whether a tree is gone, as far as a look is due.
    pub(super) fn is_gone(&mut self, process: &mut RunningProcess, now: Instant) -> bool {
        if !process.leader_ended || !process.poll_timer.is_due(now) {
            return false;
        }
        if self.trees.is_gone(process.tree) {
            return true;
        }
        if process.killed {
            self.trees.kill(process.tree);
        }
        process.poll_timer.schedule_next(now);
        false
    }

    pub(super) fn forget(&mut self, tree: TreeId) {
        self.trees.forget(tree);
        self.report(&[tree], None);
    }

    /// Forgets the leader of a tree. Its other processes may run until the supervisor ends.
    pub(super) fn release_leader(&mut self, tree: TreeId) {
        self.trees.release_leader(tree);
        self.report(&[tree], None);
    }

    pub(super) fn members(&mut self, tree: TreeId) -> Vec<Pid> {
        self.trees.members(tree).iter().map(|process| process.pid).collect()
    }

    /// Pids and command lines of some processes of a tree, for a message.
    pub(super) fn examples(&mut self, tree: TreeId) -> Vec<(Pid, String)> {
        let members = self.trees.members(tree).into_iter().take(MAX_NAMED_PROCESSES);
        members.map(|process| (process.pid, process.command())).collect()
    }

    /// Whether every process of every tree is stopped by a signal.
    pub(super) fn are_all_stopped(&mut self) -> bool {
        self.trees.all_members().iter().all(|(process, _)| process.is_stopped)
    }

    pub(super) fn reap_orphans(&mut self, now: Instant) {
        self.reap_at = self.trees.reap_orphans(now);
    }

    /// When to call [`Self::reap_orphans`] even if no signal announces an end.
    pub(super) fn reap_at(&self) -> Option<Instant> {
        self.reap_at
    }

    /// Tells the orphan killer which tree is gone, or which has started with which leader.
    fn report(&self, gone: &[TreeId], started: Option<(TreeId, Pid)>) {
        if let Some(orphan_killer) = &self.options.orphan_killer {
            orphan_killer.trees_changed(&self.trees.supervisor, gone, started);
        }
    }

    pub(super) async fn flush_output(&self) {
        if let Some(streams) = &self.streams {
            streams.flushed().await;
        }
    }

    /// Kills every process that is left, and reports the end of the supervisor.
    pub(super) fn kill_all(&mut self) {
        let mut quiet_rounds = 0;
        for _ in 0..MAX_KILL_ROUNDS {
            quiet_rounds = if self.trees.kill_all() { 0 } else { quiet_rounds + 1 };
            if quiet_rounds == QUIET_KILL_ROUNDS {
                break;
            }
            std::thread::sleep(KILL_ROUND_DELAY);
            self.trees.reap_orphans(Instant::now());
        }
        if let Some(orphan_killer) = &self.options.orphan_killer {
            orphan_killer.supervisor_ended(&self.trees.supervisor);
        }
    }
}

/// Sends an event. A supervisor that has ended needs none.
fn send(events: &UnboundedSender<ProcessEvent>, event: ProcessEvent) {
    let _ = events.send(event);
}

/// A name that no other supervisor on this machine has.
fn supervisor_name() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}.{:x}", std::process::id(), RandomState::new().hash_one(since_epoch))
}
