//! Checks how each root is watched, and the rules: starts the watch of a run and looks at its summary.

use std::path::Path;

use devrun::rules::{Defect, EntryKind, Rules};
use devrun::watch::{Mode, RootReport, Summary, Watch, Why, file_system_type};

use super::diagnose::{Finding, failure, good, note, warning};
use crate::config::Settings;
use crate::project::{self, DataFolder, Project};
use crate::report::mode_reason;
use crate::ui::{count, escape_bytes, escape_text};

/// Number of files from which repeated scans cost a lot of CPU time.
const LARGE_SCAN: usize = 50_000;

/// Checks roots, rules, and data folders that are watched.
pub(super) async fn run(settings: &Settings, project: &Project) -> Vec<Finding> {
    let watch = match Watch::start(settings.session.watch.clone()).await {
        Ok(watch) => watch,
        Err(error) => {
            let message = format!("a run would fail to {}", escape_text(&error.to_string()));
            return vec![failure("watch", message).with_remedy("fix this first")];
        }
    };
    let summary = watch.summary();
    // The files of devrun.toml and of --env-file are roots of their own; only configured roots are checked.
    let roots = summary.roots.iter().filter(|root| is_in_root(settings, &root.path));
    let mut findings: Vec<Finding> = roots.map(|root| check_root(settings, root)).collect();
    findings.extend(check_number_of_files(&summary));
    findings.extend(watch.rules().defects().iter().map(|defect| rule_defect(settings, defect)));
    findings.extend(watched_data(settings, project, watch.rules()));
    watch.stop().await;
    findings
}

fn check_root(settings: &Settings, root: &RootReport) -> Finding {
    let name = settings.shown(&root.path);
    let file_system =
        file_system_type(&root.path).map(|kind| format!(" on {}", escape_text(&kind))).unwrap_or_default();
    let files = count(root.files, "file");
    let message =
        format!("{name}{file_system}: {} ({}), {files}", root.mode.as_str(), mode_reason(&root.why));
    match &root.why {
        Why::Missing => warning("root", message)
            .with_remedy("create it, or correct `paths`: devrun watches it once it exists"),
        Why::Limit(_) => {
            warning("root", message).with_remedy("raise the limit named above, or watch less: -w src")
        }
        Why::Unreadable => {
            let directories = count(root.directories, "directory");
            let message = format!("{directories} below {name} cannot be read: files in them are not watched");
            warning("root", message).with_remedy("make them readable, or ignore them in .watchignore")
        }
        Why::NoEvents(_) => {
            note("root", message).with_remedy("devrun finds changes by scans; --poll-interval sets how often")
        }
        _ => good("root", message),
    }
}

fn check_number_of_files(summary: &Summary) -> Option<Finding> {
    if summary.files == 0 {
        return Some(
            warning("nothing-watched", "no file is watched: no change would restart COMMAND")
                .with_remedy(
                    "`devrun list --ignored` shows the rules that ignore files; --ext and --filter select files too",
                ),
        );
    }
    let has_scans = summary.roots.iter().any(|root| root.mode == Mode::Stat);
    (summary.files > LARGE_SCAN && has_scans).then(|| {
        warning("large-scan", format!("every scan looks at {} files", summary.files))
            .with_remedy("watch less: -w src, or ignore directories in .watchignore")
    })
}

fn rule_defect(settings: &Settings, defect: &Defect) -> Finding {
    let file = defect.source.as_ref().map_or("-i".into(), |source| settings.shown(source));
    let reason = escape_text(&defect.to_string()).into_owned();
    let message = match defect.line {
        0 => format!("{file}: {reason}"),
        line => format!("{file}:{line}: {reason}: {}", escape_bytes(&defect.text)),
    };
    warning("rules", message).with_remedy("`devrun check` shows more")
}

/// Folders that look like data and are watched.
fn watched_data(settings: &Settings, project: &Project, rules: &Rules) -> Vec<Finding> {
    let tracked = match project::tracked(&settings.base) {
        Ok(tracked) => tracked,
        Err(late) => {
            return vec![note("data-watched", format!("folders with data were not searched: {late}"))];
        }
    };
    let folders = project::data_folders(&settings.base, project, &tracked);
    let is_watched = |folder: &&DataFolder| {
        let path = settings.base.join(folder.path());
        folder.source.is_none()
            && is_in_root(settings, &path)
            && !rules.is_ignored(&path.join("any"), EntryKind::File)
    };
    let finding = |folder: &DataFolder| {
        let message = format!(
            "{}/ looks like data and is watched: a file written there restarts COMMAND",
            folder.path()
        );
        warning("data-watched", message)
            .with_remedy(format!("add this line to .watchignore: {}", folder.pattern))
    };
    folders.iter().filter(is_watched).map(finding).collect()
}

fn is_in_root(settings: &Settings, path: &Path) -> bool {
    settings.session.watch.roots.iter().any(|root| path.starts_with(root))
}
