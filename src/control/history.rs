//! The last starts of a service, with reason, times and outcome. Pure.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;

use super::clock::{Clock, micros};
use super::protocol::{Cause, Change, Failure, Proof, Restart, RestartOutcome, path_text};
use crate::GenerationId;
use crate::change::{Batch, ChangeKind};
use crate::supervise::{ExitReport, Phase};
use crate::watch::Compare;

/// Maximum number of starts that are kept.
const MAX_RESTARTS: usize = 50;
/// Maximum number of changes of a start that are kept.
const MAX_CHANGES: usize = 200;
/// Maximum number of lines of output in a failure.
const MAX_FAILURE_LINES: usize = 20;

/// The last starts of a service, and the numbers of all.
#[derive(Debug)]
pub(super) struct History {
    clock: Clock,
    /// The directory to which paths are relative.
    base: PathBuf,
    compare: Compare,
    /// Oldest first.
    starts: VecDeque<Start>,
    restarts: u64,
    failed: u64,
}

/// One start, with the moments from which its times count.
#[derive(Debug)]
struct Start {
    /// The first change, or the decision.
    cause_at: Instant,
    build_at: Option<Instant>,
    record: Restart,
}

impl History {
    /// Paths below `base` are relative to it. `compare` says how the watch proves changes.
    pub(super) fn new(base: PathBuf, compare: Compare, clock: Clock) -> Self {
        Self { clock, base, compare, starts: VecDeque::new(), restarts: 0, failed: 0 }
    }

    /// Number of restarts.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Number of restarts that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// The last `limit` starts, oldest first.
    pub(super) fn last(&self, limit: usize) -> Vec<Restart> {
        let skipped = self.starts.len().saturating_sub(limit);
        self.starts.iter().skip(skipped).map(|start| start.record.clone()).collect()
    }

    /// The newest start.
    pub(super) fn newest(&self) -> Option<&Restart> {
        self.starts.back().map(|start| &start.record)
    }

    /// A restart is due. If the same generation is due already, changes were added to its cause.
    pub(super) fn restarting(&mut self, generation: GenerationId, because: Option<&Batch>, now: Instant) {
        let last = self.newest().map(|record| record.outcome);
        let has_ended = matches!(last, Some(RestartOutcome::Exited | RestartOutcome::Failed));
        let cause = match because {
            Some(_) => Cause::Change,
            None if has_ended => Cause::End,
            None => Cause::Request,
        };
        let is_same = self.is_in_progress(generation);
        let earlier = if is_same { self.starts.pop_back() } else { None };
        // With `postpone`, the first start has a cause too. It is no restart.
        self.restarts += u64::from(earlier.is_none() && generation != GenerationId::FIRST);
        self.begin(generation, cause, because, now);
    }

    /// A generation is in another phase.
    pub(super) fn phase(&mut self, generation: GenerationId, phase: &Phase, now: Instant) {
        let begins = matches!(phase, Phase::Building | Phase::Starting { .. });
        if begins && !self.is_in_progress(generation) {
            self.begin(generation, Cause::FirstStart, None, now);
        }
        let number = generation.number();
        let Some(start) = self.starts.iter_mut().rfind(|start| start.record.generation == number) else {
            return;
        };
        let since_cause = micros(now.saturating_duration_since(start.cause_at));
        let record = &mut start.record;
        let is_open = record.outcome == RestartOutcome::InProgress;
        let had_failed = has_failed(record.outcome);
        match phase {
            Phase::Building => start.build_at = Some(now),
            Phase::Starting { .. } => {
                record.to_start_us = Some(since_cause);
                record.build_us = start.build_at.map(|at| micros(now.saturating_duration_since(at)));
            }
            Phase::Ready { .. } => {
                record.to_ready_us = Some(since_cause);
                record.outcome = RestartOutcome::Ready;
            }
            Phase::BuildFailed(report) => {
                record.build_us = start.build_at.map(|at| micros(now.saturating_duration_since(at)));
                record.end(RestartOutcome::BuildFailed, report);
            }
            Phase::Failed(report) => record.end(RestartOutcome::Failed, report),
            Phase::Exited(report) => record.end(RestartOutcome::Exited, report),
            Phase::Stopping | Phase::Stopped if is_open => record.outcome = RestartOutcome::Stopped,
            _ => {}
        }
        let is_restart = generation != GenerationId::FIRST;
        self.failed += u64::from(is_restart && !had_failed && has_failed(record.outcome));
    }

    /// Whether a start of this generation is not decided.
    fn is_in_progress(&self, generation: GenerationId) -> bool {
        let is_open = |record: &Restart| record.outcome == RestartOutcome::InProgress;
        self.newest().is_some_and(|record| record.generation == generation.number() && is_open(record))
    }

    fn begin(&mut self, generation: GenerationId, cause: Cause, because: Option<&Batch>, now: Instant) {
        let changes = because.map(|batch| batch.changes.as_slice()).unwrap_or_default();
        let changes = changes.iter().take(MAX_CHANGES).map(|change| self.change(change)).collect();
        let record = Restart {
            generation: generation.number(),
            cause,
            changes,
            due_us: self.clock.unix_us(now),
            changed_us: because.map(|batch| self.clock.unix_us(batch.first_event_at)),
            to_start_us: None,
            build_us: None,
            to_ready_us: None,
            outcome: RestartOutcome::InProgress,
            failure: None,
        };
        let cause_at = because.map_or(now, |batch| batch.first_event_at);
        self.starts.push_back(Start { cause_at, build_at: None, record });
        let surplus = self.starts.len().saturating_sub(MAX_RESTARTS);
        self.starts.drain(..surplus);
    }

    fn change(&self, change: &crate::change::Change) -> Change {
        let (path, path_b64) = path_text(change.path.strip_prefix(&self.base).unwrap_or(&change.path));
        let proof = match (change.kind, self.compare) {
            (ChangeKind::Modified, Compare::Stat) => Proof::Signature,
            (ChangeKind::Modified, _) => Proof::Content,
            _ => Proof::Existence,
        };
        Change { path, path_b64, kind: change.kind.to_string(), proof }
    }
}

impl Restart {
    fn end(&mut self, outcome: RestartOutcome, report: &ExitReport) {
        self.outcome = outcome;
        self.failure = Some(failure(report));
    }
}

fn has_failed(outcome: RestartOutcome) -> bool {
    matches!(outcome, RestartOutcome::BuildFailed | RestartOutcome::Failed)
}

/// The failure of a report.
pub(super) fn failure(report: &ExitReport) -> Failure {
    let message = report.message.clone().unwrap_or_else(|| report.ended.to_string());
    Failure { message, output: report.last_lines(MAX_FAILURE_LINES) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Remedy;
    use crate::supervise::ProcessExit;

    const READY: Phase = Phase::Ready { address: None };
    const STARTING: Phase = Phase::Starting { pid: 1 };

    fn report(output: &str) -> ExitReport {
        ExitReport {
            ended: ProcessExit::Status(1),
            ran: Duration::from_millis(5),
            message: None,
            remedy: Remedy::None,
            output: output.into(),
        }
    }

    fn batch(path: &str, at: Instant) -> Batch {
        let changes = vec![crate::change::Change { path: path.into(), kind: ChangeKind::Modified }];
        Batch { changes, first_event_at: at, compared_at: at }
    }

    fn history() -> (History, impl Fn(u64) -> Instant) {
        let zero = Instant::now();
        let clock = Clock::new();
        let at = move |millis| zero + Duration::from_millis(millis);
        (History::new("/shop".into(), Compare::Content, clock), at)
    }

    #[test]
    fn a_restart_has_its_changes_with_proof_its_times_and_its_outcome() {
        let (mut history, at) = history();
        let (first, second) = (GenerationId::FIRST, GenerationId::new(2));
        history.phase(first, &STARTING, at(0));
        history.phase(first, &READY, at(30));
        history.restarting(second, Some(&batch("/shop/app.py", at(100))), at(105));
        history.phase(second, &Phase::Building, at(106));
        history.phase(second, &STARTING, at(140));
        history.phase(second, &READY, at(200));
        let starts = history.last(usize::MAX);
        assert_eq!((starts[0].cause, starts[0].to_ready_us), (Cause::FirstStart, Some(30_000)));
        let restart = &starts[1];
        assert_eq!((restart.cause, restart.outcome), (Cause::Change, RestartOutcome::Ready));
        assert_eq!((restart.build_us, restart.to_start_us), (Some(34_000), Some(40_000)));
        assert_eq!(restart.to_ready_us, Some(100_000));
        assert_eq!((&*restart.changes[0].path, restart.changes[0].proof), ("app.py", Proof::Content));
        assert_eq!((history.restarts(), history.failed()), (1, 0));
    }

    #[test]
    fn a_failure_has_the_last_lines_and_is_counted_once() {
        let (mut history, at) = history();
        let second = GenerationId::new(2);
        history.restarting(second, Some(&batch("/shop/app.py", at(0))), at(1));
        history.phase(second, &STARTING, at(2));
        history.phase(second, &Phase::Failed(report("Traceback\n\n\x1b[1mSyntaxError\x1b[0m: bad\n")), at(3));
        history.phase(second, &Phase::Stopped, at(4));
        let failure = history.newest().unwrap().failure.clone().unwrap();
        assert_eq!(failure.message, "exited with status 1");
        assert_eq!(failure.output, ["Traceback", "SyntaxError: bad"]);
        assert_eq!((history.restarts(), history.failed()), (1, 1));
    }

    #[test]
    fn the_number_of_a_failed_build_is_used_again_and_a_replaced_start_is_stopped() {
        let (mut history, at) = history();
        let (second, third) = (GenerationId::new(2), GenerationId::new(3));
        history.restarting(second, Some(&batch("/shop/a.py", at(0))), at(0));
        history.phase(second, &Phase::Building, at(0));
        history.phase(second, &Phase::BuildFailed(report("")), at(1));
        history.restarting(second, Some(&batch("/shop/b.py", at(2))), at(2));
        history.phase(second, &STARTING, at(3));
        history.restarting(third, None, at(4));
        history.phase(second, &Phase::Stopping, at(5));
        let outcomes: Vec<_> =
            history.last(9).iter().map(|start| (start.generation, start.outcome)).collect();
        let expected =
            [(2, RestartOutcome::BuildFailed), (2, RestartOutcome::Stopped), (3, RestartOutcome::InProgress)];
        assert_eq!(outcomes, expected);
        assert_eq!((history.restarts(), history.failed()), (3, 1));
    }

    #[test]
    fn changes_that_join_a_start_are_no_further_restart() {
        let (mut history, at) = history();
        let second = GenerationId::new(2);
        history.restarting(second, Some(&batch("/shop/a.py", at(0))), at(0));
        history.restarting(second, Some(&batch("/shop/b.py", at(0))), at(1));
        assert_eq!((history.restarts(), history.last(9).len()), (1, 1));
    }
}
