//! Removes Python bytecode that hides an edit.
//!
//! Python runs a `.pyc` file if its header has the size and the whole second of the source. After two saves of the
//! same size within one second, that file holds the code of the first save.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::change::Batch;
use crate::supervise::command::Command;
use crate::supervise::process::variable;

/// The header of a `.pyc` file: a magic number, flags, the second and the size of its source (PEP 552).
type Header = [u8; 16];

/// The Python sources whose bytecode may be stale.
#[derive(Debug, Default)]
pub(super) struct PythonBytecode {
    /// Sources that have changed since the last start.
    changed: BTreeSet<PathBuf>,
    /// Sources that changed before a start while an older generation ran. That generation may still write their
    /// bytecode.
    shared: BTreeSet<PathBuf>,
}

impl PythonBytecode {
    pub(super) fn sources_changed(&mut self, batch: &Batch) {
        let paths = batch.changes.iter().map(|change| &change.path);
        self.changed.extend(paths.filter(|path| path.extension() == Some(OsStr::new("py"))).cloned());
    }

    /// Removes what a build must not run.
    pub(super) fn before_build(&self, command: &Command) {
        remove_stale(&self.changed, command);
    }

    /// Removes what the next generation must not run.
    pub(super) fn before_start(&mut self, command: &Command, older_runs: bool) {
        self.shared.append(&mut self.changed);
        self.generation_ended(command, older_runs);
    }

    /// Removes what a generation that has ended may have written late.
    pub(super) fn generation_ended(&mut self, command: &Command, older_runs: bool) {
        remove_stale(&self.shared, command);
        if !older_runs {
            self.shared.clear();
        }
    }
}

/// Reads each directory of bytecode once, because a batch may contain thousands of sources.
fn remove_stale(sources: &BTreeSet<PathBuf>, command: &Command) {
    let mut stems_by_dir: BTreeMap<&Path, BTreeSet<&OsStr>> = BTreeMap::new();
    for source in sources {
        if let (Some(dir), Some(stem)) = (source.parent(), source.file_stem()) {
            stems_by_dir.entry(dir).or_default().insert(stem);
        }
    }
    if stems_by_dir.is_empty() {
        return;
    }
    let prefix = variable(command, "PYTHONPYCACHEPREFIX").filter(|prefix| !prefix.is_empty());
    let workdir = command.current_dir.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
    let prefix = prefix.map(|prefix| workdir.join(prefix));
    for (dir, stems) in stems_by_dir {
        for cache in cache_dirs(dir, prefix.as_deref()) {
            match remove_in(&cache, dir, &stems) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(directory = %cache.display(), %error, "removing stale Python bytecode failed");
                }
                _ => {}
            }
        }
    }
}

/// Where Python may keep the bytecode of a directory. Python may know the directory by a path through a link.
fn cache_dirs(dir: &Path, prefix: Option<&Path>) -> BTreeSet<PathBuf> {
    let mut dirs = BTreeSet::from([dir.join("__pycache__")]);
    if let Some(prefix) = prefix {
        let below = |dir: &Path| dir.strip_prefix("/").map(|dir| prefix.join(dir)).ok();
        dirs.extend(below(dir));
        dirs.extend(dir.canonicalize().ok().and_then(|dir| below(&dir)));
    }
    dirs
}

fn remove_in(cache: &Path, dir: &Path, stems: &BTreeSet<&OsStr>) -> io::Result<()> {
    // A link may lead out of the project.
    if !fs::symlink_metadata(cache)?.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let Some(stem) = source_stem(&entry.file_name(), stems) else { continue };
        let mut name = stem.to_owned();
        name.push(".py");
        if entry.file_type()?.is_file()
            && let Ok(source) = fs::metadata(dir.join(name))
            && let Some(header) = read_header(&entry.path())?
            && is_trusted(&header, source.mtime(), source.size())
        {
            fs::remove_file(entry.path())?;
            tracing::debug!(file = %entry.path().display(), "removed Python bytecode of a changed source");
        }
    }
    Ok(())
}

/// `None` if the file is too short.
fn read_header(file: &Path) -> io::Result<Option<Header>> {
    let mut header = Header::default();
    match File::open(file)?.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The source of `STEM.TAG.pyc`. Both the stem and the tag may contain dots.
fn source_stem<'a>(file: &OsStr, stems: &BTreeSet<&'a OsStr>) -> Option<&'a OsStr> {
    let name = file.as_bytes().strip_suffix(b".pyc")?;
    let dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    dots.rev().find_map(|(at, _)| stems.get(OsStr::from_bytes(&name[..at])).copied())
}

/// Whether Python takes the bytecode for that of a source with this time and size. Bytecode with flags is checked
/// by a hash of the source, or not at all.
fn is_trusted(header: &Header, seconds: i64, size: u64) -> bool {
    // Python compares the lower 32 bits.
    let (seconds, size) = (seconds as u32, size as u32);
    header[4..8] == [0; 4] && header[8..12] == seconds.to_le_bytes() && header[12..16] == size.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_belongs_to_the_source_with_the_longest_name() {
        let stems = BTreeSet::from(["app", "app.old", "models"].map(OsStr::new));
        for (file, stem) in [
            ("app.cpython-312.pyc", Some("app")),
            ("app.cpython-312.opt-1.pyc", Some("app")),
            ("app.cpython-312-pytest-8.3.4.pyc", Some("app")),
            ("app.old.pypy310.pyc", Some("app.old")),
            ("application.cpython-312.pyc", None),
            ("app.pyc", None),
            ("app.cpython-312.pyc.140234", None),
        ] {
            assert_eq!(source_stem(OsStr::new(file), &stems), stem.map(OsStr::new), "{file}");
        }
    }
}
