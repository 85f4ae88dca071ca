//! Answers of other programs, such as git and cargo, within a time limit.

use std::sync::mpsc;
use std::time::Duration;

/// Maximum time for an answer. cargo, for example, waits while another cargo holds its lock.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of a function that asks a program, or a sentence that names the program if it does not answer in time. The
/// program is left alone then.
pub(super) fn answer<T: Send + 'static>(
    program: &str,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    answer_within(LIMIT, program, ask)
}

fn answer_within<T: Send + 'static>(
    limit: Duration,
    program: &str,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || _ = sender.send(ask()));
    receiver
        .recv_timeout(limit)
        .map_err(|_| format!("`{program}` did not answer within {} s", limit.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_answer_in_time_is_named() {
        assert_eq!(answer("git", || 1), Ok(1));
        let late = answer_within(Duration::ZERO, "cargo metadata", std::thread::park);
        assert_eq!(late, Err("`cargo metadata` did not answer within 0 s".into()));
    }
}
