//! Tests whether file system events arrive: writes a file, waits for its event, and removes the file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::rules;
use devrun::watch::{Event, Mode, Options, Watch};

use super::diagnose::{Finding, failure, good, note};
use crate::config::Settings;
use crate::ui::{escape_path, escape_text};

/// Timeout for the event. Real events arrive within milliseconds.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Delay of the event, `None` if it did not arrive before the timeout, or the reason why the test could not run.
type Outcome = Result<Option<Duration>, String>;

/// Tests events in a new temporary directory.
pub(super) async fn test_temporary_directory() -> Finding {
    let parent = std::env::temp_dir();
    let directory = parent.join(format!("devrun-doctor-{}", std::process::id()));
    let outcome = match std::fs::create_dir(&directory) {
        Ok(()) => {
            let directory = RemoveOnDrop(directory);
            test_directory(&directory.0).await
        }
        Err(error) => Err(format!("failed to create {}: {error}", directory.display())),
    };
    finding("event-self-test", &format!("a new directory in {}", escape_path(&parent)), outcome)
}

/// Tests events in every root that is a directory.
pub(super) async fn test_roots(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for root in settings.session.watch.roots.iter().filter(|root| root.is_dir()) {
        findings.push(finding("event-in-root", &settings.shown(root), test_directory(root).await));
    }
    findings
}

/// A file or directory that is removed when the value is dropped.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if std::fs::remove_file(&self.0).is_err() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

async fn test_directory(directory: &Path) -> Outcome {
    let file = RemoveOnDrop(directory.join(format!("devrun-doctor-{}.probe", std::process::id())));
    let file = &file.0;
    let watch = Watch::start(watch_options(directory, file)).await;
    let mut watch = watch.map_err(|error| error.to_string())?;
    let start = Instant::now();
    std::fs::write(file, b"devrun doctor")
        .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
    let arrival = async {
        while let Some(event) = watch.next_event().await {
            if let Event::Changed(batch) = event
                && batch.changes.iter().any(|change| change.path == *file)
            {
                return Some(start.elapsed());
            }
        }
        None
    };
    let arrived = tokio::time::timeout(EVENT_TIMEOUT, arrival).await;
    watch.stop().await;
    Ok(arrived.ok().flatten())
}

/// Options that watch one file of the directory. All other files are ignored, so that their events do not
/// count.
fn watch_options(directory: &Path, file: &Path) -> Options {
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

fn finding(id: &'static str, place: &str, outcome: Outcome) -> Finding {
    match outcome {
        Ok(Some(delay)) => {
            let delay = delay.as_secs_f64() * 1000.0;
            good(id, format!("the event of a change in {place} arrived after {delay:.1} ms"))
        }
        Ok(None) => failure(id, format!("no event arrived for a file that was written in {place}"))
            .with_remedy("use --mode stat there: it scans the files instead of waiting for events"),
        Err(reason) => note(id, format!("events in {place} could not be tested: {}", escape_text(&reason))),
    }
}
