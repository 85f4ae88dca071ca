//! The title of the terminal: the project, and how COMMAND is.

use devrun::session::Event;
use devrun::supervise::{self, Phase, ProcessExit};

use crate::ui::{Progress, Terminal};

/// What the title says.
#[derive(Debug, Default)]
pub(super) struct Title {
    project: String,
    state: &'static str,
    progress: Progress,
}

impl Title {
    /// `project` is the name of the project's directory.
    pub(super) fn new(project: String) -> Self {
        Self { project, ..Self::default() }
    }

    /// Follows an event. `has_server`: COMMAND is ready at some time after its start.
    pub(super) fn update(&mut self, event: &Event, has_server: bool) {
        let Event::Child(supervise::Event::Phase { phase, .. }) = event else { return };
        (self.state, self.progress) = match phase {
            Phase::Building => ("building", Progress::Busy),
            Phase::Starting { .. } if has_server => ("starting", Progress::Busy),
            Phase::Starting { .. } => ("running", Progress::None),
            Phase::Ready { .. } if has_server => ("ready", Progress::None),
            Phase::Exited(report) if report.ended == ProcessExit::Status(0) => ("ended", Progress::None),
            Phase::Exited(_) | Phase::Failed(_) | Phase::BuildFailed(_) => ("failed", Progress::Failed),
            _ => return,
        };
    }

    /// Shows the title, `devrun: api ready`, once there is a state. `rest` replaces the state of COMMAND.
    pub(super) fn show(&self, rest: Option<&'static str>, terminal: &mut Terminal) {
        let state = rest.unwrap_or(self.state);
        if !state.is_empty() {
            terminal.set_title(&format!("devrun: {} {state}", self.project), self.progress);
        }
    }
}
