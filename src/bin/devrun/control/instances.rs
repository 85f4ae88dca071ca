//! Finds the running devruns of a project, and connects to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use devrun::control::protocol::Hello;
use devrun::control::{Client, Error, SocketFile};

use crate::cli::control::Target;
use crate::system::control_directory;
use crate::ui::{CliError, escape_path, escape_text};

/// Timeout for the connection to a running devrun, and for its first answer.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a running devrun, and the services that the user has named.
#[derive(Debug)]
pub(super) struct Instance {
    pub client: Client,
    pub hello: Hello,
    /// Empty: all.
    pub services: Vec<String>,
}

/// The running devruns that the user has named; without names, all of the project.
///
/// # Errors
/// If none runs, or none has a name.
pub(super) async fn named(target: &Target) -> Result<Vec<Instance>, CliError> {
    let directory = project_directory(target)?;
    let instances = running_in(&directory).await?;
    if instances.is_empty() {
        return Err(none_runs(&directory));
    }
    select(instances, &target.names)
}

/// The one running devrun that the user means.
///
/// # Errors
/// As [`named`], and if several devruns are meant.
pub(super) async fn only(target: &Target) -> Result<Instance, CliError> {
    let mut instances = named(target).await?;
    match instances.pop() {
        Some(instance) if instances.is_empty() => Ok(instance),
        last => {
            instances.extend(last);
            let names: Vec<_> = instances.iter().map(|one| escape_text(&one.hello.instance.name)).collect();
            let message = format!("{} devruns run in this project", names.len());
            Err(CliError::new(message).with_remedy(format!("name one of them: {}", names.join(", "))))
        }
    }
}

/// The running devruns of all projects.
///
/// # Errors
/// If none of those that run answers.
pub(super) async fn all() -> Result<Vec<Instance>, CliError> {
    let sockets = control_directory::existing().iter().flat_map(|directory| directory.sockets()).collect();
    connect(sockets).await
}

/// The directory that the user means, absolute and without links.
fn project_directory(target: &Target) -> Result<PathBuf, CliError> {
    let directory = target.workdir.clone().unwrap_or_else(|| ".".into());
    directory.canonicalize().map_err(|error| {
        CliError::failed_to(format!("find the directory {}", escape_path(&directory)), &error)
            .with_remedy("name a directory that exists")
    })
}

/// The running devruns of the nearest project: the directory itself, or one above it.
async fn running_in(directory: &Path) -> Result<Vec<Instance>, CliError> {
    let directories = control_directory::existing();
    for project in directory.ancestors() {
        let sockets = directories.iter().flat_map(|directory| directory.sockets_of(project)).collect();
        let instances = connect(sockets).await?;
        if !instances.is_empty() {
            return Ok(instances);
        }
    }
    Ok(Vec::new())
}

/// Connects to sockets. One that gives no answer is left out, unless no other does: then its error is that of the call.
async fn connect(sockets: Vec<SocketFile>) -> Result<Vec<Instance>, CliError> {
    let (mut instances, mut failure) = (Vec::new(), None);
    for socket in sockets {
        let connected = async {
            let mut client = Client::connect(&socket.path).await?;
            let hello = client.hello().await?;
            Ok::<_, Error>(Instance { client, hello, services: Vec::new() })
        };
        match tokio::time::timeout(HELLO_TIMEOUT, connected).await {
            Ok(Ok(instance)) => instances.push(instance),
            Ok(Err(error @ Error::Refused(_))) => failure = Some(request_error(&error)),
            // The socket of a devrun that was killed is still there.
            Ok(Err(error)) => tracing::debug!(?socket, %error, "no answer on a control socket"),
            Err(_) => failure = Some(no_answer(&socket.name)),
        }
    }
    match failure {
        Some(failure) if instances.is_empty() => Err(failure),
        _ => Ok(instances),
    }
}

/// The error for a devrun that runs and does not answer.
pub(super) fn no_answer(name: &str) -> CliError {
    CliError::new(format!("the devrun {} does not answer", escape_text(name)))
        .with_remedy("it may be suspended (Ctrl-Z): `fg` in its terminal, or `kill -CONT PID`")
}

fn select(instances: Vec<Instance>, names: &[String]) -> Result<Vec<Instance>, CliError> {
    if names.is_empty() {
        return Ok(instances);
    }
    let has = |instance: &Instance, name: &String| {
        instance.hello.instance.name == *name || instance.hello.services.contains(name)
    };
    if let Some(unknown) = names.iter().find(|name| !instances.iter().any(|instance| has(instance, name))) {
        let known: Vec<_> = instances.iter().map(|one| escape_text(&one.hello.instance.name)).collect();
        let message = format!("no devrun or service of this project is called {}", escape_text(unknown));
        return Err(
            CliError::new(message).with_remedy(format!("`devrun ps` shows them: {}", known.join(", ")))
        );
    }
    let mut selected = Vec::new();
    for mut instance in instances {
        if names.contains(&instance.hello.instance.name) {
            selected.push(instance);
            continue;
        }
        instance.services =
            names.iter().filter(|name| instance.hello.services.contains(name)).cloned().collect();
        if !instance.services.is_empty() {
            selected.push(instance);
        }
    }
    Ok(selected)
}

fn none_runs(directory: &Path) -> CliError {
    CliError::new(format!("no devrun runs in {}", escape_path(directory)))
        .with_remedy("start one there: `devrun -- COMMAND`; `devrun ps --all` shows those of other projects")
}

/// An error of a request.
pub(super) fn request_error(error: &Error) -> CliError {
    match error {
        Error::Refused(refused) => {
            let failure = CliError::new(refused.message.clone());
            match &refused.data {
                Some(data) => failure.with_remedy(data.remedy.clone()),
                None => failure,
            }
        }
        error => CliError::from_library(error),
    }
}
