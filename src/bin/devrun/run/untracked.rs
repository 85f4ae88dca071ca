//! The warning at the first restart that only new files have caused, in a directory that git does not track.
//! Most likely COMMAND writes these files.

use std::path::{Path, PathBuf};

use devrun::change::{Batch, ChangeKind};
use devrun::rules::tracked_files;
use tokio::task::JoinHandle;

use crate::ui::{ByteString, escape_text};

/// Gives the warning once in a run.
#[derive(Debug, Default)]
pub(super) enum UntrackedFiles {
    #[default]
    Unseen,
    /// git is asked, in a thread of its own because it may be slow.
    Asking(JoinHandle<Option<Warning>>),
    Reported,
}

/// A message and its remedy.
type Warning = (String, String);

impl UntrackedFiles {
    /// Takes the changes that cause a restart. `base` is the directory of the rules.
    pub(super) fn restarted_by(&mut self, batch: &Batch, base: &Path) {
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        if let (Self::Unseen, Some(dir)) = (&self, dir_of_new_files(batch, &base)) {
            *self = Self::Asking(tokio::task::spawn_blocking(move || {
                let tracked = tracked_files(&base, std::env::vars_os()).ok()?;
                Some(warning(top_untracked(&dir, &base, &tracked)?, &base))
            }));
        }
    }

    /// The warning. Waits until there is one.
    pub(super) async fn warning(&mut self) -> Warning {
        while let Self::Asking(answer) = self {
            let warning = answer.await.ok().flatten();
            *self = if warning.is_some() { Self::Reported } else { Self::Unseen };
            if let Some(warning) = warning {
                return warning;
            }
        }
        std::future::pending().await
    }
}

fn warning(dir: &Path, base: &Path) -> Warning {
    let path = ByteString::from_relative_path(dir, base);
    let message =
        format!("only new files in {} cause this restart, and git tracks none there", path.escaped());
    let rule = path.ignore_rule();
    let rule = escape_text(&rule);
    (message, format!("if COMMAND writes them, run `devrun init`, or add this line to .watchignore: {rule}/"))
}

/// The directory below `base` that contains all files of a batch; `None` if one of them is not new.
fn dir_of_new_files(batch: &Batch, base: &Path) -> Option<PathBuf> {
    let all_are_new = batch.changes.iter().all(|change| change.kind == ChangeKind::Created);
    let first = batch.changes.first().filter(|_| all_are_new)?.path.parent()?;
    let is_common = |dir: &&Path| batch.changes.iter().all(|change| change.path.starts_with(dir));
    let dir = first.ancestors().find(is_common)?;
    (dir != base && dir.starts_with(base)).then(|| dir.to_owned())
}

/// The highest directory that contains `dir` and no tracked file; `None` if `dir` contains one. Where git tracks
/// nothing at all, `dir`.
fn top_untracked<'a>(dir: &'a Path, base: &Path, tracked: &[PathBuf]) -> Option<&'a Path> {
    if tracked.is_empty() {
        return Some(dir);
    }
    let is_untracked = |dir: &&Path| !tracked.iter().any(|file| file.starts_with(dir));
    dir.ancestors().take_while(|dir| *dir != base).take_while(is_untracked).last()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use devrun::change::Change;

    use super::*;

    #[test]
    fn the_directory_to_name_is_the_highest_without_a_tracked_file() {
        let batch = |changes: &str| {
            let change = |word: &str| {
                let kind = if word.starts_with('+') { ChangeKind::Created } else { ChangeKind::Modified };
                Change { path: Path::new("/app").join(&word[1..]), kind }
            };
            let changes = changes.split(' ').map(change).collect();
            Batch { changes, first_event_at: Instant::now(), compared_at: Instant::now() }
        };
        let base = Path::new("/app");
        for (changes, tracked, expected) in [
            ("+out/a.json", "", Some("/app/out")),
            ("+out/1/a.json", "", Some("/app/out/1")),
            ("+out/1/a.json", "app.py", Some("/app/out")),
            ("+out/1/a.json +out/2/b.json", "app.py", Some("/app/out")),
            ("+out/1/a.json", "out/keep.json", Some("/app/out/1")),
            ("+src/new.py", "src/app.py", None),
            ("+src/new.py ~src/app.py", "", None),
            ("~out/a.json", "", None),
            ("+new.py", "", None),
            ("+one/a +two/b", "app.py", None),
            ("+/elsewhere/a", "", None),
        ] {
            let tracked: Vec<_> = tracked.split(' ').filter(|path| !path.is_empty()).collect();
            let tracked: Vec<_> = tracked.into_iter().map(|path| base.join(path)).collect();
            let dir = dir_of_new_files(&batch(changes), base);
            let found = dir.as_deref().and_then(|dir| top_untracked(dir, base, &tracked));
            assert_eq!(found, expected.map(Path::new), "{changes}");
        }
    }
}
