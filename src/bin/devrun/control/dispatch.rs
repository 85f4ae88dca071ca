//! From a subcommand to the function that performs it.

use super::{attach, logs, mcp, ps, steer, wait, why};
use crate::cli::control::ControlCommand;
use crate::run::event_loop;
use crate::ui::{CliError, ExitCode, Terminal};

/// Performs a subcommand.
///
/// # Errors
/// [`CliError`] if no devrun runs, or if it refuses the request.
pub(crate) fn run(command: ControlCommand, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let runtime = event_loop()?;
    let result = runtime.block_on(perform(command, terminal));
    // A thread may still read standard input.
    runtime.shutdown_background();
    result
}

async fn perform(command: ControlCommand, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    use steer::Verb;
    match command {
        ControlCommand::Ps { all, target } => ps::run(&target, all, terminal).await,
        ControlCommand::Logs { follow, since, grep, generation, target } => {
            let selection = logs::Selection { follow, since, grep, generation };
            logs::run(&target, &selection, terminal).await
        }
        ControlCommand::Why { number, target } => why::run(&target, number, terminal).await,
        ControlCommand::Wait { timeout, target } => wait::run(&target, timeout, terminal).await,
        ControlCommand::Restart { target } => steer::run(&target, Verb::Restart, terminal).await,
        ControlCommand::Stop { target } => steer::run(&target, Verb::Stop, terminal).await,
        ControlCommand::Start { target } => steer::run(&target, Verb::Start, terminal).await,
        ControlCommand::Pause { target } => steer::run(&target, Verb::Pause, terminal).await,
        ControlCommand::Resume { target } => steer::run(&target, Verb::Resume, terminal).await,
        ControlCommand::Down { target } => steer::run(&target, Verb::Down, terminal).await,
        ControlCommand::Attach { target } => attach::run(&target, terminal).await,
        ControlCommand::Mcp => mcp::run(terminal).await,
    }
}
