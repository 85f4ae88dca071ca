//! The way from the watch thread to its owner: events, warnings and the summary.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::{root::RootKind, tree::WatchedTree};
use crate::rules::Defect;
use crate::watch::event::Event;
use crate::watch::options::{Mode, Options};
use crate::watch::summary::{RootPresence, Shared, Summary, SummaryContext};
use crate::{Remedy, sync};

/// Maximum number of invalid rule lines with a warning of their own.
const MAX_DEFECT_WARNINGS: usize = 5;

/// Sends events and updates the shared state.
#[derive(Debug)]
pub(super) struct Reporter {
    events: UnboundedSender<Event>,
    shared: Arc<Shared>,
    mode: Mode,
    base: PathBuf,
}

impl Reporter {
    pub(super) fn new(options: &Options, shared: Arc<Shared>, events: UnboundedSender<Event>) -> Self {
        Self { events, shared, mode: options.mode, base: options.rules.base.clone() }
    }

    /// Sends an event. If the owner is gone, the loop ends by itself.
    pub(super) fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Sends a warning.
    pub(super) fn warn(&self, message: String, remedy: Remedy) {
        self.send(Event::Warning { message, remedy });
    }

    /// Whether the owner is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// The summary as last published.
    pub(super) fn summary(&self) -> Summary {
        self.shared.summary()
    }

    /// Publishes the context of the summary.
    pub(super) fn publish(&self, tree: &WatchedTree) {
        let (mode, mounts, anchors) =
            (self.mode, tree.sync.watches.mounts(), tree.sync.watches.anchor_count());
        let roots = tree
            .roots
            .iter()
            .map(|root| RootPresence { path: root.path.clone(), is_missing: root.kind == RootKind::Missing });
        let context = SummaryContext { mode, roots: roots.collect(), mounts, anchors };
        *sync::lock(&self.shared.summary_context) = context;
    }

    /// Warns that the limit of watches is used up, and reports the directories that are scanned instead.
    pub(super) fn report_limit(&self) {
        let polled: Vec<_> =
            self.summary().roots.into_iter().filter(|root| root.mode == Mode::Stat).collect();
        let directories: usize = polled.iter().map(|root| root.directories).sum();
        let message = format!(
            "the kernel's limit of file watches is used up: {directories} directories are scanned instead"
        );
        self.warn(message, Remedy::RaiseInotifyLimits);
        for report in polled {
            self.send(Event::ModeChanged(report));
        }
    }

    /// Reports how each root is watched, because watches are available again.
    pub(super) fn report_modes(&self) {
        for report in self.summary().roots {
            self.send(Event::ModeChanged(report));
        }
    }

    /// Warns of rule lines that never match.
    pub(super) fn report_defects(&self, defects: &[Defect]) {
        for defect in defects.iter().take(MAX_DEFECT_WARNINGS) {
            let mut relative = defect.clone();
            relative.source =
                relative.source.map(|file| file.strip_prefix(&self.base).map_or(file.clone(), PathBuf::from));
            self.warn(relative.to_string(), Remedy::CorrectRuleLine);
        }
        if let more @ 1.. = defects.len().saturating_sub(MAX_DEFECT_WARNINGS) {
            self.warn(format!("{more} more lines of rule files never match"), Remedy::ListRuleDefects);
        }
    }
}
