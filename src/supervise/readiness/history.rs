//! What earlier generations have shown about how the server listens. Pure.

use std::net::SocketAddr;
use std::time::Duration;

/// Time after which a tree that is not seen waiting on its sockets counts as ready, as long as no earlier one
/// was ever seen waiting: it may wait in a way that cannot be seen.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a probe has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// The server is not ready.
    Nothing,
    /// The server waits for connections.
    Waiting,
    /// The server is not seen waiting, but nothing suggests that it ever will be.
    Doubtful,
    /// The tree listens on these addresses. Whether its server answers there is another question.
    ListensAt(Vec<SocketAddr>),
}

/// What earlier generations have shown about how the server listens.
#[derive(Debug, Default)]
pub(crate) struct ListenHistory {
    /// The address at which an earlier generation listened, if that was not the given port.
    pub(super) elsewhere: Option<SocketAddr>,
    /// An earlier generation listened on the port that it was given.
    pub(super) used_given_port: bool,
    /// A server that listens by itself was never seen waiting for connections, and counted as ready.
    was_doubted: bool,
    /// Indexes of the sockets that the server was seen waiting on, out of those that it inherited, or of the one
    /// that it opened itself. The next generation will wait on them, too.
    waited_on: Option<Vec<usize>>,
}

impl ListenHistory {
    /// Records where a generation serves: on the port that it was given if `elsewhere` is `None`.
    pub(crate) fn serves(&mut self, elsewhere: Option<SocketAddr>) {
        self.elsewhere = elsewhere;
        self.used_given_port |= elsewhere.is_none();
    }

    /// Decides whether a server is ready whose port has accepted connections for this long.
    pub(super) fn judge_accepting(&mut self, is_waiting: bool, accepting_for: Duration) -> ProbeResult {
        let time = if self.was_doubted { DOUBT_TIMEOUT } else { accepting_for };
        let result = self.judge(if is_waiting { vec![0] } else { Vec::new() }, 1, time);
        self.was_doubted |= result == ProbeResult::Doubtful;
        result
    }

    /// Decides whether a tree of this age is ready that waits on `seen`, given by their indexes, out of the
    /// `count` sockets that it inherited.
    pub(super) fn judge(&mut self, seen: Vec<usize>, count: usize, age: Duration) -> ProbeResult {
        if let Some(known) = &self.waited_on {
            // A server that takes long to load is waited for, however long: the old generation serves on.
            let is_complete = known.iter().all(|index| seen.contains(index));
            return if is_complete { ProbeResult::Waiting } else { ProbeResult::Nothing };
        }
        if seen.len() < count && age < DOUBT_TIMEOUT {
            return ProbeResult::Nothing;
        }
        if seen.is_empty() {
            return ProbeResult::Doubtful;
        }
        self.waited_on = Some(seen);
        ProbeResult::Waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_once_is_waited_for() {
        let mut history = ListenHistory::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge(vec![], 1, young), ProbeResult::Nothing);
        assert_eq!(history.judge(vec![], 1, old), ProbeResult::Doubtful, "it may wait in an unseen way");
        assert_eq!(history.judge(vec![0], 1, old), ProbeResult::Waiting);
        assert_eq!(
            history.judge(vec![], 1, old),
            ProbeResult::Nothing,
            "it loads, and the old one serves on"
        );
    }

    #[test]
    fn a_socket_that_is_not_used_is_not_waited_for_twice() {
        let mut history = ListenHistory::default();
        let (young, old) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge(vec![1], 2, young), ProbeResult::Nothing);
        assert_eq!(history.judge(vec![1], 2, old), ProbeResult::Waiting);
        assert_eq!(history.judge(vec![1], 2, young), ProbeResult::Waiting);
        assert_eq!(history.judge(vec![0], 2, young), ProbeResult::Nothing);
    }

    #[test]
    fn a_server_that_was_seen_waiting_is_seen_again() {
        let mut history = ListenHistory::default();
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(6));
        assert_eq!(history.judge_accepting(false, short), ProbeResult::Nothing);
        assert_eq!(history.judge_accepting(false, long), ProbeResult::Doubtful);
        assert_eq!(history.judge_accepting(false, short), ProbeResult::Doubtful, "none was ever seen");
        assert_eq!(history.judge_accepting(true, short), ProbeResult::Waiting);
        assert_eq!(history.judge_accepting(false, long), ProbeResult::Nothing, "it loads for long");
    }
}
