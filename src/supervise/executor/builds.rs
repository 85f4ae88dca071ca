//! Runs the builds before a start, one after another.

use std::sync::Arc;
use std::time::Instant;

use super::launcher::Launcher;
use super::running::RunningProcess;
use super::tracked_trees::TrackedTrees;
use crate::change::Batch;
use crate::supervise::command::Command;
use crate::supervise::options::Options;
use crate::supervise::phase::{ExitReport, ProcessExit};
use crate::supervise::process::{StartError, TreeId, check_env_files};
use crate::supervise::signal::Signal;
use crate::supervise::state_machine::Input;
use crate::{GenerationId, Remedy};

/// What a program prints that cannot write to a running program (`ETXTBSY`), in lower case.
const TEXT_FILE_BUSY: &[u8] = b"text file busy";

/// The builds of a supervisor. At most one of them runs at a time.
#[derive(Debug)]
pub(super) struct Builds {
    commands: Vec<Command>,
    /// The command that starts after the builds. Its environment files are checked before the builds run.
    server: Command,
    running: Option<RunningBuild>,
}

#[derive(Debug)]
struct RunningBuild {
    generation: GenerationId,
    because: Option<Arc<Batch>>,
    /// Position of its command in [`Builds::commands`].
    index: usize,
    /// It was stopped or killed, so its outcome does not matter.
    cancelled: bool,
    process: RunningProcess,
}

impl Builds {
    pub(super) fn new(options: &Options) -> Self {
        Self { commands: options.builds.clone(), server: options.command.clone(), running: None }
    }

    /// The build that runs.
    pub(super) fn process(&self) -> Option<&RunningProcess> {
        self.running.as_ref().map(|build| &build.process)
    }

    /// The build that runs.
    pub(super) fn process_mut(&mut self) -> Option<&mut RunningProcess> {
        self.running.as_mut().map(|build| &mut build.process)
    }

    /// Whether this tree is that of the running build.
    pub(super) fn owns(&self, tree: TreeId) -> bool {
        self.process().is_some_and(|process| process.tree() == tree)
    }

    /// Checks the environment files of the server, and starts the first build. Returns the outcome if it is
    /// known already.
    pub(super) fn start(
        &mut self,
        generation: GenerationId,
        because: Option<Arc<Batch>>,
        launcher: &Launcher,
        trees: &mut TrackedTrees,
    ) -> Option<Input> {
        match check_env_files(&self.server) {
            Ok(()) => self.start_at(0, generation, because, launcher, trees),
            Err(error) => Some(failed(generation, StartError::env_file(&error).into_report())),
        }
    }

    fn start_at(
        &mut self,
        index: usize,
        generation: GenerationId,
        because: Option<Arc<Batch>>,
        launcher: &Launcher,
        trees: &mut TrackedTrees,
    ) -> Option<Input> {
        let Some(command) = self.commands.get(index) else {
            return Some(Input::Built { generation, failure: None });
        };
        let (tree, tag) = trees.new_tree();
        let request = launcher.request(command, generation, because.as_deref(), tag);
        match launcher.launch(request, tree, trees, |_| {}) {
            Ok(process) => {
                let cancelled = false;
                self.running = Some(RunningBuild { generation, because, index, cancelled, process });
                None
            }
            Err(error) => Some(failed(generation, error.into_report())),
        }
    }

    /// Asks the running build to end.
    pub(super) fn stop(&mut self, trees: &mut TrackedTrees, now: Instant) {
        if let Some(build) = &mut self.running {
            build.cancelled = true;
            build.process.stopping(now);
            trees.signal(build.process.tree(), Signal::TERM);
        }
    }

    /// Kills the running build.
    pub(super) fn kill(&mut self, trees: &mut TrackedTrees, now: Instant) {
        if let Some(build) = &mut self.running {
            build.cancelled = true;
            build.process.killed(now);
            trees.kill(build.process.tree());
        }
    }

    /// The leader of the running build has ended: starts the next build, or returns the outcome.
    ///
    /// What a successful build leaves behind, such as the cache server of a compiler, may run until the
    /// supervisor ends.
    pub(super) fn leader_ended(
        &mut self,
        exit: ProcessExit,
        launcher: &Launcher,
        trees: &mut TrackedTrees,
        now: Instant,
    ) -> Option<Input> {
        let report = self.process_mut()?.leader_ended(exit, trees, now);
        let RunningBuild { generation, because, index, process, .. } =
            self.running.take_if(|build| !build.cancelled)?;
        trees.release_leader(process.tree());
        if exit == ProcessExit::Status(0) {
            return self.start_at(index + 1, generation, because, launcher, trees);
        }
        trees.signal(process.tree(), Signal::TERM);
        let remedy = remedy_for(&report.output);
        Some(failed(generation, ExitReport { remedy, ..report }))
    }

    /// Returns the end of a cancelled build once its tree is gone.
    pub(super) fn poll(&mut self, trees: &mut TrackedTrees, now: Instant) -> Option<Input> {
        let build = self.running.take_if(|build| build.cancelled && build.process.is_gone(trees, now))?;
        trees.remove(build.process.tree());
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
