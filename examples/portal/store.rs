//! The files that the portal writes while it runs: `downloads/`, `data/` and `debug/`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::failure::Failure;
use crate::tenders::{Tender, escape};

/// The parent directory of the written files.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    count: AtomicU64,
}

/// A document that is being saved. Its name ends in `.part` until it is complete.
#[derive(Debug)]
pub(crate) struct Saving {
    file: fs::File,
    part: PathBuf,
    whole: PathBuf,
    name: String,
    saved: u64,
}

impl Store {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, count: AtomicU64::new(0) }
    }

    /// Opens a new file for this download, so that two downloads of one tender have two files.
    pub(crate) async fn begin(&self, tender: &Tender) -> Result<Saving, Failure> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{count}", tender.id, std::process::id());
        let dir = self.dir.join("downloads").join(&tender.id);
        let (part, whole) = (dir.join(format!("{name}.zip.part")), dir.join(format!("{name}.zip")));
        make_dir(&dir).await?;
        let file = fs::File::create(&part).await.map_err(|source| save(&part, source))?;
        Ok(Saving { file, part, whole, name, saved: 0 })
    }

    /// Records the state of the download for programs (`data/`) and for people (`debug/`).
    pub(crate) async fn note(&self, saving: &Saving, tender: &Tender, state: &str) -> Result<(), Failure> {
        let data = serde_json::json!({
            "id": tender.id, "reference": tender.reference, "name": tender.name,
            "file": saving.whole, "bytes": saving.saved, "state": state,
        });
        let debug = format!(
            "<!doctype html><html lang=\"ar\" dir=\"rtl\"><meta charset=\"utf-8\"><title>{0}</title><h1>{0}</h1><p>{1}</p><pre dir=\"ltr\">{2}</pre>\n",
            escape(&tender.name),
            escape(&tender.reference),
            escape(&format!("{data:#}")),
        );
        self.write("data", &format!("{}.json", saving.name), format!("{data:#}\n")).await?;
        self.write("debug", &format!("{}.html", saving.name), debug).await
    }

    async fn write(&self, dir: &str, name: &str, text: String) -> Result<(), Failure> {
        let dir = self.dir.join(dir);
        make_dir(&dir).await?;
        let path = dir.join(name);
        fs::write(&path, text).await.map_err(|source| save(&path, source))
    }
}

impl Saving {
    /// Appends a chunk. The file contains it when this returns.
    pub(crate) async fn append(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let written = async {
            self.file.write_all(chunk).await?;
            self.file.flush().await
        };
        written.await.map_err(|source| save(&self.part, source))?;
        self.saved += chunk.len() as u64;
        Ok(())
    }

    /// Number of saved bytes.
    pub(crate) fn saved(&self) -> u64 {
        self.saved
    }

    /// Renames the complete document to its final name, and returns its path.
    pub(crate) async fn finish(&self) -> Result<PathBuf, Failure> {
        fs::rename(&self.part, &self.whole).await.map_err(|source| save(&self.whole, source))?;
        Ok(self.whole.clone())
    }

    /// Removes the file of an incomplete document.
    pub(crate) async fn discard(&self) {
        if let Err(error) = fs::remove_file(&self.part).await {
            tracing::warn!(file = %self.part.display(), "failed to remove a partial document: {error}");
        }
    }
}

async fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).await.map_err(|source| save(dir, source))
}

fn save(path: &Path, source: std::io::Error) -> Failure {
    Failure::Save { path: path.to_owned(), source }
}
