//! Runs the builds before a start, one after another.

use std::sync::Arc;
use std::time::Instant;

use super::processes::{Processes, RunningProcess};
use crate::change::Batch;
use crate::supervise::event::{ExitReport, ProcessExit};
use crate::supervise::options::Options;
use crate::supervise::process::{check_env_files, start_error};
use crate::supervise::signal::Signal;
use crate::supervise::state_machine::{Input, SignalTarget};
use crate::{GenerationId, Remedy};

/// What a program prints that cannot write to a running program (`ETXTBSY`), in lower case.
const TEXT_FILE_BUSY: &[u8] = b"text file busy";

/// The builds of a supervisor. At most one of them runs at a time.
#[derive(Debug)]
pub(super) struct Builds {
    options: Arc<Options>,
    running: Option<RunningBuild>,
}

#[derive(Debug)]
struct RunningBuild {
    generation: GenerationId,
    because: Option<Arc<Batch>>,
    /// Position of its command in [`Options::builds`].
    index: usize,
    /// It was stopped or killed, so its outcome does not matter.
    cancelled: bool,
    process: RunningProcess,
}

impl Builds {
    pub(super) fn new(options: Arc<Options>) -> Self {
        Self { options, running: None }
    }

    pub(super) fn process(&self) -> Option<&RunningProcess> {
        self.running.as_ref().map(|build| &build.process)
    }

    /// Looks at once whether a cancelled build is gone.
    pub(super) fn poll_soon(&mut self, now: Instant) {
        if let Some(build) = &mut self.running {
            build.process.poll_soon(now);
        }
    }

    /// Checks the environment files of the server, and starts the first build. Returns the outcome if it is
    /// known already.
    pub(super) fn start(
        &mut self,
        generation: GenerationId,
        because: Option<Arc<Batch>>,
        processes: &mut Processes,
    ) -> Option<Input> {
        match check_env_files(&self.options.command) {
            Ok(()) => self.start_at(0, generation, because, processes),
            Err(error) => Some(failed(generation, start_error::env_file(&error))),
        }
    }

    fn start_at(
        &mut self,
        index: usize,
        generation: GenerationId,
        because: Option<Arc<Batch>>,
        processes: &mut Processes,
    ) -> Option<Input> {
        let Some(command) = self.options.builds.get(index) else {
            return Some(Input::Built { generation, failure: None });
        };
        let (tree, started_at) = (processes.new_tree(), Instant::now());
        match processes.request(command, generation, because.as_deref(), tree).spawn() {
            Ok(child) => {
                let process = processes.adopt(child, generation, tree, started_at);
                self.running = Some(RunningBuild { generation, because, index, cancelled: false, process });
                None
            }
            Err(report) => Some(failed(generation, report)),
        }
    }

    /// Asks the running build to end. Returns what reports a process that cannot be stopped.
    pub(super) fn stop(&mut self, processes: &mut Processes, now: Instant) -> Option<Input> {
        let build = self.running.as_mut()?;
        build.cancelled = true;
        let refused = processes.signal(&mut build.process, SignalTarget::Tree, Signal::TERM, now)?;
        Some(processes.refused(build.generation, refused))
    }

    /// Kills the running build. Returns what reports a process that cannot be killed.
    pub(super) fn kill(&mut self, processes: &mut Processes, now: Instant) -> Option<Input> {
        let build = self.running.as_mut()?;
        build.cancelled = true;
        let refused = processes.kill(&mut build.process, now)?;
        Some(processes.refused(build.generation, refused))
    }

    /// The leader of the running build has ended: starts the next build, or returns the outcome.
    ///
    /// What a successful build leaves behind, such as the cache server of a compiler, may run until the
    /// supervisor ends.
    pub(super) fn leader_ended(
        &mut self,
        exit: ProcessExit,
        processes: &mut Processes,
        now: Instant,
    ) -> Option<Input> {
        let report = processes.leader_ended(&mut self.running.as_mut()?.process, exit, now);
        let RunningBuild { generation, because, index, mut process, .. } =
            self.running.take_if(|build| !build.cancelled)?;
        processes.release_leader(process.tree);
        if exit == ProcessExit::Status(0) {
            return self.start_at(index + 1, generation, because, processes);
        }
        processes.signal(&mut process, SignalTarget::Tree, Signal::TERM, now);
        let remedy = remedy_for(&report.output);
        Some(failed(generation, ExitReport { remedy, ..report }))
    }

    /// Returns the end of a cancelled build once its tree is gone.
    pub(super) fn poll(&mut self, processes: &mut Processes, now: Instant) -> Option<Input> {
        let is_gone =
            |build: &mut RunningBuild| build.cancelled && processes.is_gone(&mut build.process, now);
        let build = self.running.take_if(is_gone)?;
        processes.forget(build.process.tree);
        Some(Input::Built { generation: build.generation, failure: None })
    }
}

/// The old generation still runs the program that a build replaces, and the kernel refuses to write to that file.
fn remedy_for(output: &[u8]) -> Remedy {
    if !output.to_ascii_lowercase().windows(TEXT_FILE_BUSY.len()).any(|text| text == TEXT_FILE_BUSY) {
        return Remedy::None;
    }
    let cure = "the old program still runs: replace its file with `install` or `cp --remove-destination`";
    Remedy::Text(cure.into())
}

fn failed(generation: GenerationId, report: ExitReport) -> Input {
    Input::Built { generation, failure: Some(report) }
}
