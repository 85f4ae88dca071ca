//! `devrun restart`, `stop`, `start`, `pause`, `resume` and `down`.

use devrun::control::protocol::Accepted;
use serde_json::json;

use super::instances::{self, Instance, request_error};
use super::ps::VERSION;
use crate::cli::control::Target;
use crate::ui::{CliError, ExitCode, Terminal, escape_text};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Restart,
    Stop,
    Start,
    Pause,
    Resume,
    Down,
}

impl Verb {
    /// What happens to the services from now on.
    fn sentence(self) -> &'static str {
        match self {
            Self::Restart => "restarts; `devrun wait` waits for it",
            Self::Stop => "is stopped until `devrun start`",
            Self::Start => "runs, or starts now; `devrun wait` waits for it",
            Self::Pause => "is paused until `devrun resume`",
            Self::Resume => "is resumed",
            Self::Down => "has ended",
        }
    }
}

/// Sends the request to one running devrun.
pub(super) async fn run(target: &Target, verb: Verb, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let Instance { mut client, services, .. } = instances::only(target).await?;
    let answer = match verb {
        Verb::Restart => client.restart(&services).await,
        Verb::Stop => client.stop(&services).await,
        Verb::Start => client.start(&services).await,
        Verb::Pause => client.pause(&services).await,
        Verb::Resume => client.resume(&services).await,
        Verb::Down => client.down().await,
    };
    let Accepted { services, .. } = answer.map_err(|error| request_error(&error))?;
    if verb == Verb::Down {
        client.closed().await;
    }
    if target.json {
        terminal.println_data(json!({ "version": VERSION, "services": services }))?;
    } else {
        terminal.println(format_args!("{} {}", escape_text(&services.join(", ")), verb.sentence()))?;
    }
    Ok(ExitCode::Success)
}
