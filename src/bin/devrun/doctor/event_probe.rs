//! A self-test of events: a file is written, and the watch must tell of it. Removes what it writes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::rules;
use devrun::watch::{Event, Mode, Options, Watch};

/// How long an event may take before it counts as lost: far longer than any that comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The event came after this long.
    Came(Duration),
    /// None came.
    Lost,
    /// It could not be tried.
    Untried(String),
}

/// A file that is removed again, whatever happens.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if std::fs::remove_file(&self.0).is_err() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Tries it in a new directory of its own, among the system's temporary files.
pub(crate) async fn in_temporary_directory() -> Outcome {
    let directory = std::env::temp_dir().join(format!("devrun-doctor-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir(&directory) {
        return Outcome::Untried(format!("{} cannot be made: {error}", directory.display()));
    }
    let temporary = Temporary(directory);
    in_directory(&temporary.0).await
}

/// Tries it in a directory: only that one, nothing below it, is watched.
pub(crate) async fn in_directory(directory: &Path) -> Outcome {
    let file = directory.join(format!("devrun-doctor-{}.probe", std::process::id()));
    let watch = match Watch::start(options(directory, &file)).await {
        Ok(watch) => watch,
        Err(error) => return Outcome::Untried(error.to_string()),
    };
    let outcome = write_and_wait(watch, &file).await;
    drop(Temporary(file));
    outcome
}

/// Everything but the one file is left out, so that a busy tree does not answer in its place.
fn options(directory: &Path, file: &Path) -> Options {
    let mut rules = rules::Options::new(directory);
    rules.vcs = false;
    rules.builtin = false;
    rules.file_names.clear();
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    rules.patterns = vec![b"/*".to_vec(), [b"!/", name].concat()];
    let mut options = Options::new(rules);
    options.roots = vec![directory.to_owned()];
    options.mode = Mode::Event;
    options
}

async fn write_and_wait(mut watch: Watch, file: &Path) -> Outcome {
    let start = Instant::now();
    if let Err(error) = std::fs::write(file, b"devrun doctor") {
        return Outcome::Untried(format!("{} cannot be written: {error}", file.display()));
    }
    let told = async {
        while let Some(event) = watch.next_event().await {
            if matches!(&event, Event::Changed(batch) if batch.changes.iter().any(|change| change.path == file))
            {
                return true;
            }
        }
        false
    };
    let outcome = match tokio::time::timeout(PATIENCE, told).await {
        Ok(true) => Outcome::Came(start.elapsed()),
        Ok(false) | Err(_) => Outcome::Lost,
    };
    watch.stop().await;
    outcome
}
