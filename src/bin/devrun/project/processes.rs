//! Files that name several processes: a Procfile, and a compose file.

use super::files::ProjectFiles;
use super::recognise::Project;

const PROCFILES: &str = "Procfile.dev Procfile";
const COMPOSE_FILES: &str = "compose.yaml compose.yml docker-compose.yml docker-compose.yaml";

/// A project whose Procfile has a process `web`, or only one process.
pub(super) fn procfile(files: &ProjectFiles<'_>) -> Option<Project> {
    let file = files.first(PROCFILES)?;
    let processes = processes(files, file);
    let web = processes
        .iter()
        .find(|(name, _)| name == "web")
        .or(processes.first().filter(|_| processes.len() == 1));
    let mut project = Project::new("Procfile", &[], Some(file));
    match web {
        Some((_, line)) => {
            project.command.clone_from(line);
            project.port = line.contains("$PORT").then_some(5000);
        }
        None => project.missing = Some(format!("{file} has no process `web`")),
    }
    Some(project)
}

/// A project of which only a compose file is known.
pub(super) fn compose(files: &ProjectFiles<'_>) -> Option<Project> {
    let file = files.first(COMPOSE_FILES)?;
    let mut project = Project::new("Compose", &[], Some(file));
    project.missing = Some(
        "containers need no devrun: write the command of the server that you run outside of them".into(),
    );
    Some(project)
}

/// Adds what these files name to the notes of a project. devrun runs one of the processes.
pub(super) fn add_notes(files: &ProjectFiles<'_>, project: &mut Project) {
    let procfile = files.first(PROCFILES).map(|file| {
        let names: Vec<String> = processes(files, file).into_iter().map(|(name, _)| name).collect();
        (file, if names.len() > 1 { names } else { Vec::new() }, "start the other processes yourself")
    });
    let compose = files
        .first(COMPOSE_FILES)
        .map(|file| (file, services(&files.text(file)), "docker compose up NAME starts a service"));
    for (file, names, how) in procfile.into_iter().chain(compose).filter(|(_, names, _)| !names.is_empty()) {
        let names = super::targets::some(&names);
        project.notes.push(format!("{file} names {names}. This version of devrun runs one command: {how}"));
    }
}

/// The names and the command lines of a Procfile.
fn processes(files: &ProjectFiles<'_>, file: &str) -> Vec<(String, String)> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    let text = files.text(file);
    let lines = text.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| is_name(name));
    lines.map(|(name, line)| (name.to_owned(), line.trim().to_owned())).collect()
}

/// The names of the services of a compose file: the keys with the smallest indentation below `services:`.
fn services(text: &str) -> Vec<String> {
    let below = text.lines().skip_while(|line| line.trim_end() != "services:").skip(1);
    let below = below.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let lines: Vec<&str> = below.take_while(|line| line.starts_with([' ', '\t'])).collect();
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let Some(first) = lines.first().map(|line| indentation(line)) else { return Vec::new() };
    let keys = lines.into_iter().filter(|line| indentation(line) == first);
    keys.filter_map(|line| Some(line.trim().split_once(':')?.0.trim_matches(['"', '\'']).to_owned()))
        .collect()
}
