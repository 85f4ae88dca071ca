//! `recognise`: the project in a directory, or in one of the directories of a monorepo.

use std::path::Path;

use devrun::supervise::InnerReloader;

use super::files::ProjectFiles;
use super::{kinds, node, processes, python, targets};
use crate::inner_reloader;

/// A project, as far as `devrun init` must know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Project {
    /// `Flask`, `Cargo`, …. `None` if the kind is not known.
    pub(crate) kind: Option<&'static str>,
    /// The command line that runs it, with `{port}` for the port of the server. Empty if not known.
    pub(crate) command: String,
    /// What a user must fill in, and why, if the command is not known.
    pub(crate) missing: Option<String>,
    /// The command that builds it before each start.
    pub(crate) build: Option<String>,
    /// The directory of the project in a monorepo.
    pub(crate) workdir: Option<String>,
    /// The port of its clients, if the server takes its own from `{port}` or `$PORT`.
    pub(crate) port: Option<u16>,
    /// The paths to watch. Empty for the whole directory.
    pub(crate) paths: Vec<String>,
    /// Whether two generations cannot run at the same time.
    pub(crate) takes_turns: bool,
    /// Whether its tool applies edits itself.
    pub(crate) reloads_itself: bool,
    /// Patterns of the files and folders that the tools of its kind write.
    pub(crate) generated: Vec<String>,
    /// A file that must be watched. `devrun check` tests that it is.
    pub(crate) source: Option<String>,
    /// What the user must know before the first run.
    pub(crate) notes: Vec<String>,
}

impl Project {
    pub(super) fn new(kind: &'static str, generated: &[&str], source: Option<&str>) -> Self {
        let generated = generated.iter().map(|&pattern| pattern.to_owned()).collect();
        Self { kind: Some(kind), generated, source: source.map(ToOwned::to_owned), ..Self::default() }
    }

    /// The same project, as a part of a monorepo. In one of Node.js, shared packages are watched too.
    fn within(mut self, directory: &str, files: &ProjectFiles<'_>) -> Self {
        let inside = |path: &String| format!("{directory}/{path}");
        self.paths = self.paths.iter().map(inside).collect();
        if self.paths.is_empty() {
            self.paths.push(directory.to_owned());
            if self.generated.iter().any(|pattern| pattern == "node_modules/") {
                let is_shared = |shared: &&str| files.has(shared) && !directory.starts_with(shared);
                self.paths.extend(SHARED.split(' ').filter(is_shared).map(ToOwned::to_owned));
            }
        }
        self.source = self.source.as_ref().map(inside);
        for pattern in self.generated.iter_mut().filter(|pattern| pattern.starts_with('/')) {
            *pattern = format!("/{directory}{pattern}");
        }
        self.workdir = Some(directory.to_owned());
        self
    }
}

/// Usual folders of a monorepo with code that its projects share.
const SHARED: &str = "packages libs shared common";
/// The signs of a command line that needs a shell.
pub(crate) const SHELL_SIGNS: [char; 12] = ['$', '&', '|', ';', '<', '>', '"', '\'', '(', '*', '\\', '='];

/// Recognises the project in a directory. If nothing at its top can be started, a directory below it is chosen.
pub(crate) fn recognise(directory: &Path) -> Project {
    let files = ProjectFiles::new(directory, directory);
    let top = at_top(&files);
    let parts: Vec<(String, Project)> = files
        .parts()
        .into_iter()
        .filter_map(|part| {
            let project = at_top(&ProjectFiles::new(&directory.join(&part), directory))?;
            Some((part.to_str()?.to_owned(), project)).filter(|(_, project)| !project.command.is_empty())
        })
        .collect();
    let mut project = match top {
        Some(top) if !top.command.is_empty() => with_parts(top, &parts),
        top => choose(&parts, &files).or(top).unwrap_or_default(),
    };
    processes::add_notes(&files, &mut project);
    let words: Vec<&str> = project.command.split(' ').collect();
    let workdir = directory.join(project.workdir.as_deref().unwrap_or_default());
    if let Some(reloader) = inner_reloader::in_words(&words, &workdir).filter(|_| !project.reloads_itself) {
        let (command, InnerReloader { name, change, .. }) = (&project.command, reloader);
        project.notes.push(format!("`{command}` has its own reloader ({name}), beside devrun: {change}"));
    }
    project
}

/// The project at the top of a directory: the first kind with a command, or else the first kind.
fn at_top(files: &ProjectFiles<'_>) -> Option<Project> {
    let kinds = [
        kinds::of_marks,
        targets::cargo,
        targets::go,
        python::recognise,
        node::recognise,
        processes::procfile,
        processes::compose,
    ];
    let mut first = None;
    for project in kinds.iter().filter_map(|kind| kind(files)) {
        if !project.command.is_empty() {
            return Some(project);
        }
        first.get_or_insert(project);
    }
    first
}

/// Names the other projects below the one that was recognised.
fn with_parts(mut project: Project, parts: &[(String, Project)]) -> Project {
    if !parts.is_empty() {
        let names = described(parts);
        project
            .notes
            .push(format!("there are more projects here: {names}; run `devrun init` in their directories"));
    }
    project
}

/// Chooses the part of a monorepo that is a server with a port and does not reload itself, or else the only part.
fn choose(parts: &[(String, Project)], files: &ProjectFiles<'_>) -> Option<Project> {
    let worth = |(_, project): &(String, Project)| (!project.reloads_itself, project.port.is_some());
    let best = parts.iter().map(worth).max()?;
    let (others, chosen): (Vec<_>, Vec<_>) = parts.iter().partition(|part| worth(part) != best);
    let [(directory, chosen)] = chosen.as_slice() else {
        let missing =
            format!("there are several projects: {}; run `devrun init` in one of them", described(parts));
        return Some(Project { missing: Some(missing), ..Project::default() });
    };
    let mut project = chosen.clone().within(directory, files);
    if !others.is_empty() {
        let others = described(others);
        let note =
            format!("chose {directory}; the others are {others}: to choose one, run `devrun init` there");
        project.notes.insert(0, note);
    }
    Some(project)
}

fn described<'a>(parts: impl IntoIterator<Item = &'a (String, Project)>) -> String {
    let name = |(directory, project): &(String, Project)| {
        format!("{directory} ({})", project.kind.unwrap_or_default())
    };
    targets::some(&parts.into_iter().map(name).collect::<Vec<_>>())
}
