//! One download: the portal fetches the document, saves it chunk by chunk, records it and sends it.
//!
//! By default the client gets the document after it is saved completely, so each earlier failure is an error
//! answer. With `?while=saving` the client gets each chunk after it is saved. A failure then cuts the answer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use crate::body::{self, Answer, Chunks};
use crate::failure::Failure;
use crate::fetch::Document;
use crate::portal::Portal;
use crate::store::Saving;
use crate::tenders::Tender;

/// Interval between two progress events.
const PROGRESS: Duration = Duration::from_millis(500);

/// One download.
pub(crate) struct Download {
    pub(crate) portal: Arc<Portal>,
    pub(crate) tender: Tender,
}

impl Download {
    /// Saves the document completely, then streams it from the file. The save continues if the client leaves.
    pub(crate) async fn after_saving(self) -> Result<Answer, Failure> {
        let (document, saving) = self.begin().await?;
        let (done, saved) = oneshot::channel();
        let portal = Arc::clone(&self.portal);
        portal.spawn(async move {
            let _ = done.send(self.save(document, saving, None).await);
        });
        let path = saved.await.map_err(|_| Failure::Abandoned)??;
        stream_file(path).await
    }

    /// Streams the document while it is being saved. The save continues if the client leaves.
    pub(crate) async fn while_saving(self) -> Result<Answer, Failure> {
        let (document, saving) = self.begin().await?;
        let (chunks, answer) = body::chunks(document.size());
        let portal = Arc::clone(&self.portal);
        portal.spawn(async move {
            if let Err(failure) = self.save(document, saving, Some(&chunks)).await {
                let _ = chunks.send(Err(io::Error::other(failure.chain()))).await;
            }
        });
        Ok(answer)
    }

    async fn begin(&self) -> Result<(Document, Saving), Failure> {
        let document =
            self.portal.upstream.open(&self.tender.id).await.map_err(|failure| self.failed(failure))?;
        let saving = self.portal.store.begin(&self.tender).await.map_err(|failure| self.failed(failure))?;
        tracing::info!(reference = %self.tender.reference, size = document.size(), "download started");
        Ok((document, saving))
    }

    /// Saves the whole document with progress events, and returns its path.
    async fn save(
        &self,
        document: Document,
        mut saving: Saving,
        client: Option<&Chunks>,
    ) -> Result<PathBuf, Failure> {
        let begun = Instant::now();
        let saved = self.receive(document, &mut saving, client).await;
        let noted = match saved {
            Ok(()) => self.finish(&saving).await,
            Err(failure) => Err(failure),
        };
        match &noted {
            Ok(path) => {
                let took = begun.elapsed().as_millis();
                tracing::info!(reference = %self.tender.reference, file = %path.display(), bytes = saving.saved(), took_ms = took, "download completed");
            }
            Err(_) => {
                saving.discard().await;
                let _ = self.portal.store.note(&saving, &self.tender, "failed").await;
            }
        }
        noted.map_err(|failure| self.failed(failure))
    }

    async fn receive(
        &self,
        mut document: Document,
        saving: &mut Saving,
        mut client: Option<&Chunks>,
    ) -> Result<(), Failure> {
        let size = document.size();
        self.portal.store.note(saving, &self.tender, "saving").await?;
        let mut told = Instant::now();
        while let Some(chunk) = document.chunk().await? {
            saving.append(&chunk).await?;
            if let Some(chunks) = client
                && chunks.send(Ok(chunk)).await.is_err()
            {
                tracing::warn!(reference = %self.tender.reference, "the client went away; saving goes on");
                client = None;
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                tracing::info!(reference = %self.tender.reference, saved = saving.saved(), size, "download progress");
                self.portal.tell(&self.tender, "saving", saving.saved(), size);
            }
        }
        Ok(())
    }

    async fn finish(&self, saving: &Saving) -> Result<PathBuf, Failure> {
        let path = saving.finish().await?;
        self.portal.store.note(saving, &self.tender, "saved").await?;
        self.portal.tell(&self.tender, "saved", saving.saved(), Some(saving.saved()));
        Ok(path)
    }

    fn failed(&self, failure: Failure) -> Failure {
        tracing::error!(reference = %self.tender.reference, name = %self.tender.name, "download failed: {}", failure.chain());
        failure
    }
}

async fn stream_file(path: PathBuf) -> Result<Answer, Failure> {
    let opened = async {
        let file = tokio::fs::File::open(&path).await?;
        let size = file.metadata().await?.len();
        Ok((file, size))
    };
    let (file, size) = opened.await.map_err(|source| Failure::Save { path: path.clone(), source })?;
    let (chunks, answer) = body::chunks(Some(size));
    tokio::spawn(pump(file, chunks));
    Ok(answer)
}

async fn pump(mut file: tokio::fs::File, chunks: Chunks) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let chunk = match file.read(&mut buffer).await {
            Ok(0) => return,
            Ok(read) => Ok(Bytes::copy_from_slice(&buffer[..read])),
            Err(error) => Err(error),
        };
        if chunks.send(chunk).await.is_err() {
            return;
        }
    }
}
